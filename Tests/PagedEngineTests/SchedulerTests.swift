import PagedEngine
import Testing

@Suite struct SchedulerTests {
    private func scheduler(
        pages: Int = 16, size: Int = 4, swap: Int = 0, budget: Int = 16, seqs: Int = 4, length: Int = 64,
        queue: Int = 8,
        policy: SchedulerConfiguration.Policy = .fcfs, bytesPerPage: Int = 0
    ) throws -> Scheduler {
        try Scheduler(
            SchedulerConfiguration(
                maxNumBatchedTokens: budget, maxNumSeqs: seqs, maxModelLen: length, maxQueue: queue, policy: policy,
                bytesPerPage: bytesPerPage),
            blocks: BlockManager(pageCount: pages, pageSize: size, swapPageCount: swap))
    }

    private func request(
        _ id: Int, _ prompt: Int, maxTokens: Int? = 4, candidates: Int = 1, priority: Int = 0, rows: Bool = false
    ) -> EngineRequest {
        EngineRequest(
            id: id, prompt: (0..<prompt).map { id * 100 + $0 }, decoding: .sampling(candidates: candidates),
            maxTokens: maxTokens, priority: priority, promptLogprobs: rows)
    }

    /// Answers a step with one token for whatever is asked.
    private func answers(_ step: ScheduledStep, token: Int = 1, finish: FinishReason? = nil) -> [SequenceResult] {
        step.sequences.map { sequence in
            switch sequence.demand {
            case .nothing: SequenceResult(id: sequence.id, outcome: .computed)
            case .sample(let indices):
                SequenceResult(
                    id: sequence.id,
                    outcome: .sampled(indices.map { _ in SampledOutcome(token: token, finish: finish) }))
            case .candidates: SequenceResult(id: sequence.id, outcome: .candidates([]))
            }
        }
    }

    // MARK: Admission

