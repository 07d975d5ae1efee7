import Foundation
import PagedEngine
import TensorCore
import Testing

@Suite struct SamplerTests {
    // MARK: Greedy

    @Test func greedyTakesTheLikeliestAndTheLowestAmongEquals() throws {
        let greedy = SamplingParams(temperature: 0)
        #expect(try draw([1, 3, 2], greedy).token == 1)
        #expect(try draw([1, 3, 3, 3], greedy).token == 1)
        #expect(try draw([-0.0, 0.0], greedy).token == 0)
        #expect(try draw([-1e5, -1e5 + 1, -.infinity], greedy).token == 1)
    }

    @Test func brokenLogitsAreRefused() throws {
        for params in [SamplingParams(), SamplingParams(temperature: 0)] {
            #expect(throws: SamplingError.invalidLogit(token: 1, value: "nan")) { try draw([0, .nan, 1], params) }
            #expect(throws: SamplingError.invalidLogit(token: 2, value: "inf")) { try draw([0, 1, .infinity], params) }
            #expect(throws: SamplingError.noCandidate(vocabulary: 2)) { try draw([-.infinity, -.infinity], params) }
        }
        #expect(throws: SamplingError.logitsCount(expected: 3, actual: 2)) {
            let plan = try SamplingPlan(SamplingParams(), vocabulary: 3, seed: 0)
            var sampler = Sampler()
            _ = try [Float(0), 1].withUnsafeBufferPointer {
                try sampler.sample(logits: $0, plan: plan, prompt: [], output: [], sequenceIndex: 0)
            }
        }
        #expect(throws: SamplingError.tokenOutOfRange(operand: "prompt", token: 9, vocabulary: 2)) {
            try draw([0, 1], SamplingParams(repetitionPenalty: 2), prompt: [9])
        }
    }

    @Test(arguments: [1, 15, 16, 17, 31, 32, 100]) func everyPlaceOfARowIsSeen(count: Int) throws {
        let greedy = SamplingParams(temperature: 0)
        for place in 0..<count {
            var row = (0..<count).map { -1 - Float($0 * 7 % 5) }
            row[place] = 2
            #expect(try draw(row, greedy).token == place)
            for other in [place + 1, place + 16, place + 17] where other < count {
                row[other] = 2
                #expect(try draw(row, greedy).token == place)
            }
            row[place] = .nan
            #expect(throws: SamplingError.invalidLogit(token: place, value: "nan")) { try draw(row, greedy) }
        }
    }

    @Test(arguments: [1023, 1024, 1025, 5000]) func everyStretchOfALongRowIsSeen(count: Int) throws {
        // A bias of nothing changes no logit, but keeps the sampler from reading them where they are.
        let unchanged = SamplingParams(temperature: 0), biased = SamplingParams(temperature: 0, logitBias: [3: 0])
        for place in [0, 1, 1022, 1023, 1024, 1025, 2047, 2048, count - 1] where place < count {
            var row = randomLogits(count, seed: 5)
            row[place] = 9
            for later in [place, place + 1, place + 1024, count - 1] where later < count {
                row[later] = 9
                for params in [unchanged, biased] { #expect(try draw(row, params).token == place) }
            }
        }
    }

    @Test func extremeLogitsAreExact() throws {
        #expect(try draw([-.infinity, 5, -.infinity], SamplingParams()).token == 1)
        #expect(try draw([1e5, -1e5], SamplingParams(temperature: 0.01)).token == 0)
        let far = [Float](repeating: -1e5, count: 4)
        let counts = try histogram(far, SamplingParams(), seed: 3, draws: 4000)
        #expect(chiSquaredExcess(counts, [0.25, 0.25, 0.25, 0.25]) < 0)
        // Two logits that differ by 1 at a height where Float has steps of 1/128.
        let high = try histogram([1e5, 1e5 - 1], SamplingParams(), seed: 3, draws: 4000)
        #expect(chiSquaredExcess(high, [1 / (1 + exp(-1)), 1 / (1 + exp(1))]) < 0)
    }

    @Test(arguments: [5e-324, 1e-38, 1e-300]) func tinyPenaltiesAndTemperaturesStillDraw(tiny: Double) throws {
        // The token of the prompt becomes as likely as a Float can say, and not more.
        #expect(try draw([1, 5, 2], SamplingParams(repetitionPenalty: tiny), prompt: [0]).token == 0)
        #expect(try draw([-1, 5, 2], SamplingParams(repetitionPenalty: tiny), prompt: [0]).token == 1)
        #expect(try draw([1, 5, 2], SamplingParams(temperature: tiny)).token == 1)
        #expect(
            try draw([1, 5, 2], SamplingParams(repetitionPenalty: tiny, temperature: tiny), prompt: [0]).token == 0)
    }

    // MARK: Distribution

    static let settings: [SamplingParams] = [
        .init(), .init(temperature: 0.5), .init(temperature: 2), .init(topK: 1), .init(topK: 5), .init(topP: 0.5),
        .init(topP: 0.05), .init(topP: 0.9, topK: 7), .init(minP: 0.1), .init(minP: 1),
        .init(temperature: 1.5, topP: 0.8, topK: 20, minP: 0.02),
    ]

    @Test(arguments: settings) func drawsFollowTheExactDistribution(params: SamplingParams) throws {
        for seed in 0..<3 as Range<UInt64> {
            var logits = randomLogits(30, seed: seed)
            logits[4] = -.infinity
            logits[9] = logits[8]
            let counts = try histogram(logits, params, seed: seed &+ 100, draws: 20_000)
            #expect(chiSquaredExcess(counts, exactDistribution(logits, params)) < 0)
        }
    }

    @Test func equalsAtTheBorders() throws {
        let flat = [Float](repeating: 2, count: 10)
        // Equals of the k-th stay; of equals at the border of top-p the lower tokens come first.
        let topK = try histogram(flat, .init(topK: 3), seed: 1, draws: 2000)
        #expect(topK.allSatisfy { $0 > 0 })
        let topP = try histogram(flat, .init(topP: 0.3), seed: 1, draws: 2000)
        #expect(topP[..<3].allSatisfy { $0 > 0 } && topP[3...].allSatisfy { $0 == 0 })
        let half = try histogram([0, 0], .init(topP: 0.5), seed: 1, draws: 100)
        #expect(half == [100, 0])
        // Neighbours among Floats differ in their last bit alone.
        let near = try histogram([1, Float(1).nextUp, Float(1).nextUp.nextUp], .init(topK: 1), seed: 1, draws: 100)
        #expect(near == [0, 0, 100])
        let tiny = try histogram([0, 3, 3], .init(topP: 1e-9), seed: 1, draws: 100)
        #expect(tiny == [0, 100, 0])
    }

    @Test func largeVocabulariesKeepTheSameTokens() throws {
        let logits = randomLogits(5000, seed: 9, amplitude: 6)
        for params in [SamplingParams(topK: 50), .init(topP: 0.3), .init(topP: 0.99, topK: 200), .init(minP: 0.3)] {
            let counts = try histogram(logits, params, seed: 5, draws: 3000)
            #expect(chiSquaredExcess(counts, exactDistribution(logits, params)) < 0)
        }
    }

    // MARK: Random numbers by counting

    @Test func numbersDependOnSeedSequenceAndPositionAlone() throws {
        let logits = randomLogits(1000, seed: 1)
        let params = SamplingParams(seed: 42)
        func tokens(engineSeed: UInt64, index: Int, params: SamplingParams) throws -> [Int] {
            try (0..<32).map { position in
                try draw(
                    logits, params, seed: engineSeed, output: [Int](repeating: 0, count: position), sequenceIndex: index
                ).token
            }
        }
        let first = try tokens(engineSeed: 1, index: 0, params: params)
        #expect(try tokens(engineSeed: 2, index: 0, params: params) == first)
        #expect(try tokens(engineSeed: 1, index: 1, params: params) != first)
        #expect(try tokens(engineSeed: 1, index: 0, params: .init(seed: 43)) != first)
        #expect(try tokens(engineSeed: 42, index: 0, params: .init()) == first)
        #expect(Set(first).count > 20)
        // A sampler that has been used gives the same.
        let plan = try SamplingPlan(.init(repetitionPenalty: 1.5), vocabulary: 1000, seed: 42)
        var used = Sampler()
        try logits.withUnsafeBufferPointer { row in
            for position in 0..<32 {
                let output = [Int](repeating: position, count: position)
                var fresh = Sampler()
                let expected = try fresh.sample(logits: row, plan: plan, prompt: [1], output: output, sequenceIndex: 0)
                let actual = try used.sample(logits: row, plan: plan, prompt: [1], output: output, sequenceIndex: 0)
                #expect(actual == expected)
            }
        }
    }

    // MARK: Masks and penalties

    /// Which token is likeliest after the steps tells a score by comparison with a probe token of known score.
    private func isAbove(
        _ token: Int, _ probe: Float, logits: [Float], _ params: SamplingParams, prompt: [Int], output: [Int]
    ) throws -> Bool {
        try draw(logits + [probe], params, prompt: prompt, output: output).token == token
    }

    @Test func penaltiesMatchNumbersWorkedByHand() throws {
        // Token 0: positive, in the prompt only. Token 1: in the output twice. Token 2: negative, in both.
        let prompt = [0, 2]
        let output = [1, 1, 2]
        let params = SamplingParams(
            presencePenalty: 0.5, frequencyPenalty: 0.25, repetitionPenalty: 2, temperature: 0)
        let cases: [(token: Int, logit: Float, expected: Float)] = [
            (0, 6, 3),  // 6 / 2
            (1, 6, 2),  // 6 / 2 - 2 × 0.25 - 0.5
            (2, -1, -2.75),  // -1 × 2 - 1 × 0.25 - 0.5
            (3, 4, 4),  // nowhere
        ]
        for (token, logit, expected) in cases {
            var logits = [Float](repeating: -50, count: 4)
            logits[token] = logit
            #expect(
                try isAbove(token, expected - 0.001, logits: logits, params, prompt: prompt, output: output))
            #expect(
                try !isAbove(token, expected + 0.001, logits: logits, params, prompt: prompt, output: output))
        }
        // Presence and frequency do not see the prompt.
        let onlyOutput = SamplingParams(presencePenalty: 2, frequencyPenalty: 2, temperature: 0)
        #expect(try isAbove(0, 5.999, logits: [6, 0, 0, 0], onlyOutput, prompt: [0], output: []))
        // Each by itself makes the next likeliest token win.
        let alone: [SamplingParams] = [
            .init(presencePenalty: 2, temperature: 0), .init(frequencyPenalty: 2, temperature: 0),
            .init(repetitionPenalty: 2, temperature: 0),
        ]
        for params in alone { #expect(try draw([6, 5, 0, 0], params, output: [0]).token == 1) }
    }

    @Test func biasesMasksAndBadWords() throws {
        let logits: [Float] = [4, 3, 2, 1]
        #expect(try draw(logits, .init(temperature: 0, logitBias: [3: 3.5])).token == 3)
        #expect(try draw(logits, .init(temperature: 0, logitBias: [0: -1e9])).token == 1)
        #expect(try draw(logits, .init(temperature: 0, logitBias: [2: 1e9])).token == 2)
        #expect(try draw(logits, .init(temperature: 0, allowedTokenIds: [2, 3])).token == 2)
        let bad = SamplingParams(temperature: 0, badWords: ["x"])
        #expect(try draw(logits, bad, badWordTokens: [[0]]).token == 1)
        #expect(try draw(logits, bad, output: [3], badWordTokens: [[2, 0]]).token == 0)
        #expect(try draw(logits, bad, output: [3, 2], badWordTokens: [[2, 0]]).token == 1)
        // Only the output counts as the beginning of a bad word, as in vLLM.
        #expect(try draw(logits, bad, prompt: [2], badWordTokens: [[2, 0]]).token == 0)
        #expect(throws: SamplingError.self) { try draw(logits, bad) }
        #expect(throws: SamplingError.noCandidate(vocabulary: 4)) {
            try draw(logits, .init(temperature: 0, allowedTokenIds: [0]), badWordTokens: [[0]])
        }
    }

    @Test func endsAreForbiddenBeforeMinTokens() throws {
        let logits: [Float] = [4, 3, 2, 1]
        let params = SamplingParams(temperature: 0, stopTokenIds: [1], minTokens: 2)
        #expect(try draw(logits, params, output: [3], eos: [0]).token == 2)
        #expect(try draw(logits, params, output: [3, 3], eos: [0]).token == 0)
    }

    // MARK: Log-probabilities

    @Test func logprobsAreOfTheRawLogits() throws {
        let logits: [Float] = [1, 3, 2, 3, -.infinity]
        let sum = log(exp(1.0) + 2 * exp(3.0) + exp(2.0))
        let params = SamplingParams(temperature: 0, logprobs: 2, logitBias: [0: 100])
        let sampled = try draw(logits, params)
        #expect(sampled.token == 0)
        let list = try #require(sampled.logprobs)
        #expect(list.map(\.token) == [0, 1, 3])
        #expect(list.map(\.rank) == [4, 1, 2])
        #expect(abs(Double(list[0].logprob) - (1 - sum)) < 1e-6)
        #expect(abs(Double(list[1].logprob) - (3 - sum)) < 1e-6)
        #expect(sampled.logprob == list[0].logprob)
        #expect(try draw(logits, .init(temperature: 0, logprobs: 0)).logprobs?.map(\.token) == [1])
        #expect(try draw(logits, .init(temperature: 0)).logprob == nil)
        #expect(try draw(logits, .init(bestOf: 2)).logprob != nil)
        let all = try logits.withUnsafeBufferPointer { try Sampler().logprobs(logits: $0, chosen: 2, count: -1) }
        #expect(all.map(\.token) == [2, 1, 3, 0, 4])
        #expect(all[4].logprob == -.infinity)
    }

    @Test func beamCandidatesAreTheLikeliest() throws {
        let logits = randomLogits(300, seed: 4)
        let order = logits.indices.sorted { (-logits[$0], $0) < (-logits[$1], $1) }
        var sampler = Sampler()
        try logits.withUnsafeBufferPointer { row in
            let best = try sampler.beamCandidates(logits: row, count: 8, temperature: 0)
            #expect(best.map(\.token) == Array(order[..<8]))
            let warm = try sampler.beamCandidates(logits: row, count: 1, temperature: 0.5)
            let sum = logits.reduce(0) { $0 + exp(2 * Double($1)) }
            #expect(abs(Double(warm[0].logprob) - (2 * Double(logits[order[0]]) - log(sum))) < 1e-5)
        }
    }
}
