import AttentionCore
import AttentionOperators
import AttentionTesting
import Kernels
import TensorCore
import Testing

/// What operators do with a limit of bytes: the same bits with less, or a refusal that says how many it takes.
@Suite struct MemoryLimitTests {
    static let ids = OperatorRegistry.builtIn.entries.map(\.id)

    /// Problems of several tasks, key heads and sequences, for every operator of the registry.
    static let cases: [AttentionCase] = [
        make("plain") { _ in }, make("window") { $0.config = ["window": [40, 40]] },
        make("grouped-causal") {
            $0.config = ["causal": true]
            $0.kvHeads = 2
        },
        make("bf16") { $0.dtype = .bfloat16 },
        make("decode") {
            $0.queryLength = 3
            $0.keyLength = 5000
            $0.kvHeads = 2
        },
        make("longer") {
            $0.queryLength = 512
            $0.keyLength = 512
        },
    ]

    private static func make(_ name: String, _ edit: (inout AttentionCase) -> Void) -> AttentionCase {
        var result = AttentionCase(name, queryLength: 400, headDim: 32)
        result.heads = 4
        result.kvHeads = 4
        result.batch = 2
        edit(&result)
        return result
    }

    @Test(arguments: ids)
    func limitsChangeNoBit(id: String) throws {
        let configured = try OperatorRegistry.builtIn[id]
        let context = try ComputeContext(threads: 2)
        var ran = 0
        for attentionCase in Self.cases {
            let options = try attentionCase.options()
            let plain = attentionCase.inputs()
            let problem = try AttentionProblem(plain, options: options)
            guard configured.unsupportedReasons(for: problem).isEmpty else { continue }
            ran += 1
            let inputs = try configured.initialising(plain, options: options, seed: 5).inputs
            let free = configured.plan(problem, context: context).peakBytes
            let smallest = configured.plan(problem, context: context.limited(toBytes: 1)).peakBytes
            #expect(smallest <= free, "\(id) on \(attentionCase.name)")
            let expected = try configured.forward(inputs, options: options, context: context)
            for limit in [free, (free + smallest) / 2, smallest] {
                let limited = context.limited(toBytes: limit)
                #expect(configured.plan(problem, context: limited).peakBytes <= limit)
                #expect(configured.unsupportedReasons(for: problem, context: limited).isEmpty)
                let result = try configured.forward(inputs, options: options, context: limited)
                #expect(
                    result.output.bitwiseEquals(expected.output), "\(id) on \(attentionCase.name) in \(limit) bytes")
                #expect(
                    result.logSumExp.map { $0.bitwiseEquals(expected.logSumExp ?? $0) } ?? (expected.logSumExp == nil))
            }
            let shortage = MemoryShortage(maxBytes: smallest - 1, neededBytes: free, smallestBytes: smallest)
            let short = context.limited(toBytes: smallest - 1)
            #expect(configured.unsupportedReasons(for: problem, context: short).map(\.shortage) == [shortage])
            let error = #expect(throws: AttentionError.self) {
                try configured.forward(inputs, options: options, context: short)
            }
            guard case .unsupported(let name, _, let reasons) = error else { continue }
            #expect(name == id && reasons.map(\.aspect) == [.memory] && reasons.map(\.shortage) == [shortage])
        }
        #expect(ran >= 1, "\(id) ran \(ran) cases")
    }

    @Test(arguments: ids)
    func limitsChangeNoBitOfGradients(id: String) throws {
        let configured = try OperatorRegistry.builtIn[id]
        let context = try ComputeContext(threads: 2)
        var ran = 0
        for attentionCase in Self.cases {
            let prepared = try GradientCase(attentionCase).prepared(for: configured)
            let problem = prepared.problem
            guard
                (configured.unsupportedReasons(for: problem) + configured.unsupportedGradientReasons(for: problem))
                    .isEmpty
            else { continue }
            ran += 1
            let free = try #require(configured.gradientPlan(problem, context: context)).peakBytes
            let smallest = try #require(
                configured.gradientPlan(problem, context: context.limited(toBytes: 1))
            ).peakBytes
            let output = try configured.forward(prepared.inputs, options: prepared.options, context: context)
            func gradients(_ context: ComputeContext, output: AttentionOutput?) throws -> AttentionGradients {
                try configured.backward(
                    prepared.inputs, output: output, gradient: prepared.gradient, options: prepared.options,
                    context: context)
            }
            let expected = try gradients(context, output: output)
            for limit in [(free + smallest) / 2, smallest] {
                let result = try gradients(context.limited(toBytes: limit), output: output)
                for (own, other) in zip(result.named, expected.named) {
                    #expect(own.tensor.bitwiseEquals(other.tensor), "\(id) \(own.name) on \(attentionCase.name)")
                }
            }
            #expect(throws: AttentionError.self) {
                _ = try gradients(context.limited(toBytes: smallest - 1), output: output)
            }
            // An output that has to be computed counts too.
            #expect(throws: AttentionError.self) { _ = try gradients(context.limited(toBytes: smallest), output: nil) }
            let plan = configured.plan(problem, context: context)
            let room = max(plan.peakBytes, plan.resultBytes + smallest)
            let whole = try gradients(context.limited(toBytes: room), output: nil)
            #expect(whole.query.bitwiseEquals(expected.query))
        }
        #expect(ran >= 1, "\(id) ran \(ran) cases")
    }

    /// `auto` takes an operator that fits, though one of a higher priority does not.
    @Test func theDispatcherPassesOverOperatorsThatDoNotFit() throws {
        let registry = OperatorRegistry.builtIn
        let context = try ComputeContext(threads: 2)
        let problem = AttentionProblem(queryLength: 512, heads: 2, headDim: 256)
        let first = try Dispatcher.choose(problem, registry: registry, context: context)
        let limit = first.plan(problem, context: context.limited(toBytes: 1)).peakBytes - 1
        let explanation = Dispatcher.explain(
            problem, registry: registry, context: context.limited(toBytes: limit))
        let passed = try #require(explanation.candidates.first { $0.id == first.id })
        #expect(passed.reasons.first?.shortage?.smallestBytes == limit + 1)
        if let chosen = explanation.chosen {
            let plan = try registry[chosen].plan(problem, context: context.limited(toBytes: limit))
            #expect(chosen != first.id && plan.peakBytes <= limit)
        }
        #expect(throws: AttentionError.self) {
            try Dispatcher.choose(problem, registry: registry, context: context.limited(toBytes: 1000))
        }
    }

    @Test func impossibleLimitsAreRefused() {
        #expect(throws: ComputeContextError(variable: "maxBytes", expected: "a number from 1 up", actual: "0")) {
            try ComputeContext(maxBytes: 0)
        }
    }
}
