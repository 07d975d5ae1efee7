import PagedEngine
import TensorCore
import Testing

/// Sampler, stop checker and scheduler together, as an engine uses them.
@Suite struct GenerationTests {
    private static let vocabulary = 12
    private static let letters = Array("abcdefghijkl").map(String.init)

    private static let prompts: [(prompt: [Int], params: SamplingParams)] = [
        ([1, 2, 3, 4, 5], .init(n: 3, seed: 5, maxTokens: 12)),
        ([1, 2, 3, 4, 5], .init(temperature: 0, stop: ["ab", "ka"], maxTokens: 14)),
        ([7], .init(n: 2, presencePenalty: 0.5, frequencyPenalty: 0.5, repetitionPenalty: 1.3, seed: 1, maxTokens: 15)),
        ([1, 2, 3, 4, 9, 9], .init(topP: 0.8, topK: 5, seed: 2, stopTokenIds: [3], maxTokens: 15, minTokens: 4)),
        ([8, 8, 8], .init(bestOf: 3, minP: 0.05, seed: 3, stop: ["dd", "cab"], maxTokens: 10)),
    ]

    /// The texts and ends of all requests, by request and number of the sequence.
    private func texts(pages: Int, swap: Int, budget: Int, requests: [Int]) throws -> [Int: [String]] {
        let size = 2
        var scheduler = try Scheduler(
            SchedulerConfiguration(maxNumBatchedTokens: budget, maxNumSeqs: 12, maxModelLen: 24),
            blocks: BlockManager(pageCount: pages, pageSize: size, swapPageCount: swap))
        var model = FakeModel(pages: pages, size: size, swap: swap)
        var sampler = Sampler()
        var plans: [Int: SamplingPlan] = [:]
        var checkers: [[Int]: StopChecker] = [:]
        var outputs: [[Int]: [Int]] = [:]
        var texts: [Int: [String]] = [:]
        for id in requests {
            let (prompt, params) = Self.prompts[id]
            let granted = try scheduler.add(
                EngineRequest(
                    id: id, prompt: prompt, decoding: .sampling(candidates: params.candidateCount),
                    maxTokens: params.maxTokens))
            plans[id] = try SamplingPlan(params, vocabulary: Self.vocabulary, eosTokenIds: [0], seed: 77)
            texts[id] = Array(repeating: "", count: params.candidateCount)
            for index in 0..<params.candidateCount {
                checkers[[id, index]] = StopChecker(params, eosTokenIds: [0], maxTokens: granted)
            }
        }
        while scheduler.hasWork {
            let step = try scheduler.schedule()
            let results = try model.run(step, blocks: scheduler.blocks) { sequence, value in
                guard case .sample(let indices) = sequence.demand, let plan = plans[sequence.request] else {
                    return .computed
                }
                let logits = randomLogits(Self.vocabulary, seed: value, amplitude: 3)
                return .sampled(
                    try indices.map { index in
                        let key = [sequence.request, index]
                        let sampled = try logits.withUnsafeBufferPointer {
                            try sampler.sample(
                                logits: $0, plan: plan, prompt: Self.prompts[sequence.request].prompt,
                                output: outputs[key] ?? [], sequenceIndex: index)
                        }
                        outputs[key, default: []].append(sampled.token)
                        let update = checkers[key]?.accept(token: sampled.token, text: Self.letters[sampled.token])
                        texts[sequence.request]?[index] += update?.text ?? ""
                        if let finish = update?.finish { texts[sequence.request]?[index] += " \(finish)" }
                        return SampledOutcome(
                            token: sampled.token, logprob: Double(sampled.logprob ?? 0), finish: update?.finish)
                    })
            }
            _ = try scheduler.finish(results)
        }
        // Memory runs short in the small pools, or they would show nothing.
        let preemptions = scheduler.preemptions.swapped + scheduler.preemptions.recomputed
        #expect((preemptions > 0) == (pages < 100))
        return texts
    }

    @Test func textsDoNotDependOnTheSchedule() throws {
        let all = Array(Self.prompts.indices)
        let roomy = try texts(pages: 200, swap: 0, budget: 256, requests: all)
        #expect(roomy.values.joined().allSatisfy { $0.hasSuffix(" stop") || $0.hasSuffix(" length") })
        #expect(Set(roomy.values.joined()).count > 6)
        for (pages, swap, budget) in [(20, 0, 12), (20, 20, 12), (22, 6, 256)] {
            #expect(try texts(pages: pages, swap: swap, budget: budget, requests: all.reversed()) == roomy)
        }
        for id in all {
            #expect(try texts(pages: 200, swap: 0, budget: 256, requests: [id])[id] == roomy[id])
        }
    }
}
