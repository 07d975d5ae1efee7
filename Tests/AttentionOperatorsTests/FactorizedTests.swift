import AttentionCore
import AttentionOperators
import AttentionTesting
import Kernels
import TensorCore
import Testing

/// The factors of the Sparse Transformer and of axial attention, and what their products reach.
@Suite struct FactorizedTests {
    private func keys(
        _ scheme: FactorizedScheme, _ integration: FactorizedIntegration = .merged, step: Int = 0,
        query: Int, head: Int = 0, heads: Int = 1, length: Int
    ) throws -> [Int] {
        let factorized = try FactorizedAttention(.init(scheme: scheme, integration: integration, step: step))
        let problem = AttentionProblem(queryLength: length, heads: heads, headDim: 8)
        let mask = factorized.pattern(for: problem)
        return (0..<length).filter { mask.allows(query: query, key: $0, problem.geometry(0, head: head)) }
    }

    @Test func stridedCountsTheOwnKeyBesideTheStride() throws {
        let scheme = FactorizedScheme.strided(stride: 4)
        // l + 1 keys: t = max(0, i - l) to i.
        #expect(try keys(scheme, .alternating, query: 10, length: 16) == [6, 7, 8, 9, 10])
        #expect(try keys(scheme, .alternating, query: 2, length: 16) == [0, 1, 2])
        #expect(try keys(scheme, .alternating, step: 1, query: 10, length: 16) == [2, 6, 10])
        #expect(try keys(scheme, .alternating, step: 2, query: 10, length: 16) == [6, 7, 8, 9, 10])
        #expect(try keys(scheme, query: 10, length: 16) == [2, 6, 7, 8, 9, 10])
    }

    @Test func fixedHasStretchesAndSummaries() throws {
        let scheme = FactorizedScheme.fixed(stride: 5, summary: 2)
        #expect(try keys(scheme, .alternating, query: 12, length: 20) == [10, 11, 12])
        #expect(try keys(scheme, .alternating, step: 1, query: 12, length: 20) == [3, 4, 8, 9])
        #expect(try keys(scheme, .perHead, query: 12, head: 1, heads: 4, length: 20) == [10, 11, 12])
        #expect(try keys(scheme, .perHead, query: 12, head: 2, heads: 4, length: 20) == [3, 4, 8, 9])
        #expect(try keys(scheme, query: 12, length: 20) == [3, 4, 8, 9, 10, 11, 12])
    }

    @Test func axialSeesItsRowAndItsColumn() throws {
        #expect(try keys(.axial(shape: [3, 4]), query: 5, length: 12) == [1, 4, 5, 6, 7, 9])
        #expect(try keys(.axial(shape: [3, 4]), .alternating, query: 5, length: 12) == [4, 5, 6, 7])
        #expect(try keys(.axial(shape: [3, 4]), .alternating, step: 1, query: 5, length: 12) == [1, 5, 9])
        #expect(try keys(.axial(shape: [2, 2, 2]), query: 0, length: 8) == [0, 1, 2, 4])
    }

    @Test func twoHopsReachEveryone() throws {
        func hops(_ scheme: FactorizedScheme, _ integration: FactorizedIntegration, _ length: Int) throws -> Int? {
            try FactorizedAttention(.init(scheme: scheme, integration: integration)).hops(length: length)
        }
        for integration in FactorizedIntegration.allCases {
            #expect(try hops(.strided(stride: 8), integration, 64) == 2)
            #expect(try hops(.strided(stride: 5), integration, 64) == 2)
            #expect(try hops(.axial(shape: [8, 8]), integration, 64) == 2)
            #expect(try hops(.axial(shape: [4, 4, 4]), integration, 64) == 3)
        }
        #expect(try hops(.fixed(stride: 8, summary: 1), .merged, 64) == 2)
        #expect(try hops(.fixed(stride: 8, summary: 8), .merged, 64) == 1)
        #expect(try hops(.strided(stride: 64), .merged, 64) == 1)
        // Through the last key of each stretch, and the own stretch by what the position kept.
        #expect(try hops(.fixed(stride: 8, summary: 1), .alternating, 64) == 2)
    }

    /// Schemes that factorise the products, and the operators that they stand for.
    static let approximations: [(ConfigurationValue, AttentionSpecification?)] = [
        (["name": "low-rank", "rank": 16], AttentionSpecification(name: "linformer", configuration: ["rank": 16])),
        (["name": "landmarks", "count": 9], AttentionSpecification(name: "nystrom", configuration: ["landmarks": 9])),
        (["name": "efficient"], nil),
    ]

    @Test(arguments: approximations.indices)
    func schemesOfProductsAreTheirOperators(index: Int) throws {
        let (scheme, twin) = Self.approximations[index]
        let configured = try OperatorRegistry.builtIn.make("factorized", configuration: ["scheme": scheme])
        let context = try ComputeContext(threads: 2)
        let report = ConformanceSuite.run(configured, contexts: [context], minimumAccepted: 100)
        #expect(report.isPassing, "\(scheme.jsonText): \(report)")
        let gradients = GradientSuite.compare(configured, contexts: [context])
        #expect(gradients.isPassing && gradients.accepted > 20, "\(scheme.jsonText): \(gradients)")
        let problem = AttentionProblem(queryLength: 32, heads: 2, headDim: 8)
        #expect(!configured.isPlain(for: problem))
        guard let twin else { return }
        let other = try OperatorRegistry.builtIn.make(twin.name, configuration: twin.configuration)
        let inputs = try configured.initialising(AttentionCase("twin", queryLength: 40, headDim: 16).inputs()).inputs
        #expect(try configured.forward(inputs).output.bitwiseEquals(other.forward(inputs).output))
    }

    @Test func patternsAndProductsDoNotMix() {
        #expect(
            throws: AttentionError.invalidOption(
                name: "integration", expected: "merged for a scheme that is no pattern", actual: "per-head")
        ) { try FactorizedAttention(.init(scheme: .efficient, integration: .perHead)) }
        #expect(throws: AttentionError.self) {
            try OperatorRegistry.builtIn.make("factorized", configuration: ["scheme": ["name": "low-rank", "rank": 0]])
        }
    }

    @Test(arguments: ComputeContext.availableISAs)
    func gridsMatchTheReference(isa: String) throws {
        for shape in [[9, 16], [4, 6, 6]] {
            let scheme = FactorizedScheme.axial(shape: shape).configuration
            for integration in ["merged", "per-head"] where shape.count == 2 || integration == "merged" {
                let configured = try OperatorRegistry.builtIn.make(
                    "factorized", configuration: ["scheme": scheme, "integration": .string(integration)])
                var grid = AttentionCase("grid", queryLength: 144, headDim: 16)
                grid.heads = 2
                grid.kvHeads = 2
                let inputs = grid.inputs()
                let tolerance = try Tolerance(configured, inputs, options: .init())
                let result = try configured.forward(inputs, context: ComputeContext(threads: 2, isa: isa))
                for excess in tolerance.errors(of: result) { #expect(excess.ratio <= 1, "\(shape) \(excess)") }
            }
        }
    }

    @Test func configurationsAreWrittenAndRead() throws {
        for scheme in [
            FactorizedScheme.strided(stride: 3), .fixed(stride: 9, summary: 2), .axial(shape: [2, 3, 4]),
        ] { #expect(try FactorizedScheme(scheme.configuration) == scheme) }
        #expect(try FactorizedScheme("strided") == .strided(stride: 128))
        #expect(throws: AttentionError.self) { try FactorizedScheme(["name": "strided", "strid": 3]) }
    }
}
