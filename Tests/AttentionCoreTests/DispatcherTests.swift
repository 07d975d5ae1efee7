import AttentionCore
import Foundation
import Kernels
import TensorCore
import Testing

@Suite struct DispatcherTests {
    private let context: ComputeContext
    private let problem = AttentionProblem(queryLength: 16, heads: 4, headDim: 64)

    init() throws { context = try ComputeContext(threads: 1) }

    private func order(_ registry: OperatorRegistry, _ cost: Dispatcher.MeasuredCost = { _, _ in nil }) -> [String] {
        Dispatcher.explain(problem, registry: registry, context: context, measuredCost: cost).candidates.map(\.id)
    }

    @Test func priorityDecides() throws {
        let registry = try OperatorRegistry.test()
        #expect(order(registry) == ["flash", "full", "tuned", "narrow"])
        let explanation = Dispatcher.explain(problem, registry: registry, context: context)
        #expect(explanation.chosen == "flash")
        #expect(explanation.candidates.map(\.isChosen) == [true, false, false, false])
        #expect(try Dispatcher.choose(problem, registry: registry, context: context).id == "flash")
    }

    @Test func workingMemoryThenOrderBreakTies() throws {
        var registry = OperatorRegistry()
        try registry.register(PlainOperator.self, as: .test("first", priority: 1))
        try registry.register(PlainOperator.self, as: .test("second", priority: 1))
        try registry.register(LeanOperator.self, as: .test("lean", priority: 1))
        #expect(order(registry) == ["lean", "first", "second"])
    }

