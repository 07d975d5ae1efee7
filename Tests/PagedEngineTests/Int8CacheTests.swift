import AttentionCore
import Foundation
import Kernels
import PagedEngine
import TensorCore
import Testing
import TransformerBlocks

/// A cache in INT8: what the engine says with it, and that scales go wherever bytes go.
@Suite struct Int8CacheTests {
    private static func options(
        _ dtype: DType = .int8, pageSize: Int = 4, pageCount: Int? = 400, swapSpace: Int = 0, tokens: Int = 64,
        sequences: Int = 32, caching: Bool = true
    ) -> EngineOptions {
        EngineOptions(
            pageSize: pageSize, cacheDType: dtype, pageCount: pageCount, swapSpace: swapSpace, prefixCaching: caching,
            maxNumBatchedTokens: tokens, maxNumSeqs: sequences)
    }

    private static func pageBytes(_ model: EngineModel, _ dtype: DType = .int8, pageSize: Int = 4) -> Int {
        CacheShape(layers: model.network.attentionLayers, pageSize: pageSize, dtype: dtype).pageBytes
    }

    private static func request(_ prompt: [Int], id: Int = 0, maxTokens: Int = 20) -> GenerationRequest {
        let params = SamplingParams(
            temperature: 0, ignoreEos: true, maxTokens: maxTokens, logprobs: 3, promptLogprobs: 3)
        return GenerationRequest(id: id, prompt: .tokens(prompt), mode: .sampling(params))
    }

    /// What a model says of every token of a text but the first.
    private static func logprobs(_ logits: Tensor, of tokens: [Int]) throws -> [[TokenLogprob]] {
        let cells = logits.floats()
        let width = logits.shape[1]
        return try (1..<tokens.count).map { place in
            try Array(cells[(place - 1) * width..<place * width]).withUnsafeBufferPointer {
                try Sampler().logprobs(logits: $0, chosen: tokens[place], count: 3)
            }
        }
    }

    // MARK: What is said

