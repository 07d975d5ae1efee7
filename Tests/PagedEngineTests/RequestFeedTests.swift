import PagedEngine
import Testing

/// News of requests for one reader: nothing is lost, little is kept, and a reason comes before its consequences.
// The limit is for a feed that hangs: each resumption waits behind every other test that is ready to run.
@Suite(.timeLimit(.minutes(20))) struct RequestFeedTests {
    private static func llm(_ options: EngineOptions = EngineOptions(pageSize: 4, pageCount: 200)) throws -> LLM {
        try LLM(model: EngineSupport.folder + "/llama3-f16", options: options, registry: EngineSupport.registry)
    }

    private static let prompts: [(prompt: Prompt, mode: GenerationRequest.Mode)] = [
        (.tokens([9, 8, 7]), .sampling(SamplingParams(n: 2, seed: 4, ignoreEos: true, maxTokens: 90))),
        (.tokens([3, 4]), .sampling(SamplingParams(seed: 5, ignoreEos: true, maxTokens: 60))),
    ]

    /// Tokens by request and continuation, and results by request.
    private static func readAll(_ feed: RequestFeed) async -> (tokens: [[Int]: [Int]], outputs: [Int: RequestOutput]) {
        var tokens: [[Int]: [Int]] = [:]
        var outputs: [Int: RequestOutput] = [:]
        while outputs.count < prompts.count {
            for news in await feed.next() {
                switch news {
                case .delta(let request, let delta): tokens[[request, delta.index], default: []] += delta.tokenIds
                case .ended(let request, .success(let output)): outputs[request] = output
                case .accepted: break
                case .ended(_, .failure), .interrupted:
                    Issue.record("\(news)")
                    return (tokens, outputs)
                }
            }
        }
        return (tokens, outputs)
    }

    @Test func newsOfEveryRequestAddUp() async throws {
        let llm = try Self.llm()
        let (tokens, outputs) = await Self.readAll(llm.open(Self.prompts))
        #expect(llm.snapshot.running == 0)
        for (request, output) in outputs {
            for completion in output.outputs { #expect(tokens[[request, completion.index]] == completion.tokenIds) }
        }
    }

    @Test func whatASlowReaderMissesIsJoined() async throws {
        let llm = try Self.llm()
        let feed = llm.open(Self.prompts)
        // Nobody reads until all is done: a request that came later and is longer has ended.
        _ = try await llm.generate([.tokens([1])], SamplingParams(ignoreEos: true, maxTokens: 95))
        let pieces = await feed.next()
        // 240 tokens in some tens of pieces, and nothing of them is missing.
        #expect(pieces.count < 60)
        var tokens: [[Int]: [Int]] = [:]
        for case .delta(let request, let delta) in pieces {
            tokens[[request, delta.index], default: []] += delta.tokenIds
        }
        #expect(tokens[[0, 0]]?.count == 90 && tokens[[0, 1]]?.count == 90 && tokens[[1, 0]]?.count == 60)
        for case .ended(let request, .success(let output)) in pieces {
            for completion in output.outputs { #expect(tokens[[request, completion.index]] == completion.tokenIds) }
        }
    }

    @Test func anInterruptionEndsTheRequestsAndSaysWhyFirst() async throws {
        // One at a time, many behind it: some are unfinished however late the reader gets its turn.
        let requests = 300
        let llm = try Self.llm(EngineOptions(pageSize: 4, pageCount: 200, maxNumSeqs: 1))
        let feed = llm.open(
            (0..<requests).map { _ in
                (.tokens([9, 8]), .sampling(SamplingParams(temperature: 0, ignoreEos: true, maxTokens: 90)))
            })
        var reasons: [RequestFeed.Interruption] = []
        var ended: Set<Int> = []
        var aborted = 0
        while ended.count < requests {
            for news in await feed.next() {
                switch news {
                case .interrupted(let reason): reasons.append(reason)
                case .ended(let request, .success(let output)):
                    #expect(ended.insert(request).inserted)
                    guard output.outputs[0].finishReason == .abort else { continue }
                    aborted += 1
                    #expect(reasons == [.timeout])
                // A step that was under way brings its tokens.
                case .delta, .accepted: break
                // The engine may not have had time to queue it.
                case .ended(let request, .failure(.closed)):
                    #expect(ended.insert(request).inserted)
                    #expect(reasons == [.timeout])
                case .ended(_, .failure(let error)): Issue.record("\(error)")
                }
            }
            feed.interrupt(.timeout)
            feed.interrupt(.shutdown)
        }
        #expect(reasons == [.timeout])
        #expect(aborted > 0)
        #expect(await llm.statistics().freePages == 200)
    }

    @Test func aFullQueueRefusesAndSaysSo() async throws {
        var options = EngineOptions(pageSize: 4, pageCount: 200, maxNumSeqs: 1, maxQueue: 1)
        options.maxNumBatchedTokens = 16
        let llm = try Self.llm(options)
        let feeds = (0..<8).map { _ in
            llm.open([(.tokens([9, 8]), .sampling(SamplingParams(temperature: 0, ignoreEos: true, maxTokens: 40)))])
        }
        var refused = 0
        for feed in feeds {
            var open = true
            while open {
                for case .ended(_, let result) in await feed.next() {
                    open = false
                    if case .failure(.scheduling(.queueFull(limit: 1))) = result { refused += 1 }
                }
            }
        }
        #expect((1...7).contains(refused))
    }

    @Test func nudgesBreakOffAWait() async throws {
        let llm = try Self.llm()
        let feed = llm.open([])
        let task = Task { await feed.next().isEmpty }
        while !task.isCancelled {
            feed.nudge()
            try await Task.sleep(for: .milliseconds(5))
            task.cancel()
        }
        #expect(await task.value)
    }
}
