import AttentionCore
import PagedEngine
import TensorCore
import Testing
import TransformerBlocks

/// A model whose layers all have a window: pages go back while requests run, and nobody notices.
@Suite struct SlidingWindowTests {
    /// The window of the checkpoint, far shorter than the texts.
    private static let window = 6

    private static func options(
        pageSize: Int = 4, pageCount: Int = 200, swapPages: Int = 0, tokens: Int = 16, sequences: Int = 16,
        caching: Bool = true
    ) throws -> EngineOptions {
        let layers = try EngineSupport.model("mistral").network.attentionLayers
        let pageBytes = layers.reduce(0) { $0 + 2 * pageSize * $1.kvHeads * $1.headDim * 4 }
        return EngineOptions(
            pageSize: pageSize, pageCount: pageCount, swapSpace: swapPages * pageBytes, prefixCaching: caching,
            maxNumBatchedTokens: tokens, maxNumSeqs: sequences)
    }

    private static func request(_ prompt: Range<Int> = 3..<43, maxTokens: Int = 50) -> GenerationRequest {
        GenerationRequest(
            id: 0, prompt: .tokens(Array(prompt)),
            mode: .sampling(SamplingParams(temperature: 0, ignoreEos: true, maxTokens: maxTokens, logprobs: 3)))
    }

    /// What every request of the mixture says alone where no page goes back.
    private static let alone = Result {
        let model = try EngineSupport.model("mistral")
        return try EngineSupport.mixture(40).map { request in
            let engine = try Engine(model, options: options(caching: false), givesBackHidden: false)
            return try EngineSupport.run(engine, [request])[request.id]
        }
    }

    @Test(arguments: [(1, 7), (4, 2), (4, 16), (5, 64), (16, 16)])
    func pagesInUseStayWithinTheWindowAndTheStep(pageSize: Int, tokens: Int) throws {
        let bound = (Self.window - 1 + tokens + pageSize - 2) / pageSize + 1
        var most = [0, 0]
        var outputs: [[CompletionOutput]?] = []
        for (place, givesBack) in [false, true].enumerated() {
            // The pool itself has no more than the keys before the rows of a step and the rows can need.
            let engine = try Engine(
                EngineSupport.model("mistral"),
                options: Self.options(
                    pageSize: pageSize, pageCount: givesBack ? bound : 200, tokens: tokens, sequences: 2),
                givesBackHidden: givesBack)
            outputs.append(
                try EngineSupport.run(engine, [Self.request()]) { engine, _ in
                    most[place] = max(most[place], engine.scheduler.blocks.statistics.physicalPages)
                }[0]?.outputs)
            #expect(engine.scheduler.blocks.freePageCount == engine.pageCount)
        }
        // Log-probabilities are compared as well: the logits have the same bits.
        #expect(outputs[0] != nil && outputs[0] == outputs[1])
        #expect(outputs[1]?.first?.tokenIds.count == 50)
        // 40 + 50 tokens, the last of them not computed, lie in `all` pages.
        let all = (89 + pageSize - 1) / pageSize
        #expect(most[0] >= all - 1)
        #expect(most[1] <= (Self.window + pageSize - 3) / pageSize + 1)
        #expect(bound < all)
    }

