import PagedEngine
import Testing

@Suite struct SamplingParamsTests {
    @Test func defaultsAreThoseOfVLLM() throws {
        let params = SamplingParams()
        try params.validate(vocabulary: 10)
        #expect(params.n == 1 && params.bestOf == nil && params.maxTokens == 16 && params.minTokens == 0)
        #expect(params.temperature == 1 && params.topP == 1 && params.topK == 0 && params.minP == 0)
        #expect(params.repetitionPenalty == 1 && params.presencePenalty == 0 && params.frequencyPenalty == 0)
        #expect(params.skipSpecialTokens && params.detokenize && params.spacesBetweenSpecialTokens)
        #expect(!params.includeStopStrInOutput && !params.ignoreEos && params.logprobs == nil)
    }

    static let wrong: [(SamplingParams, String)] = [
        (.init(n: 0), "n"), (.init(n: 16_385), "n"), (.init(n: 3, bestOf: 2), "bestOf"),
        (.init(presencePenalty: 2.1), "presencePenalty"), (.init(presencePenalty: .nan), "presencePenalty"),
        (.init(frequencyPenalty: -2.1), "frequencyPenalty"), (.init(repetitionPenalty: 0), "repetitionPenalty"),
        (.init(repetitionPenalty: .infinity), "repetitionPenalty"), (.init(temperature: -0.1), "temperature"),
        (.init(temperature: 2.1), "temperature"), (.init(temperature: .nan), "temperature"),
        (.init(topP: 0), "topP"), (.init(topP: 1.1), "topP"), (.init(topK: -2), "topK"), (.init(minP: -0.1), "minP"),
        (.init(minP: 1.1), "minP"), (.init(maxTokens: 0), "maxTokens"), (.init(minTokens: -1), "minTokens"),
        (.init(maxTokens: 3, minTokens: 4), "minTokens"), (.init(logprobs: -2), "logprobs"),
        (.init(promptLogprobs: -2), "promptLogprobs"), (.init(stop: [""]), "stop"),
        (.init(stop: ["a"], detokenize: false), "stop"), (.init(badWords: [""]), "badWords"),
        (.init(n: 2, temperature: 0), "n"), (.init(bestOf: 2, temperature: 0), "bestOf"),
        (.init(logitBias: [3: .nan]), "logitBias[3]"), (.init(allowedTokenIds: []), "allowedTokenIds"),
        // These depend on the vocabulary of 10 tokens.
        (.init(stopTokenIds: [10]), "stopTokenIds"), (.init(logitBias: [-1: 1]), "logitBias"),
        (.init(allowedTokenIds: [10]), "allowedTokenIds"), (.init(logprobs: 21), "logprobs"),
    ]

    @Test(arguments: 0..<wrong.count) func whatIsOutOfRangeIsNamed(index: Int) throws {
        let (params, name) = Self.wrong[index]
        do {
            try params.validate(vocabulary: 10)
            Issue.record("\(name) was accepted")
        } catch .invalidParameter(let actual, let expected, _) {
            #expect(actual == name)
            #expect(!expected.isEmpty)
        }
    }

    @Test func borderValuesAreAccepted() throws {
        try SamplingParams(
            n: 1, bestOf: 4, presencePenalty: -2, frequencyPenalty: 2, temperature: 2, topP: 1, topK: -1, minP: 1,
            seed: -1, stopTokenIds: [0, 9], maxTokens: nil, minTokens: 100, logprobs: -1, promptLogprobs: 0
        ).validate(vocabulary: 10, maxLogprobs: -1)
        #expect(SamplingParams(seed: -1).fixedSeed == nil)
        #expect(SamplingParams(seed: -2).fixedSeed == UInt64.max - 1)
        #expect(throws: SamplingError.self) { try SamplingParams(logprobs: -1).validate(vocabulary: 21) }
    }

    @Test func beamSearchIsChecked() throws {
        try BeamSearchParams(beamWidth: 4, maxTokens: 10).validate()
        for wrong in [
            BeamSearchParams(beamWidth: 0, maxTokens: 1), .init(beamWidth: 1, maxTokens: 0),
            .init(beamWidth: 1, maxTokens: 1, temperature: 3), .init(beamWidth: 1, maxTokens: 1, lengthPenalty: .nan),
        ] {
            #expect(throws: SamplingError.self) { try wrong.validate() }
        }
    }

    @Test func messagesSayWhatIsWrong() {
        let error = SamplingError.invalidParameter(
            name: "topP", expected: "a number above 0 and up to 1", actual: "0.0")
        #expect(error.description == "topP is 0.0; expected a number above 0 and up to 1")
    }
}
