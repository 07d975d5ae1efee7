import PagedEngine
import Testing

/// The public face of the engine.
@Suite struct LLMTests {
    private static func llm(_ options: EngineOptions = EngineOptions(pageSize: 4, pageCount: 200)) throws -> LLM {
        try LLM(model: EngineSupport.folder + "/llama3-f16", options: options, registry: EngineSupport.registry)
    }

    @Test func resultsComeInTheOrderOfThePrompts() async throws {
        // More prompts than the queue takes: they wait their turn.
        var options = EngineOptions(pageSize: 4, pageCount: 200, maxNumSeqs: 4, maxQueue: 2)
        options.maxNumBatchedTokens = 16
        let llm = try Self.llm(options)
        let prompts = (0..<20).map { Prompt.tokens([3 + $0, 4, 5]) }
        let params = SamplingParams(maxTokens: 6, logprobs: 0)
        let outputs = try await llm.generate(prompts, params)
        #expect(outputs.map(\.promptTokenIds) == (0..<20).map { [3 + $0, 4, 5] })
        #expect(outputs.allSatisfy { $0.outputs.count == 1 && !$0.outputs[0].tokenIds.isEmpty })
        // Seeds are drawn in order: the same engine says the same again.
        let again = try await Self.llm(options).generate(prompts, params)
        #expect(again.map(\.outputs) == outputs.map(\.outputs))
    }

    @Test func newsAddUpToTheResult() async throws {
        let llm = try Self.llm()
        let params = SamplingParams(n: 3, seed: 4, maxTokens: 12)
        let whole = try await llm.generate([.tokens([9, 8, 7])], params)
        var tokens = [[Int]](repeating: [], count: 3)
        for try await delta in llm.stream(.tokens([9, 8, 7]), params) { tokens[delta.index] += delta.tokenIds }
        #expect(tokens == whole[0].outputs.map(\.tokenIds))
    }

    @Test func readersThatLeaveEndTheirRequest() async throws {
        let llm = try Self.llm()
        for try await _ in llm.stream(.tokens([9, 8, 7]), SamplingParams(ignoreEos: true, maxTokens: 80)) { break }
        var free = 0
        for _ in 0..<200 where free < 200 {
            free = await llm.statistics().freePages
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(free == 200)
    }

    @Test func oneBadPromptFailsTheCall() async throws {
        let llm = try Self.llm()
        await #expect(throws: EngineError.self) {
            try await llm.generate([.tokens([1]), .tokens([999])], SamplingParams(maxTokens: 4))
        }
        #expect(try await llm.generate([.tokens([1])], SamplingParams(maxTokens: 4)).count == 1)
    }

    @Test func beamsComeBestFirst() async throws {
        let output = try await Self.llm().beamSearch([.tokens([5, 6])], BeamSearchParams(beamWidth: 4, maxTokens: 8))
        let scores = output[0].outputs.compactMap(\.cumulativeLogprob)
        #expect(scores.count == 4)
        #expect(Set(output[0].outputs.map(\.tokenIds)).count == 4)
    }
}
