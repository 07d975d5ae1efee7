import AttentionCore
import AttentionOperators
import AttentionTesting
import Kernels
import TensorCore
import Testing

/// The reference's gradients, and those of every operator on every instruction set, against PyTorch's autograd.
@Suite struct GradientFixtureTests {
    /// Operators with gradients that compute softmax attention over the problem's mask, when they have their defaults.
    static let ids = OperatorRegistry.builtIn.entries.map(\.id).filter { id in
        let problem = AttentionProblem(queryLength: 128, heads: 1, headDim: 8)
        guard let configured = try? OperatorRegistry.builtIn[id] else { return false }
        return configured.capabilities.hasGradients && configured.isPlain(for: problem)
    }

    @Test func casesAreMany() throws {
        #expect(try GradientFixtures().cases.count >= 60)
        #expect(Self.ids.count >= 5)
    }

    /// In Double the reference errs by the rounding of the stored numbers alone.
    @Test(arguments: [ReferencePrecision.double, .float])
    func referenceAgreesWithPyTorch(precision: ReferencePrecision) throws {
        let fixtures = try GradientFixtures()
        for item in fixtures.cases {
            let gradients = try DenseReference.backward(
                item.gradientCase.attention.inputs(), gradient: item.gradientCase.gradient(),
                options: try item.gradientCase.resolvedOptions(), precision: precision)
            let failures = try fixtures.failures(gradients, item)
            #expect(failures.isEmpty, "\(failures)")
        }
    }

    @Test(arguments: ids, ComputeContext.availableISAs)
    func operatorsAgreeWithPyTorch(id: String, isa: String) throws {
        let fixtures = try GradientFixtures()
        let configured = try OperatorRegistry.builtIn[id]
        let context = try ComputeContext(isa: isa)
        var accepted = 0
        for item in fixtures.cases {
            let inputs = item.gradientCase.attention.inputs()
            let options = try item.gradientCase.resolvedOptions()
            let problem = try AttentionProblem(inputs, options: options)
            let reasons =
                configured.unsupportedReasons(for: problem) + configured.unsupportedGradientReasons(for: problem)
            guard reasons.isEmpty else { continue }
            accepted += 1
            let gradients = try configured.backward(
                inputs, gradient: item.gradientCase.gradient(), options: options, context: context)
            let failures = try fixtures.failures(gradients, item)
            #expect(failures.isEmpty, "\(id) on \(isa): \(failures)")
        }
        // Everything but F64; an operator that insists on a window takes the cases that have one on both sides.
        let takesPlain = configured.unsupportedReasons(for: AttentionProblem(queryLength: 8, heads: 1, headDim: 8))
            .isEmpty
        #expect(
            accepted
                >= (takesPlain ? fixtures.cases.filter { $0.gradientCase.attention.dtype != .float64 }.count : 10))
    }
}