    @Test func whatCanNeverFitIsRefusedAtOnce() throws {
        var tight = try scheduler(pages: 4, bytesPerPage: 1000)
        // 10 + 8 tokens, the last of them not computed: 17 slots are 5 pages.
        #expect(
            throws: SchedulerError.poolTooSmall(
                request: 1, pagesNeeded: 5, pagesAvailable: 4, bytesNeeded: 5000, bytesAvailable: 4000)
        ) { try tight.add(request(1, 10, maxTokens: 8)) }
        #expect(try tight.add(request(1, 10, maxTokens: 7)) == 7)
        // Two full pages of prompt once, one page for each of two sequences; a third does not fit.
        #expect(try tight.add(request(2, 8, maxTokens: 5, candidates: 2)) == 5)
        #expect(throws: SchedulerError.self) { try tight.add(request(3, 8, maxTokens: 5, candidates: 3)) }
        // Sequences of one token never write after the prompt.
        #expect(try tight.add(request(3, 16, maxTokens: 1, candidates: 4)) == 1)
        #expect(throws: SchedulerError.duplicateRequest(1)) { try tight.add(request(1, 1)) }
    }

    @Test func limitsOfLengthAndNumber() throws {
        var scheduler = try scheduler(length: 12, queue: 2)
        #expect(throws: SchedulerError.promptTooLong(request: 1, tokens: 12, maxModelLen: 12)) {
            try scheduler.add(request(1, 12))
        }
        #expect(try scheduler.add(request(1, 11)) == 1)
        #expect(try scheduler.add(request(2, 5, maxTokens: nil)) == 7)
        #expect(throws: SchedulerError.queueFull(limit: 2)) { try scheduler.add(request(3, 1)) }
        _ = try scheduler.schedule()
        #expect(try scheduler.add(request(3, 1)) == 4)
        for wrong in [
            request(4, 0), request(4, 1, maxTokens: 0), request(4, 1, candidates: 5), request(4, 1, candidates: 0),
        ] {
            #expect(throws: SchedulerError.self) { try scheduler.add(wrong) }
        }
        for wrong in [
            SchedulerConfiguration(maxNumBatchedTokens: 3, maxNumSeqs: 4, maxModelLen: 8),
            .init(maxNumSeqs: 0, maxModelLen: 8), .init(maxModelLen: 1), .init(maxModelLen: 8, maxQueue: 0),
        ] {
            #expect(throws: SchedulerError.self) {
                try Scheduler(wrong, blocks: BlockManager(pageCount: 1, pageSize: 1))
            }
        }
    }

    // MARK: Steps

    @Test func promptsAreCutToTheBudget() throws {
        var scheduler = try scheduler(budget: 8)
        _ = try scheduler.add(request(1, 5))
        _ = try scheduler.add(request(2, 10))
        var step = try scheduler.schedule()
        #expect(step.sequences.map(\.tokens.count) == [5, 3])
        #expect(step.sequences.map(\.demand) == [.sample(indices: [0]), .nothing])
        #expect(try scheduler.finish(answers(step)).isEmpty)
        step = try scheduler.schedule()
        // One token of the first, the rest of the other's prompt.
        #expect(step.sequences.map(\.start) == [5, 3])
        #expect(step.sequences.map(\.tokens) == [[1], Array(203..<210)])
        #expect(step.sequences[1].pageTable.count == 3)
        #expect(step.sequences[1].demand == .sample(indices: [0]))
    }

    @Test func sequencesEndByLengthOrBecauseTheEngineSaysSo() throws {
        var scheduler = try scheduler()
        _ = try scheduler.add(request(1, 3, maxTokens: 2))
        _ = try scheduler.add(request(2, 3, maxTokens: 5))
        _ = try scheduler.finish(answers(try scheduler.schedule(), token: 7))
        let step = try scheduler.schedule()
        let ended = try scheduler.finish(
            step.sequences.map { sequence in
                let isSecond = sequence.request == 2
                return SequenceResult(
                    id: sequence.id, outcome: .sampled([.init(token: 8, logprob: -0.5, finish: isSecond ? .stop : nil)])
                )
            })
        #expect(ended.map(\.id) == [1, 2])
        #expect(ended.map { $0.sequences[0].tokens } == [[7, 8], [7, 8]])
        #expect(ended.map { $0.sequences[0].finish } == [.length, .stop])
        #expect(ended[0].sequences[0].cumulativeLogprob == -0.5)
        #expect(!scheduler.hasWork && scheduler.blocks.freePageCount == 16)
    }

    @Test func priorityGoesFirstAndLast() throws {
        var scheduler = try scheduler(pages: 4, seqs: 2, policy: .priority)
        _ = try scheduler.add(request(1, 6, maxTokens: 9, priority: 5))
        _ = try scheduler.add(request(2, 6, maxTokens: 9, priority: 1))
        _ = try scheduler.add(request(3, 6, maxTokens: 9, priority: 1))
        var step = try scheduler.schedule()
        #expect(step.sequences.map(\.request) == [2, 3])
        while step.preempted.isEmpty {
            _ = try scheduler.finish(answers(step))
            step = try scheduler.schedule()
        }
        // Equal in priority, so the later gives way; then it waits before the one of lower priority.
        #expect(step.preempted == [3])
        #expect(scheduler.waitingCount == 2)
    }

    @Test func memoryGoesToTheSwapPoolWhereItHasRoom() throws {
        for (swap, expected) in [(0, (swapped: 0, recomputed: 1)), (2, (swapped: 1, recomputed: 0))] {
            var scheduler = try scheduler(pages: 4, swap: swap)
            _ = try scheduler.add(request(1, 7, maxTokens: 9))
            _ = try scheduler.add(request(2, 7, maxTokens: 9))
            _ = try scheduler.finish(answers(try scheduler.schedule()))
            _ = try scheduler.finish(answers(try scheduler.schedule()))
            let step = try scheduler.schedule()
            #expect(step.preempted == [2])
            #expect(scheduler.preemptions == expected)
            #expect(step.transfers.count == 2 * expected.swapped)
            #expect(step.sequences.map(\.request) == [1])
        }
    }

    @Test func whatWasGivenUpIsNotTakenAgainAtOnce() throws {
        var scheduler = try Scheduler(
            SchedulerConfiguration(maxNumBatchedTokens: 4, maxNumSeqs: 4, maxModelLen: 32),
            blocks: BlockManager(pageCount: 6, pageSize: 4, prefixCaching: false))
        _ = try scheduler.add(request(1, 3, maxTokens: 16))
        _ = try scheduler.add(request(2, 15, maxTokens: 4))
        var step = try scheduler.schedule()
        while step.preempted.isEmpty {
            _ = try scheduler.finish(answers(step))
            step = try scheduler.schedule()
        }
        // A piece of the prompt of 2 would fit into the budget and the pages that it has just left.
        #expect(step.preempted == [2] && step.sequences.map(\.request) == [1])
        #expect(scheduler.blocks.freePageCount > 0)
        _ = try scheduler.finish(answers(step))
        #expect(try scheduler.schedule().sequences.map(\.request) == [1, 2])
    }

    @Test func recomputingHitsThePrefixCache() throws {
        var scheduler = try scheduler(pages: 4)
        _ = try scheduler.add(request(1, 4, maxTokens: 3))
        _ = try scheduler.finish(answers(try scheduler.schedule(), finish: .stop))
        _ = try scheduler.add(EngineRequest(id: 2, prompt: Array(100..<104) + [9], maxTokens: 3))
        let step = try scheduler.schedule()
        #expect(step.sequences[0].start == 4 && step.sequences[0].tokens == [9])
        // Whoever wants the prompt's log-probabilities computes it all.
        #expect(scheduler.blocks.statistics.hitTokens == 4)
        _ = try scheduler.finish(answers(step, finish: .stop))
        _ = try scheduler.add(
            EngineRequest(id: 3, prompt: Array(100..<104) + [9], maxTokens: 3, promptLogprobs: true))
        #expect(try scheduler.schedule().sequences[0].promptRows == 0..<4)
    }

    // MARK: Several sequences

    @Test func aPromptIsComputedOnceForAllCandidates() throws {
        var scheduler = try scheduler(size: 4)
        _ = try scheduler.add(request(1, 6, maxTokens: 3, candidates: 3))
        var step = try scheduler.schedule()
        #expect(step.sequences.count == 1 && step.sequences[0].demand == .sample(indices: [0, 1, 2]))
        let tokens = [10, 11, 12].map { SampledOutcome(token: $0, logprob: -Double($0)) }
        _ = try scheduler.finish([.init(id: step.sequences[0].id, outcome: .sampled(tokens))])
        #expect(scheduler.blocks.statistics.sharing == 3)
        step = try scheduler.schedule()
        #expect(step.sequences.map(\.tokens) == [[10], [11], [12]])
        #expect(step.sequences.map(\.index) == [0, 1, 2])
        #expect(step.sequences.map(\.demand) == [0, 1, 2].map { .sample(indices: [$0]) })
        #expect(step.transfers.count == 2)
        #expect(Set(step.sequences.map { $0.pageTable[0] }).count == 1)
        #expect(Set(step.sequences.map { $0.pageTable[1] }).count == 3)
        _ = try scheduler.finish(answers(step))
        let ended = try scheduler.finish(answers(try scheduler.schedule()))
        #expect(ended[0].sequences.map(\.tokens) == [[10, 1, 1], [11, 1, 1], [12, 1, 1]])
        #expect(ended[0].best(2).map(\.index) == [0, 1])
    }

    @Test func candidatesResumeFromACachedPrompt() throws {
        var scheduler = try scheduler(pages: 6)
        _ = try scheduler.add(request(1, 4, maxTokens: 12))
        _ = try scheduler.add(request(2, 4, maxTokens: 8, candidates: 2))
        var preempted: [Int] = []
        var ended: [FinishedRequest] = []
        while ended.isEmpty {
            let step = try scheduler.schedule()
            preempted += step.preempted
            ended = try scheduler.finish(answers(step))
        }
        #expect(preempted.first == 2 && ended.map(\.id) == [1])
        // All of the prompt is hit, so both continuations compute on at once.
        let step = try scheduler.schedule()
        #expect(step.sequences.map(\.start) == [4, 4])
        #expect(step.sequences.map(\.demand) == [.sample(indices: [0]), .sample(indices: [1])])
    }

    @Test func beamsFollowNumbersWorkedByHand() throws {
        var scheduler = try scheduler()
        let params = BeamSearchParams(beamWidth: 2, maxTokens: 2, lengthPenalty: 1)
        _ = try scheduler.add(
            EngineRequest(id: 1, prompt: [50, 51], decoding: .beam(params, eosTokenIds: [9]), maxTokens: nil))
        var step = try scheduler.schedule()
        #expect(step.sequences[0].demand == .candidates(4))
        func candidates(_ list: [(Int, Float)]) -> SequenceResult.Outcome {
            .candidates(list.enumerated().map { .init(token: $1.0, logprob: $1.1, rank: $0 + 1) })
        }
        // The end is worth -3 / 2; 1 and 2 go on with -1 and -2.
        _ = try scheduler.finish([
            .init(id: step.sequences[0].id, outcome: candidates([(1, -1), (2, -2), (9, -3), (3, -4)]))
        ])
        step = try scheduler.schedule()
        #expect(step.sequences.map(\.tokens) == [[1], [2]])
        // 1-5: -1.5 / 4, 1-6: -4 / 4, 2-7: -2.25 / 4, 2-9: -2.5 / 3, and the end from before.
        let ended = try scheduler.finish([
            .init(id: step.sequences[0].id, outcome: candidates([(5, -0.5), (6, -3)])),
            .init(id: step.sequences[1].id, outcome: candidates([(7, -0.25), (9, -0.5)])),
        ])
        #expect(ended[0].sequences.map(\.tokens) == [[1, 5], [2, 7]])
        #expect(ended[0].sequences.map(\.score) == [-0.375, -0.5625])
        #expect(ended[0].sequences.map(\.finish) == [.length, .length])
        #expect(scheduler.blocks.freePageCount == 16)
    }

    // MARK: Cancelling and misuse

    @Test func aRequestIsCancelledAtAnyMoment() throws {
        var scheduler = try scheduler(swap: 8)
        _ = try scheduler.add(request(1, 6))
        #expect(try scheduler.cancel(1).sequences.map(\.finish) == [.abort])
        #expect(!scheduler.hasWork)
        _ = try scheduler.add(request(1, 6))
        _ = try scheduler.add(request(2, 6))
        let step = try scheduler.schedule()
        try scheduler.cancel(1)
        // The same number again, before the late result comes.
        _ = try scheduler.add(request(1, 3))
        _ = try scheduler.finish(answers(step, token: 5))
        let next = try scheduler.schedule()
        #expect(next.sequences.map(\.request) == [2, 1])
        #expect(next.sequences.map(\.start) == [6, 0])
        #expect(throws: SchedulerError.unknownRequest(7)) { try scheduler.cancel(7) }
    }

    @Test func resultsMustBeWhatWasAskedFor() throws {
        var scheduler = try scheduler()
        #expect(throws: SchedulerError.noStepInFlight) { try scheduler.finish([]) }
        _ = try scheduler.add(request(1, 3, candidates: 2))
        let step = try scheduler.schedule()
        let id = step.sequences[0].id
        #expect(throws: SchedulerError.stepInFlight) { try scheduler.schedule() }
        let one = SequenceResult(id: id, outcome: .sampled([.init(token: 1)]))
        let right = SequenceResult(id: id, outcome: .sampled([.init(token: 1), .init(token: 2)]))
        for wrong in [
            [], [one], [right, right], [.init(id: id, outcome: .computed)], [right, .init(id: 99, outcome: .computed)],
        ] {
            #expect(throws: SchedulerError.self) { try scheduler.finish(wrong) }
        }
        #expect(try scheduler.finish([right]).isEmpty)
    }

    @Test func promptRowsAreAskedForOnce() throws {
        var scheduler = try scheduler(budget: 4)
        _ = try scheduler.add(request(1, 9, rows: true))
        var rows: [Range<Int>] = []
        for _ in 0..<4 {
            let step = try scheduler.schedule()
            rows.append(step.sequences[0].promptRows)
            _ = try scheduler.finish(answers(step))
        }
        #expect(rows == [0..<4, 4..<8, 0..<0, 0..<0])
    }
}
