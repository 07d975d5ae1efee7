import AttentionCore
import AttentionOperators
import AttentionTesting
import Kernels
import TensorCore
import Testing

/// Efficient Attention, which has no registry entry of its own.
@Suite struct EfficientAttentionTests {
    static func configured() throws -> ConfiguredOperator {
        ConfiguredOperator(
            entry: CatalogueEntry(
                id: "efficient", type: "EfficientAttention", family: "approximate", title: "Efficient Attention",
                summary: "Softmax over features of Q and over tokens of K.", paper: "Shen et al., 2018"),
            operator: EfficientAttention(NoConfiguration()))
    }

    @Test(arguments: ComputeContext.availableISAs)
    func conforms(isa: String) throws {
        let context = try ComputeContext(threads: 2, isa: isa)
        let report = ConformanceSuite.run(try Self.configured(), contexts: [context], minimumAccepted: 211)
        #expect(report.isPassing, "\(report)")
        let laws = PropertyChecks(try Self.configured(), context: context).run()
        #expect(laws.failures.isEmpty, "\(laws.failures)")
    }

    @Test func gradientsAreProven() throws {
        let report = GradientSuite.prove(try Self.configured())
        #expect(report.isPassing, "\(report)")
    }

    @Test func aScaleIsRefused() throws {
        let problem = AttentionProblem(queryLength: 4, heads: 1, headDim: 4, options: .init(scale: 0.5))
        #expect(try Self.configured().unsupportedReasons(for: problem).map(\.aspect) == [.configuration])
    }
}
