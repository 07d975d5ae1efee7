import AttentionCore
import Kernels
import PagedEngine
import TensorCore
import Testing
import TransformerBlocks

/// The engine on real, tiny checkpoints: what it says, and that nothing but the request decides it.
@Suite struct EngineTests {
    private static func options(
        pageSize: Int = 4, pageCount: Int? = 400, swapSpace: Int = 0, tokens: Int = 64, sequences: Int = 32,
        caching: Bool = true
    ) -> EngineOptions {
        EngineOptions(
            pageSize: pageSize, pageCount: pageCount, swapSpace: swapSpace, prefixCaching: caching,
            maxNumBatchedTokens: tokens, maxNumSeqs: sequences)
    }

    @Test(arguments: EngineSupport.names)
    func greedyTextIsThatOfTransformers(name: String) throws {
        let example = try #require(EngineSupport.cases[name])
        // A page of three, and a prompt in pieces of two.
        let model = try EngineSupport.model(name)
        let engine = try Engine(
            model, options: Self.options(pageSize: 3, pageCount: 40, tokens: 2, sequences: 2))
        // One checkpoint is of a model for 16 tokens, which transformers reads beyond them.
        let count = min(example.continuation.count, model.maximumLength - example.prompt.count)
        let params = SamplingParams(temperature: 0, ignoreEos: true, maxTokens: count)
        let output = try EngineSupport.run(
            engine, [GenerationRequest(id: 0, prompt: .tokens(example.prompt), mode: .sampling(params))])
        #expect(output[0]?.outputs.first?.tokenIds == Array(example.continuation.prefix(count)))
    }

    /// What every request of the mixture says alone, each in an engine of its own.
    private static let alone = Result {
        let model = try EngineSupport.model("qwen3-bf16")
        return try EngineSupport.mixture(64).map { request in
            let engine = try Engine(model, options: options(caching: false))
            return try EngineSupport.run(engine, [request])[request.id]
        }
    }

