import AttentionCore
import Kernels
import TensorCore

/// An operator that computes nothing: the registry and the dispatcher never look at numbers.
protocol SilentOperator: AttentionOperator {
    /// What its plan says.
    static var workspaceBytes: Int { get }
}

extension SilentOperator {
    static var workspaceBytes: Int { 100 }

    func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        AttentionPlan(
            problem: problem, queryTile: 16, keyTile: 32, tasks: 4, workspaceBytes: Self.workspaceBytes, isa: "none",
            threads: 1)
    }

    func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        AttentionOutput(output: Tensor(zeros: inputs.query.shape), logSumExp: nil)
    }
}

extension AttentionCapabilities {
    static func test(
        _ features: Set<AttentionFeature> = Set(AttentionFeature.allCases), dtypes: [DType] = [.float32, .float16],
        headDims: ClosedRange<Int> = 1...256
    ) -> AttentionCapabilities {
        AttentionCapabilities(
            dtypes: dtypes, headDims: headDims, features: features, exactness: .exact, workingMemory: "O(1)",
            arithmetic: "O(L^2)")
    }
}

/// Accepts every problem, has no options.
struct PlainOperator: SilentOperator {
    static let capabilities = AttentionCapabilities.test()
    let configuration: NoConfiguration
    init(_ configuration: NoConfiguration) { self.configuration = configuration }
}

/// Accepts every problem with less memory than ``PlainOperator``.
struct LeanOperator: SilentOperator {
    static let capabilities = AttentionCapabilities.test()
    static let workspaceBytes = 10
    let configuration: NoConfiguration
    init(_ configuration: NoConfiguration) { self.configuration = configuration }
}

/// Accepts plain attention only.
struct NarrowOperator: SilentOperator {
    static let capabilities = AttentionCapabilities.test([], dtypes: [.float16], headDims: 8...64)
    let configuration: NoConfiguration
    init(_ configuration: NoConfiguration) { self.configuration = configuration }
}

/// Has options whose `Codable` is synthesised.
struct TunedOperator: SilentOperator {
    struct Configuration: OperatorConfiguration {
        var chunk = 64
        var mode = "exact"
        var ratio: Double?

        static let options = [
            OptionDescription("chunk", "keys of one step", default: "64"),
            OptionDescription("mode", "exact or fast", default: "exact"),
            OptionDescription("ratio", "landmarks for each key", default: "none"),
        ]
    }

    static let capabilities = AttentionCapabilities.test()
    let configuration: Configuration

    init(_ configuration: Configuration) throws(AttentionError) {
        guard configuration.chunk > 0 else {
            throw .invalidOption(name: "chunk", expected: "from 1 up", actual: "\(configuration.chunk)")
        }
        self.configuration = configuration
    }
}

/// Accepts every problem and computes something else.
struct NearOperator: SilentOperator {
    static let capabilities: AttentionCapabilities = {
        var result = AttentionCapabilities.test()
        result.exactness = .approximate(limit: "rank = keyLength")
        return result
    }()
    let configuration: NoConfiguration
    init(_ configuration: NoConfiguration) { self.configuration = configuration }
}

/// Accepts every problem and sees the first three keys of it.
struct ShortOperator: SilentOperator {
    static let capabilities = AttentionCapabilities.test()
    let configuration: NoConfiguration
    init(_ configuration: NoConfiguration) { self.configuration = configuration }
    func pattern(for problem: AttentionProblem) -> AttentionMask { .prefix(length: 3) }
}

/// Has no default that works: it must be named with its rank.
struct DemandingOperator: SilentOperator {
    struct Configuration: OperatorConfiguration {
        var rank: Int?
        static let options = [OptionDescription("rank", "extent of the projection", default: "required")]
    }

    static let capabilities = AttentionCapabilities.test()
    let configuration: Configuration

    init(_ configuration: Configuration) throws(AttentionError) {
        guard configuration.rank != nil else {
            throw .invalidOption(name: "rank", expected: "a whole number", actual: "absent")
        }
        self.configuration = configuration
    }
}

extension CatalogueEntry {
    static func test(
        _ id: String, type: String = "TestOperator", aliases: [String] = [], priority: Int = 0
    ) -> CatalogueEntry {
        CatalogueEntry(
            id: id, type: type, aliases: aliases, family: "test", title: "Test of \(id)", summary: "Computes nothing.",
            paper: "None, 2026", priority: priority)
    }
}

extension OperatorRegistry {
    /// `flash`, `full`, `tuned` and `narrow`, with aliases.
    static func test() throws -> OperatorRegistry {
        var registry = OperatorRegistry()
        try registry.register(PlainOperator.self, as: .test("full", aliases: ["scaled_dot_product"], priority: 10))
        try registry.register(LeanOperator.self, as: .test("flash", aliases: ["flash_attention"], priority: 50))
        try registry.register(TunedOperator.self, as: .test("tuned", priority: 5))
        try registry.register(NarrowOperator.self, as: .test("narrow", priority: 90))
        return registry
    }
}
