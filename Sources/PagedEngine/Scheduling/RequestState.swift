/// A request that is being worked on.
struct RequestState: Sendable {
    /// Where its keys are.
    enum Phase: Sendable {
        /// Nowhere: it waits to begin, or to begin again after it gave up its memory.
        case waiting
        /// In memory.
        case running
        /// In the swap pool.
        case swapped
    }

    let request: EngineRequest
    /// Its place in the order of arrival.
    let arrival: Int
    /// The tokens that each of its sequences may get.
    let maxTokens: Int
    var phase = Phase.waiting
    /// Whether it has been in memory: the bound of the queue does not count it any more.
    var hasStarted = false
    /// The sequences that go on, by their number; one until the prompt is computed.
    var sequences: [SequenceState]
    /// The sequences that have ended.
    var finished: [FinishedSequence] = []
    /// Whether only the first sequence is in memory, to compute the prompt again for all.
    var awaitsFork = false
    /// The prompt's rows before this position have given their logits.
    var promptRowsDone = 0

    /// The sequences that the block manager knows.
    var openSequences: ArraySlice<SequenceState> {
        phase == .waiting ? [] : sequences.prefix(awaitsFork ? 1 : sequences.count)
    }

    /// How many sequences it counts for: until the prompt is computed, all that will come of it.
    var width: Int {
        switch request.decoding {
        case .sampling:
            sequences.allSatisfy { $0.tokens.count == request.prompt.count } ? request.width : sequences.count
        case .beam: request.width
        }
    }

    /// How many tokens of a sequence can be computed before something else must happen.
    func known(_ sequence: SequenceState) -> Int { awaitsFork ? request.prompt.count : sequence.tokens.count }

    /// Lets all sequences go on from the prompt that the first has computed.
    mutating func fork() {
        for place in sequences.indices { sequences[place].computed = request.prompt.count }
        awaitsFork = false
    }

    /// What the sequences compute next within a budget.
    func wanted(budget: Int) -> [Reservation] {
        var left = budget
        var wanted: [Reservation] = []
        for sequence in openSequences {
            let count = min(left, known(sequence) - sequence.computed)
            guard count > 0 else { continue }
            wanted.append(Reservation(sequence: sequence.id, count: count))
            left -= count
        }
        return wanted
    }

    /// What a step computes of a sequence.
    func scheduled(_ sequence: SequenceState, count: Int, pageTable: [Int]) -> ScheduledSequence {
        let end = sequence.computed + count
        var demand = ScheduledSequence.Demand.nothing
        if end == sequence.tokens.count, sequence.candidates == nil {
            switch request.decoding {
            case .sampling(let candidates):
                let isPrompt = sequence.tokens.count == request.prompt.count
                demand = .sample(indices: isPrompt ? Array(0..<candidates) : [sequence.index])
            case .beam(let params, _):
                demand = .candidates(2 * params.beamWidth)
            }
        }
        var rows = 0..<0
        if request.promptLogprobs {
            let first = max(sequence.computed, promptRowsDone)
            rows = first..<max(first, min(end, request.prompt.count - 1))
        }
        return ScheduledSequence(
            id: sequence.id, request: request.id, index: sequence.index, start: sequence.computed,
            tokens: Array(sequence.tokens[sequence.computed..<end]), pageTable: pageTable, demand: demand,
            promptRows: rows.isEmpty ? 0..<0 : rows)
    }

    /// Why a sequence that has just got a token goes no further, if it does not.
    func reasonToEnd(_ sequence: SequenceState, _ outcome: SampledOutcome) -> FinishReason? {
        outcome.finish ?? (sequence.tokens.count - request.prompt.count >= maxTokens ? .length : nil)
    }

    /// A sequence's continuation, ended.
    func finish(_ sequence: SequenceState, _ reason: FinishReason) -> FinishedSequence {
        FinishedSequence(
            index: sequence.index, tokens: Array(sequence.tokens.dropFirst(request.prompt.count)),
            cumulativeLogprob: sequence.logprob, finish: reason)
    }
}

/// A sequence that goes on.
struct SequenceState: Sendable {
    /// Its number, unique for ever: a late result of a cancelled request meets no other.
    let id: Int
    /// Its number within the request.
    var index: Int
    /// The prompt and what followed.
    var tokens: [Int]
    /// How many of the tokens have their keys computed.
    var computed = 0
    /// The sum of the log-probabilities of the tokens after the prompt.
    var logprob = 0.0
    /// What a beam may be continued with, until all beams of the request know.
    var candidates: [TokenLogprob]?
}
