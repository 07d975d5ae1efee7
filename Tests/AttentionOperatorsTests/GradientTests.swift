import AttentionCore
import AttentionOperators
import AttentionTesting
import Kernels
import TensorCore
import Testing

/// The gradients of every operator of the registry on every instruction set of this CPU; those that have none refuse.
@Suite struct GradientTests {
    static let ids = OperatorRegistry.builtIn.entries.map(\.id)

    @Test(arguments: ids)
    func standardCases(id: String) throws {
        let contexts = try ComputeContext.availableISAs.map { try ComputeContext(threads: 2, isa: $0) }
        let report = GradientSuite.compare(try OperatorRegistry.builtIn[id], contexts: contexts)
        #expect(report.isPassing, "\(id): \(report)")
        #expect(report.accepted + report.refused == GradientCases.standard.count * contexts.count)
    }

    @Test(arguments: ids, ComputeContext.availableISAs)
    func laws(id: String, isa: String) throws {
        let configured = try OperatorRegistry.builtIn[id]
        let report = GradientLaws(configured, context: try ComputeContext(threads: 2, isa: isa)).run()
        #expect(report.isPassing, "\(id) on \(isa): \(report)")
        #expect(configured.capabilities.hasGradients == (report.accepted > 0), "\(id) on \(isa): \(report)")
    }

    @Test(arguments: ids)
    func differences(id: String) throws {
        let configured = try OperatorRegistry.builtIn[id]
        let report = GradientDifferences.run(configured)
        #expect(report.isPassing, "\(id): \(report)")
        #expect(configured.capabilities.hasGradients == (report.accepted > 0), "\(id): \(report)")
    }

    @Test func oneLineProvesAnOperator() throws {
        let report = GradientSuite.prove(try OperatorRegistry.builtIn["local"])
        #expect(report.isPassing, "\(report)")
    }

    @Test func shapesOfGradientsAreChecked() throws {
        let inputs = AttentionCase("shapes", queryLength: 4, headDim: 8).inputs()
        let wrong = OutputGradient(output: Tensor(zeros: [1, 4, 1, 7]))
        #expect(
            throws: AttentionError.invalidShape(
                operand: "output_gradient", expected: "[1, 4, 1, 8]", actual: [1, 4, 1, 7])
        ) { try DenseReference.backward(inputs, gradient: wrong, options: .init(), precision: .float) }
    }
}