    @Test(arguments: [(24, 0), (24, 20), (40, 60), (400, 0)])
    func manyRequestsSayWhatTheySayAlone(pages: Int, swapPages: Int) throws {
        let model = try EngineSupport.model("qwen3-bf16")
        let pageBytes = model.network.attentionLayers.reduce(0) { $0 + 2 * 4 * $1.kvHeads * $1.headDim * 4 }
        let engine = try Engine(
            model,
            options: Self.options(
                pageCount: pages * 4, swapSpace: swapPages * pageBytes, tokens: pages == 400 ? 500 : 33, sequences: 24))
        let together = try EngineSupport.run(engine, EngineSupport.mixture(64))
        for (id, expected) in try Self.alone.get().enumerated() {
            let expected = try #require(expected)
            let output = try #require(together[id])
            // Log-probabilities are compared as well: the logits have the same bits.
            #expect(output.outputs == expected.outputs, "request \(id)")
            #expect(output.promptLogprobs == expected.promptLogprobs, "request \(id)")
        }
        // No page leaks: what is left belongs to nobody and may be used again.
        #expect(engine.scheduler.blocks.freePageCount == engine.pageCount)
        if pages < 40 { #expect(engine.scheduler.preemptions.swapped + engine.scheduler.preemptions.recomputed > 0) }
        if pages < 40, swapPages > 0 { #expect(engine.scheduler.preemptions.swapped > 0) }
    }

    @Test(arguments: [(1, 24), (7, 31), (16, 64), (50, 500)])
    func chunksPagesAndThreadsDoNotChangeABit(pageSize: Int, tokens: Int) throws {
        let requests = EngineSupport.mixture(12)
        let expected = try Self.alone.get()
        for threads in [1, 3] {
            let engine = try Engine(
                EngineSupport.model("qwen3-bf16", threads: threads),
                options: Self.options(pageSize: pageSize, pageCount: 800, tokens: tokens, sequences: 24))
            let outputs = try EngineSupport.run(engine, requests)
            for request in requests { #expect(outputs[request.id]?.outputs == expected[request.id]?.outputs) }
        }
    }

    @Test func cachedPromptsAreNotComputedAgain() throws {
        let engine = try Engine(EngineSupport.model("llama3-f16"), options: Self.options())
        let prompt = Array(3..<60)
        let params = SamplingParams(temperature: 0, maxTokens: 8, logprobs: 1)
        func ask(_ id: Int, salt: String = "") throws -> RequestOutput? {
            try EngineSupport.run(
                engine,
                [GenerationRequest(id: id, prompt: .tokens(prompt), mode: .sampling(params), cacheSalt: salt)])[id]
        }
        let first = try ask(0)
        let second = try ask(1)
        #expect(first?.cachedTokens == 0)
        #expect(second?.cachedTokens == 56)
        #expect(second?.outputs == first?.outputs)
        #expect(try ask(2, salt: "another user")?.cachedTokens == 0)
    }

    @Test func cancelledRequestsGiveTheirPagesBack() throws {
        let engine = try Engine(EngineSupport.model("llama3-f16"), options: Self.options(pageCount: 60, tokens: 32))
        var outputs: [Int: RequestOutput] = [:]
        let requests = EngineSupport.mixture(24, longest: 60)
        outputs = try EngineSupport.run(engine, requests) { engine, step in
            // Some while they wait, some while their prompt is computed, some while they go on.
            if let output = engine.cancel((step * 7) % 24) {
                #expect(output.outputs.allSatisfy { $0.finishReason != .length || !$0.tokenIds.isEmpty })
            }
        }
        #expect(engine.scheduler.blocks.freePageCount == engine.pageCount)
        #expect(outputs.count < 24)
    }

    @Test func anyOperatorServesTheCache() throws {
        let request = GenerationRequest(
            id: 0, prompt: .tokens(Array(5..<25)),
            mode: .sampling(SamplingParams(temperature: 0, ignoreEos: true, maxTokens: 20)))
        let expected = try EngineSupport.run(
            Engine(EngineSupport.model("gemma2"), options: Self.options()), [request])[0]?.outputs.first?.tokenIds
        for name in ["flash", "full", "memory-efficient"] {
            let engine = try Engine(
                EngineSupport.model("gemma2", attention: [AttentionSpecification(name: name)]), options: Self.options())
            #expect(try EngineSupport.run(engine, [request])[0]?.outputs.first?.tokenIds == expected, "\(name)")
            var options = Self.options()
            options.prefillAttention = AttentionSpecification(name: name)
            options.decodeAttention = AttentionSpecification(name: "grouped-query")
            let mixed = try Engine(EngineSupport.model("gemma2"), options: options)
            #expect(try EngineSupport.run(mixed, [request])[0]?.outputs.first?.tokenIds == expected, "\(name) mixed")
        }
    }

    @Test(arguments: [DType.float16, .bfloat16])
    func narrowCachesStayNear(dtype: DType) throws {
        var options = Self.options()
        let request = GenerationRequest(
            id: 0, prompt: .tokens(Array(5..<45)),
            mode: .sampling(SamplingParams(temperature: 0, maxTokens: 1, logprobs: 5)))
        let exact = try EngineSupport.run(Engine(EngineSupport.model("llama3-f16"), options: options), [request])[0]
        options.cacheDType = dtype
        let rounded = try EngineSupport.run(Engine(EngineSupport.model("llama3-f16"), options: options), [request])[0]
        let left = try #require(exact?.outputs.first?.logprobs?.first)
        let right = try #require(rounded?.outputs.first?.logprobs?.first)
        let limit: Float = dtype == .float16 ? 0.02 : 0.2
        for entry in left {
            guard let other = right.first(where: { $0.token == entry.token }) else { continue }
            #expect(abs(entry.logprob - other.logprob) < limit)
        }
        #expect(left != right)
    }
}