    @Test(arguments: [(4, 40, 0), (4, 40, 30), (3, 45, 60), (1, 400, 0)])
    func manyRequestsSayWhatTheySayAloneWithAllPages(pageSize: Int, pages: Int, swapPages: Int) throws {
        let engine = try Engine(
            EngineSupport.model("mistral"),
            options: Self.options(pageSize: pageSize, pageCount: pages, swapPages: swapPages, tokens: 33, sequences: 24)
        )
        let together = try EngineSupport.run(engine, EngineSupport.mixture(40))
        for (id, expected) in try Self.alone.get().enumerated() {
            let expected = try #require(expected)
            let output = try #require(together[id])
            #expect(output.outputs == expected.outputs, "request \(id)")
            #expect(output.promptLogprobs == expected.promptLogprobs, "request \(id)")
        }
        let statistics = engine.scheduler.blocks.statistics
        #expect(statistics.freePages == engine.pageCount && statistics.freeSwapPages == swapPages)
        let preemptions = engine.scheduler.preemptions
        if pages < 100 { #expect(preemptions.swapped + preemptions.recomputed > 0) }
        if swapPages > 0 { #expect(preemptions.swapped > 0) }
    }

    @Test func whatAStepSeesIsEnoughToBeAdmitted() throws {
        // 5 keys before the rows and 16 rows, at the worst place, lie in 6 pages; the whole text in 23.
        let options = try Self.options(pageCount: 6, sequences: 1)
        let engine = try Engine(EngineSupport.model("mistral"), options: options)
        let output = try EngineSupport.run(engine, [Self.request()])[0]
        let roomy = try Engine(EngineSupport.model("mistral"), options: Self.options(), givesBackHidden: false)
        #expect(try output?.outputs == EngineSupport.run(roomy, [Self.request()])[0]?.outputs)
        let refusals = try [(6, false), (5, true)].map { pages, givesBack in
            let engine = try Engine(
                EngineSupport.model("mistral"), options: Self.options(pageCount: pages, sequences: 1),
                givesBackHidden: givesBack)
            do {
                try engine.add(Self.request())
                return "nothing was thrown"
            } catch {
                return "\(error)"
            }
        }
        #expect(refusals[0].contains("may need 23 pages"))
        #expect(refusals[1].contains("may need 6 pages"))
    }

    @Test func aPromptIsHitByItsLastWindow() throws {
        let engine = try Engine(EngineSupport.model("mistral"), options: Self.options(pageCount: 8))
        let first = try EngineSupport.run(engine, [Self.request(maxTokens: 4)])[0]
        let second = try EngineSupport.run(engine, [Self.request(maxTokens: 4)])[0]
        // The first pages of the text, which has 11, were taken for the last.
        #expect(first?.cachedTokens == 0 && second?.cachedTokens == 36)
        #expect(first?.outputs == second?.outputs)
    }

    @Test func operatorsThatDoNotReadPagesSeeTheSame() throws {
        for name in ["flash", "full", "local"] {
            let model = try EngineSupport.model("mistral", attention: [AttentionSpecification(name: name)])
            let outputs = try [true, false].map { givesBack in
                try EngineSupport.run(
                    Engine(model, options: Self.options(), givesBackHidden: givesBack), [Self.request()])[0]?.outputs
            }
            #expect(outputs[0] != nil && outputs[0] == outputs[1], "\(name)")
        }
    }

    @Test func oneLayerThatSeesAllKeepsAllPages() throws {
        // Layers alternate, and share a table of pages.
        let engine = try Engine(EngineSupport.model("gemma2"), options: Self.options(sequences: 1))
        #expect(engine.scheduler.blocks.geometry.window == nil)
        let windowed = try Engine(EngineSupport.model("mistral"), options: Self.options(sequences: 1))
        #expect(windowed.scheduler.blocks.geometry.window == Self.window)
    }

    /// The bound of admission holds in every step of a request that runs alone, and is met somewhere.
    @Test func noRequestEverHasMorePagesThanWerePromised() throws {
        var met = 0
        var random = CounterRandom(seed: 5)
        for size in 1...5 {
            for window in [2, 3, 4, 5, 8, 13] {
                for width in 1...3 {
                    let prompt = Int.random(in: 1...30, using: &random)
                    let request = EngineRequest(
                        id: 0, prompt: (0..<prompt).map { $0 % FakeModel.vocabulary },
                        decoding: .sampling(candidates: width), maxTokens: Int.random(in: 2...30, using: &random))
                    met += try most(request, size: size, window: window, budget: 3 + (window * size) % 5)
                }
            }
        }
        #expect(met > 10)
    }

    /// Runs a request in the smallest pool that admits it; returns 1 where all of the pool is used at once.
    private func most(_ request: EngineRequest, size: Int, window: Int, budget: Int) throws -> Int {
        func scheduler(_ pages: Int) throws -> Scheduler {
            try Scheduler(
                SchedulerConfiguration(maxNumBatchedTokens: budget, maxNumSeqs: 3, maxModelLen: 80),
                blocks: BlockManager(pageCount: pages, pageSize: size, window: window))
        }
        func isAdmitted(_ pages: Int) throws -> Bool {
            var scheduler = try scheduler(pages)
            return (try? scheduler.add(request)) != nil
        }
        let pages = try #require(try (1..<200).first { try isAdmitted($0) })
        var running = try scheduler(pages)
        _ = try running.add(request)
        var model = FakeModel(pages: pages, size: size, swap: 0, window: window)
        var isMet = false
        var steps = 0
        while running.hasWork {
            let step = try running.schedule()
            // A request alone never gives way to itself.
            #expect(!step.sequences.isEmpty && step.preempted.isEmpty)
            isMet = isMet || running.blocks.freePageCount == 0
            let results = try model.run(step, blocks: running.blocks) { sequence, value in
                guard case .sample(let indices) = sequence.demand else { return .computed }
                return .sampled(indices.map { SampledOutcome(token: FakeModel.token(value, index: $0)) })
            }
            _ = try running.finish(results)
            steps += 1
            try require(steps < 1000, "no end")
        }
        return isMet ? 1 : 0
    }
}
