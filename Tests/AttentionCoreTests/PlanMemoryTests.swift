import AttentionCore
import Kernels
import Synchronization
import TensorCore
import Testing

/// An operator that counts how often it is asked for a plan.
private struct CountingAttention: SilentOperator {
    static let capabilities = AttentionCapabilities(
        dtypes: [.float32], headDims: 1...64, features: [.crossLength, .causal, .scoreFunction], exactness: .exact,
        workingMemory: "O(1)", arithmetic: "O(1)")
    struct Configuration: OperatorConfiguration {
        var size = 1
        static var options: [OptionDescription] { [] }
    }

    final class Count: Sendable { let number = Mutex(0) }

    let configuration: Configuration
    var plans = Count()

    init(_ configuration: Configuration) throws(AttentionError) { self.configuration = configuration }

    func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        plans.number.withLock { $0 += 1 }
        return AttentionPlan(
            problem: problem, queryTile: 16, keyTile: 32, tasks: 4, workspaceBytes: Self.workspaceBytes,
            isa: context.isa, threads: context.threads, tunedKind: problem.keyLength == 13 ? "tuned" : nil)
    }
}

@Suite struct PlanMemoryTests {
    private let entry = CatalogueEntry(
        id: "counting", type: "CountingAttention", family: "exact", title: "Counting", summary: "Counts.", paper: "None"
    )

    private func inputs(keys: Int) -> AttentionInputs {
        AttentionInputs(
            query: Tensor(zeros: [1, 2, 1, 4]), key: Tensor(zeros: [1, keys, 1, 4]),
            value: Tensor(zeros: [1, keys, 1, 4]))
    }

    @Test func likeProblemsArePlannedOnce() throws {
        let counting = try CountingAttention(.init())
        let configured = ConfiguredOperator(entry: entry, operator: counting)
        let memory = PlanMemory()
        let two = try ComputeContext(threads: 2)
        func plans(
            _ keys: Int, _ options: AttentionOptions = .init(), _ context: ComputeContext? = nil,
            _ owner: ConfiguredOperator? = nil
        ) throws -> Int {
            let before = counting.plans.number.withLock { $0 }
            _ = try (owner ?? configured).forward(
                inputs(keys: keys), options: options, context: context ?? two, plans: memory)
            return counting.plans.number.withLock { $0 } - before
        }
        #expect(try plans(5) == 1)
        #expect(try plans(5) == 0)
        // Whatever else differs is planned again.
        #expect(try plans(6) == 1)
        #expect(try plans(5, .init(mask: .causal(.bottomRight))) == 1)
        #expect(try plans(5, .init(), ComputeContext(threads: 1)) == 1)
        #expect(try plans(5, .init(), two.limited(toBytes: 1 << 20)) == 1)
        var larger = try CountingAttention(.init(size: 3))
        larger.plans = counting.plans
        let other = ConfiguredOperator(entry: entry, operator: larger)
        #expect(try plans(5, .init(), two, other) == 1)
        #expect(try plans(5, .init(), two, other) == 0)
        // Four are kept: the first two have gone.
        #expect(try plans(5, .init(mask: .causal(.bottomRight))) == 0)
        #expect(try plans(5) == 1)
        if let isa = ComputeContext.availableISAs.first(where: { $0 != two.isa }) {
            #expect(try plans(5, .init(), ComputeContext(threads: 2, isa: isa)) == 1)
        }
        // Functions are equal by their names, whatever they do.
        let function = ScoreFunction("name") { score, _ in score }
        #expect(try plans(5, .init(scoreFunction: function)) == 1)
        #expect(try plans(5, .init(scoreFunction: function)) == 1)
        // What is timed is planned each time.
        #expect(try plans(13) == 1)
        #expect(try plans(13) == 1)
    }

    @Test func aKnownPlanHidesNoRefusal() throws {
        let configured = ConfiguredOperator(entry: entry, operator: try CountingAttention(.init()))
        let memory = PlanMemory()
        let context = try ComputeContext(threads: 2)
        func run(_ inputs: AttentionInputs, _ context: ComputeContext, softcap: Float? = nil) throws(AttentionError) {
            _ = try configured.forward(inputs, options: .init(softcap: softcap), context: context, plans: memory)
        }
        try run(inputs(keys: 5), context)
        for _ in 0..<2 {
            #expect(throws: AttentionError.self) { try run(inputs(keys: 5), context.limited(toBytes: 1)) }
            let error = #expect(throws: AttentionError.self) { try run(inputs(keys: 5), context, softcap: 2) }
            guard case .unsupported(let name, _, let reasons)? = error else {
                Issue.record("not a refusal")
                return
            }
            #expect(name == "counting")
            #expect(reasons.map(\.aspect) == [.softcap])
        }
    }
}