    @Test(arguments: EngineSupport.names, [(16, 64), (3, 5), (1, 1)])
    func theEngineSaysWhatThePlainModelSaysOfRoundedKeys(name: String, cut: (pageSize: Int, tokens: Int)) throws {
        for isa in ComputeContext.availableISAs {
            let model = try EngineSupport.model(name, isa: isa)
            let prompt = (0..<min(30, model.maximumLength - 5)).map { 3 + $0 * 7 % 150 }
            let count = min(12, model.maximumLength - prompt.count - 1)
            let engine = try Engine(
                model, options: Self.options(pageSize: cut.pageSize, tokens: cut.tokens, sequences: 1))
            let output = try #require(
                try EngineSupport.run(engine, [Self.request(prompt, maxTokens: count)])[0])
            let said = try #require(output.outputs.first)
            let tokens = prompt + said.tokenIds
            let logits = try model.network.forward(RaggedBatch([tokens]), store: RoundingStore(.paged))
            let expected = try Self.logprobs(logits, of: tokens)
            let prompts = try #require(output.promptLogprobs)
            // To the last bit: bytes and scales are those of `quantizingKeys`, in the slots where they belong.
            #expect(prompts.dropFirst().elementsEqual(expected.prefix(prompt.count - 1)) { $0 == $1 }, "\(isa)")
            #expect(said.logprobs == Array(expected.suffix(count)), "\(isa)")
        }
    }

    @Test(arguments: EngineSupport.names)
    func roundedKeysStayNear(name: String) throws {
        let model = try EngineSupport.model(name)
        let batch = try RaggedBatch([(0..<min(40, model.maximumLength)).map { 3 + $0 * 11 % 150 }])
        let exact = try model.network.forward(batch).doubles()
        let rounded = try model.network.forward(batch, store: RoundingStore(.paged)).doubles()
        let reference = try model.network.forward(batch, store: RoundingStore(.reference)).doubles()
        func distance(_ left: [Double], _ right: [Double]) -> Double {
            zip(left, right).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
        }
        let change = distance(rounded, exact)
        #expect(change > 0 && change < 0.03 * distance(exact, exact.map { _ in 0 }))
        // Arithmetic adds little to what rounding changes.
        #expect(distance(rounded, reference) < 0.1 * change)
    }

    @Test func operatorsThatReadNeitherPagesNorBytesServeIt() throws {
        let prompt = Array(5..<25)
        func said(_ attention: [AttentionSpecification], _ options: EngineOptions) throws -> CompletionOutput {
            let engine = try Engine(EngineSupport.model("gemma2", attention: attention), options: options)
            return try #require(try EngineSupport.run(engine, [Self.request(prompt)])[0]?.outputs.first)
        }
        let expected = try said([], Self.options())
        let exact = try said([], Self.options(.float32))
        // `flash` reads bytes but no pages, the others neither.
        for name in ["flash", "full", "block-sparse"] {
            var mixed = Self.options()
            mixed.prefillAttention = AttentionSpecification(name: name)
            mixed.decodeAttention = AttentionSpecification(name: "grouped-query")
            for result in try [said([AttentionSpecification(name: name)], Self.options()), said([], mixed)] {
                #expect(result.tokenIds == expected.tokenIds, "\(name)")
                for (left, right) in zip(result.logprobs ?? [], expected.logprobs ?? []) {
                    #expect(abs(left[0].logprob - right[0].logprob) < 1e-3, "\(name)")
                }
            }
        }
        #expect(exact.logprobs != expected.logprobs)
    }

    @Test func operatorsThatCannotRunSayWhy() throws {
        var options = Self.options()
        options.prefillAttention = AttentionSpecification(name: "linformer")
        let engine = try Engine(EngineSupport.model("llama3-f16"), options: options)
        let error = #expect(throws: EngineError.self) {
            try EngineSupport.run(engine, [Self.request([3, 4, 5])])
        }
        guard case .model(.attention(_, .unsupported("linformer", _, let reasons))) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        // All of them, those that the cache could have helped among them.
        #expect(Set(reasons.map(\.aspect)).isSuperset(of: [.causal, .pages, .int8Keys]))
    }

    // MARK: Where scales go

    /// What every request of the mixture says alone, each in an engine of its own.
    private static let alone = Result {
        let model = try EngineSupport.model("qwen3-bf16")
        return try EngineSupport.mixture(48).map { request in
            try EngineSupport.run(Engine(model, options: options(caching: false)), [request])[request.id]
        }
    }

    /// Copies at divergent writes, shared prompts, recomputation, and swapping to memory and to a file.
    @Test(arguments: [(400, 0, false), (24, 0, false), (24, 20, false), (24, 20, true)])
    func manyRequestsSayWhatTheySayAlone(pages: Int, swapPages: Int, isInFile: Bool) throws {
        let model = try EngineSupport.model("qwen3-bf16")
        var options = Self.options(
            pageCount: pages * 4, swapSpace: swapPages * Self.pageBytes(model), tokens: pages == 400 ? 500 : 33,
            sequences: 24)
        if isInFile { options.swapDirectory = FileManager.default.temporaryDirectory.path }
        let engine = try Engine(model, options: options)
        #expect(engine.scheduler.blocks.statistics.freeSwapPages == swapPages)
        let together = try EngineSupport.run(engine, EngineSupport.mixture(48))
        for (id, expected) in try Self.alone.get().enumerated() {
            let (expected, output) = (try #require(expected), try #require(together[id]))
            // Log-probabilities are compared as well: the logits have the same bits.
            #expect(output.outputs == expected.outputs, "request \(id)")
            #expect(output.promptLogprobs == expected.promptLogprobs, "request \(id)")
        }
        #expect(engine.scheduler.blocks.freePageCount == engine.pageCount)
        if swapPages > 0 { #expect(engine.scheduler.preemptions.swapped > 0) }
        if pages < 40, swapPages == 0 { #expect(engine.scheduler.preemptions.recomputed > 0) }
    }

    @Test func cachedPromptsAreNotComputedAgain() throws {
        let engine = try Engine(EngineSupport.model("llama3-f16"), options: Self.options())
        let params = SamplingParams(temperature: 0, maxTokens: 8, logprobs: 1)
        let outputs = try (0..<2).map { id in
            try EngineSupport.run(
                engine, [GenerationRequest(id: id, prompt: .tokens(Array(3..<60)), mode: .sampling(params))])[id]
        }
        #expect(outputs.map { $0?.cachedTokens } == [0, 56])
        #expect(outputs[0]?.outputs == outputs[1]?.outputs)
    }

    @Test func pagesThatAWindowHidesAreGivenBack() throws {
        let request = Self.request(Array(3..<43), maxTokens: 50)
        let outputs = try [true, false].map { givesBack in
            try EngineSupport.run(
                Engine(
                    EngineSupport.model("mistral"), options: Self.options(tokens: 16, sequences: 1),
                    givesBackHidden: givesBack),
                [request])[0]?.outputs
        }
        #expect(outputs[0] != nil && outputs[0] == outputs[1])
    }

    // MARK: Bytes

    @Test func scalesAreCounted() throws {
        let model = try EngineSupport.model("llama3-f16")
        // Two layers of two key heads of ten channels: keys and values, a byte each, and four for the scale.
        #expect(Self.pageBytes(model, pageSize: 16) == 2 * 2 * 16 * 2 * (10 + 4))
        #expect(Self.pageBytes(model, .float32, pageSize: 16) == 2 * 2 * 16 * 2 * 10 * 4)
        #expect(Self.pageBytes(model, .bfloat16, pageSize: 16) == 2 * 2 * 16 * 2 * 10 * 2)
        let pages = 1 << 36
        let needed = try [DType.int8, .float32].map { dtype in
            do {
                _ = try Engine(model, options: Self.options(dtype, pageSize: 16, pageCount: pages))
            } catch EngineError.memory(let needed, _, _) {
                return needed
            }
            return 0
        }
        #expect(needed[1] - needed[0] == pages * 2 * 2 * 16 * 2 * (40 - 14))
    }

    // MARK: What bytes cannot hold

    /// Seeded weights with a token whose embedding is no number.
    private struct BrokenToken: WeightSource {
        let token: Int
        let odd: Float
        private let seeded = SeededWeights(seed: 3, deviation: 0.3)
        var origin: String { seeded.origin }
        var names: [String] { seeded.names }

        init(token: Int, odd: Float) {
            self.token = token
            self.odd = odd
        }

        func tensor(for parameter: ParameterDescription) -> Tensor? {
            guard parameter.name == "layers.0.weight", let tensor = seeded.tensor(for: parameter) else {
                return seeded.tensor(for: parameter)
            }
            var numbers = tensor.floats()
            numbers[token * tensor.shape[1]] = odd
            return try? Tensor(numbers, shape: tensor.shape)
        }
    }

    private static func model(_ weights: any WeightSource) throws -> EngineModel {
        let model = Transformer(width: 16) {
            TokenEmbedding(vocabulary: 37)
            PositionEmbedding(length: 64)
            for _ in 0..<2 {
                Residual {
                    LayerNorm()
                    SelfAttention(
                        heads: 4, kvHeads: 2, using: .init(name: AttentionSpecification.automatic), mask: .causal)
                }
            }
            LayerNorm()
            LanguageModelHead(tied: false)
        }.model
        return EngineModel(
            network: try Network(model, weights: weights, registry: EngineSupport.registry),
            registry: EngineSupport.registry, vocabulary: 37, maximumLength: 64, eosTokenIds: [], tokenizer: nil)
    }

    /// Runs requests; what became of each.
    private static func ends(
        _ engine: Engine, _ requests: [GenerationRequest]
    ) throws -> [Int: Result<RequestOutput, EngineError>] {
        var ends: [Int: Result<RequestOutput, EngineError>] = [:]
        for request in requests { try engine.add(request) }
        while engine.hasWork {
            for event in try engine.step() {
                switch event {
                case .failed(let id, let error): ends[id] = .failure(error)
                case .finished(let id, let output): ends[id] = .success(output)
                case .delta: break
                }
            }
        }
        return ends
    }

    @Test(arguments: [Float.nan, .infinity])
    func aRequestThatIsNoNumberFailsAloneAndLeavesNothing(odd: Float) throws {
        let model = try Self.model(BrokenToken(token: 36, odd: odd))
        let good = Self.request([3, 1, 4, 1, 5, 9, 2, 6], maxTokens: 30)
        // The last token is a number; what it sees is not.
        let bad = GenerationRequest(
            id: 1, prompt: .tokens([7, 8, 36, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4]),
            mode: .sampling(SamplingParams(temperature: 0, maxTokens: 30)))
        // Six pages for five: what comes later is written where numbers were none.
        let options = Self.options(pageSize: 8, pageCount: 6, caching: false)
        let expected = try EngineSupport.run(Engine(model, options: options), [good])[0]
        let engine = try Engine(model, options: options)
        let roomy = try Engine(model, options: Self.options(pageSize: 8, caching: false))
        for (engine, requests) in [(engine, [bad]), (engine, [good]), (engine, [good]), (roomy, [good, bad])] {
            let ends = try Self.ends(engine, requests)
            #expect(ends.count == requests.count)
            if requests[0].id == 0 {
                let output = try #require(try ends[0]?.get())
                #expect(output.outputs == expected?.outputs && output.promptLogprobs == expected?.promptLogprobs)
            }
            guard requests.last?.id == 1 else { continue }
            guard case .failure(.sampling(.invalidLogit)) = ends[1] else {
                Issue.record("\(String(describing: ends[1]))")
                continue
            }
        }
        #expect(engine.scheduler.blocks.freePageCount == engine.pageCount)
    }
}