    @Test func measurementsOutrankPriority() throws {
        let registry = try OperatorRegistry.test()
        #expect(
            order(registry) { id, _ in ["flash": 3, "full": 2, "tuned": 1][id] } == [
                "tuned", "full", "flash", "narrow",
            ])
        #expect(order(registry) { id, _ in id == "tuned" ? 9 : nil } == ["tuned", "flash", "full", "narrow"])
        let chosen = try Dispatcher.choose(problem, registry: registry, context: context) { id, _ in
            id == "full" ? 1 : nil
        }
        #expect(chosen.id == "full")
    }

    @Test func explainsForPeople() throws {
        let explanation = Dispatcher.explain(
            problem, registry: try OperatorRegistry.test(), context: context
        ) { id, _ in id == "full" ? 0.5 : nil }
        #expect(
            explanation.description == """
                problem  query [1, 16, 4, 64], key [1, 16, 4, 64], value [1, 16, 4, 64] F32
                chosen   full
                * full: measured 0.5 s, priority 10, tiles of 16 queries and 32 keys, 4 tasks, 100 bytes of working memory
                + flash: priority 50, tiles of 16 queries and 32 keys, 4 tasks, 10 bytes of working memory
                + tuned: priority 5, tiles of 16 queries and 32 keys, 4 tasks, 100 bytes of working memory
                - narrow cannot run it:
                    dtype: holds F32; convert to one of F16
                """)
    }

    @Test func otherMathematicsIsNeverChosen() throws {
        var registry = OperatorRegistry()
        try registry.register(NearOperator.self, as: .test("near", priority: 99))
        try registry.register(ShortOperator.self, as: .test("short", priority: 98))
        let error = #expect(throws: AttentionError.self) {
            try Dispatcher.choose(problem, registry: registry, context: context)
        }
        #expect(
            error?.description == """
                auto cannot run query [1, 16, 4, 64], key [1, 16, 4, 64], value [1, 16, 4, 64] F32:
                  - configuration: computes something else, which only approximates; taken only when it is named \
                (near); name it to use it
                  - configuration: attends by a pattern of its own; taken only when it is named (short); name it to use it
                """)
        #expect(Dispatcher.explain(problem, registry: registry, context: context).chosen == nil)
        try registry.register(PlainOperator.self, as: .test("full", priority: 1))
        // Not even a measurement lets another mathematics in.
        let explanation = Dispatcher.explain(problem, registry: registry, context: context) { id, _ in
            id == "near" ? 1e-9 : nil
        }
        #expect(explanation.chosen == "full")
        #expect(explanation.candidates.map(\.id) == ["full", "near", "short"])
        #expect(explanation.candidates.map(\.mark) == ["*", "~", "~"])
        #expect(try Dispatcher.choose(problem, registry: registry, context: context).id == "full")
    }

    @Test func explainsForPrograms() throws {
        let explanation = Dispatcher.explain(problem, registry: try OperatorRegistry.test(), context: context)
        let data = try JSONEncoder().encode(explanation)
        #expect(try JSONDecoder().decode(DispatchExplanation.self, from: data) == explanation)
        let value = try JSONDecoder().decode(ConfigurationValue.self, from: data)
        guard case .object(let fields) = value else {
            Issue.record("\(value)")
            return
        }
        #expect(Set(fields.keys) == ["problem", "chosen", "candidates"])
    }

    @Test func everyFeatureHasARemedy() throws {
        let problem = AttentionProblem(
            queryLength: 16, keyLength: 32, heads: 8, kvHeads: 2, headDim: 64, valueDim: 32, dtype: .float16,
            options: .init(
                mask: .and([.causal, .or([.prefix(length: 3), .window(left: 1, right: 1)])]), softcap: 3, dropout: 0.5),
            queryLengths: [3], keyLengths: [4], biasShape: [1], maskShape: [1], hasALiBi: true, hasSinks: true)
        let reasons = try OperatorRegistry.test()["narrow"].unsupportedReasons(for: problem).map(\.description)
        #expect(
            reasons == [
                "alibi: is not supported; leave alibi out", "bias: is not supported; leave bias out",
                "causal: is not supported; set causal to false",
                "cross-length: is not supported; use as many keys as queries",
                "dense-mask: is not supported; leave the mask tensor out",
                "dropout: is not supported; set dropout to 0", "grouped-query: is not supported; use 8 key heads",
                "key-lengths: is not supported; run sequences of different lengths one by one",
                "mask-algebra: is not supported; use causal, window or both",
                "query-lengths: is not supported; run sequences of different lengths one by one",
                "sinks: is not supported; leave sinks out", "softcap: is not supported; leave softcap out",
                "value-dim: is not supported; use a value head of 64",
            ])
    }

    @Test func nobodyEligibleListsEveryReasonOnce() throws {
        var registry = OperatorRegistry()
        try registry.register(NarrowOperator.self, as: .test("narrow"))
        try registry.register(NarrowOperator.self, as: .test("slim", priority: 1))
        try registry.register(DemandingOperator.self, as: .test("ranked"))
        let error = #expect(throws: AttentionError.self) {
            try Dispatcher.choose(problem, registry: registry, context: context)
        }
        #expect(
            error?.description == """
                auto cannot run query [1, 16, 4, 64], key [1, 16, 4, 64], value [1, 16, 4, 64] F32:
                  - dtype: holds F32 (slim, narrow); convert to one of F16
                  - configuration: option 'rank' is absent; expected a whole number (ranked); name it with its options
                """)
        #expect(Dispatcher.explain(problem, registry: registry, context: context).chosen == nil)
    }

    @Test func resolvedAttentionRunsTheNamedOrTheChosenOperator() throws {
        let registry = try OperatorRegistry.test()
        let automatic = try AttentionSpecification(json: #"{"causal": true}"#).resolve(in: registry)
        #expect(try automatic.choose(for: problem, context: context).id == "flash")
        let named = try AttentionSpecification(json: "narrow").resolve(in: registry)
        let error = #expect(throws: AttentionError.self) { try named.choose(for: problem, context: context) }
        #expect(error?.description.hasPrefix("narrow cannot run query [1, 16, 4, 64]") == true)
        #expect(automatic.options(adding: .prefix(length: 2)).mask == .and([.causal, .prefix(length: 2)]))
        #expect(named.options(adding: .causal).mask == .causal)
    }

    @Test func documentsAnOperator() throws {
        let page = try OperatorDocument.render("tuned", in: try OperatorRegistry.test())
        let lines = Set(page.split(separator: "\n").map(String.init))
        #expect(page.hasPrefix("# Test of tuned\n\nComputes nothing.\n"))
        for line in [
            "| exactness | exact |", "| element types | F32, F16 |", "| `chunk` | keys of one step | 64 |",
            "| `grouped-query` | fewer key heads than query heads (GQA, MQA) | yes |",
            #"{"causal": true, "name": "tuned"}"#,
        ] {
            #expect(lines.contains(line), "\(line)")
        }
        let narrow = try OperatorDocument.render("narrow", in: try OperatorRegistry.test())
        #expect(narrow.contains("| `causal` | causal mask, either corner | no |"))
        #expect(narrow.contains("The operator has no options of its own."))
    }
}
