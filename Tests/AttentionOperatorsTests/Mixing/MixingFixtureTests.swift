import AttentionCore
import AttentionOperators
import AttentionTesting
import Kernels
import TensorCore
import Testing

/// Mixing operators against the numbers of a script that was written from their papers.
@Suite struct MixingFixtureTests {
    static let ids = MixingVariants.ids

    /// Both the numbers and ours are rounded to Float: a few units of the last place.
    private static let limit = 2e-6

    @Test func casesAreMany() throws {
        let cases = try MixingFixtures().cases
        for id in Self.ids { #expect(cases.filter { $0.details.operator == id }.count >= 3, "\(id)") }
    }

    @Test(arguments: ids, ComputeContext.availableISAs)
    func outputsAndGradients(id: String, isa: String) throws {
        let fixtures = try MixingFixtures()
        let context = try ComputeContext(threads: 2, isa: isa)
        for (attention, details) in fixtures.cases where details.operator == id {
            let configured = try OperatorRegistry.builtIn.make(id, configuration: details.configuration)
            let inputs = try fixtures.inputs(attention, details)
            let options = try attention.options()
            let result = try configured.forward(inputs, options: options, context: context)
            let error = try fixtures.error(result.output, attention, "output")
            #expect(error <= Self.limit, "\(attention.name) on \(isa): output off by \(error)")
            let gradients = try configured.backward(
                inputs, gradient: GradientCase(attention).gradient(), options: options, context: context)
            for (name, tensor) in gradients.named {
                let error = try fixtures.error(tensor, attention, name)
                #expect(error <= Self.limit, "\(attention.name) on \(isa): gradient of \(name) off by \(error)")
            }
            #expect(gradients.parameters.keys.sorted() == details.parameters.keys.sorted())
        }
    }

    @Test(arguments: ids)
    func referencesInDouble(id: String) throws {
        let fixtures = try MixingFixtures()
        for (attention, details) in fixtures.cases where details.operator == id {
            let configured = try OperatorRegistry.builtIn.make(id, configuration: details.configuration)
            let inputs = try fixtures.inputs(attention, details)
            let options = try attention.options()
            let result = try configured.reference(inputs, options: options, precision: .double)
            let error = try fixtures.error(result.output, attention, "output")
            // The numbers are stored as Float.
            #expect(error <= 0x1p-24, "\(attention.name): output off by \(error)")
            let gradients = try configured.referenceGradients(
                inputs, gradient: GradientCase(attention).gradient(), options: options, precision: .double)
            for (name, tensor) in gradients.named {
                let error = try fixtures.error(tensor, attention, name)
                #expect(error <= 0x1p-24, "\(attention.name): gradient of \(name) off by \(error)")
            }
        }
    }
}
