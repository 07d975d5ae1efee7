/// What the results of a step change.
extension Scheduler {
    /// Takes the results of the step that was scheduled last, one for each of its sequences whose request has not been
    /// cancelled.
    ///
    /// - Returns: the requests that have ended, in the order of the step.
    /// - Throws: `SchedulerError.noStepInFlight`, or `.resultMismatch` for results that are not what was asked for.
    package mutating func finish(_ results: [SequenceResult]) throws(SchedulerError) -> [FinishedRequest] {
        guard let scheduled = inFlight else { throw .noStepInFlight }
        let outcomes = try matched(results, scheduled)
        inFlight = nil
        var touched: [Int] = []
        for sequence in scheduled {
            guard let outcome = outcomes[sequence.id] else { continue }
            try apply(outcome, to: sequence)
            if touched.last != sequence.request { touched.append(sequence.request) }
        }
        var ended: [FinishedRequest] = []
        for id in touched {
            try forkFromPrompt(id)
            try advanceBeams(id)
            guard let state = requests[id], state.sequences.isEmpty else { continue }
            remove(id)
            ended.append(FinishedRequest(id: id, sequences: ordered(state)))
        }
        return ended
    }

    /// The outcomes of the sequences that go on, after all of them are checked.
    private func matched(
        _ results: [SequenceResult], _ scheduled: [ScheduledSequence]
    ) throws(SchedulerError) -> [Int: SequenceResult.Outcome] {
        var outcomes: [Int: SequenceResult.Outcome] = [:]
        let known = Set(scheduled.map(\.id))
        for result in results {
            guard known.contains(result.id) else {
                throw .resultMismatch(
                    sequence: result.id, expected: "a scheduled sequence", actual: "\(result.outcome)")
            }
            guard outcomes.updateValue(result.outcome, forKey: result.id) == nil else {
                throw .resultMismatch(sequence: result.id, expected: "one result", actual: "two")
            }
        }
        for sequence in scheduled {
            let isAlive = requests[sequence.request]?.sequences.contains { $0.id == sequence.id } == true
            guard isAlive else {
                outcomes[sequence.id] = nil
                continue
            }
            let fits =
                switch (sequence.demand, outcomes[sequence.id]) {
                case (.nothing, .computed): true
                case (.sample(let indices), .sampled(let tokens)): indices.count == tokens.count
                case (.candidates, .candidates): true
                default: false
                }
            guard fits else {
                throw .resultMismatch(
                    sequence: sequence.id, expected: "what was asked for: \(sequence.demand)",
                    actual: outcomes[sequence.id].map { "\($0)" } ?? "missing")
            }
        }
        return outcomes
    }

    /// Notes that a sequence's tokens are computed, and what follows them.
    private mutating func apply(
        _ outcome: SequenceResult.Outcome, to scheduled: ScheduledSequence
    ) throws(SchedulerError) {
        try paging { blocks throws(PagingError) in try blocks.commit(scheduled.id, tokens: scheduled.tokens) }
        // Taken out of the dictionary, the state and its tokens are changed in place, not copied.
        guard var state = requests.removeValue(forKey: scheduled.request) else { return }
        defer { requests[scheduled.request] = state }
        guard let place = state.sequences.firstIndex(where: { $0.id == scheduled.id }) else { return }
        state.sequences[place].computed += scheduled.tokens.count
        if !scheduled.promptRows.isEmpty { state.promptRowsDone = scheduled.promptRows.upperBound }
        switch outcome {
        case .computed: break
        case .candidates(let candidates): state.sequences[place].candidates = candidates
        case .sampled(let tokens) where tokens.count == 1: try append(tokens[0], to: place, of: &state)
        case .sampled(let tokens): try fork(tokens, from: place, of: &state)
        }
    }

    /// Appends a token to a sequence, which may end with it.
    private mutating func append(
        _ outcome: SampledOutcome, to place: Int, of state: inout RequestState
    ) throws(SchedulerError) {
        state.sequences[place].tokens.append(outcome.token)
        state.sequences[place].logprob += outcome.logprob
        let sequence = state.sequences[place]
        guard let reason = state.reasonToEnd(sequence, outcome) else { return }
        state.finished.append(state.finish(sequence, reason))
        state.sequences.remove(at: place)
        try paging { blocks throws(PagingError) in try blocks.close(sequence.id) }
    }

    /// Makes a sequence for each of several tokens that follow the prompt.
    ///
    /// They share its pages.
    private mutating func fork(
        _ outcomes: [SampledOutcome], from place: Int, of state: inout RequestState
    ) throws(SchedulerError) {
        let parent = state.sequences.remove(at: place)
        for (index, outcome) in outcomes.enumerated() {
            let child = SequenceState(
                id: newSequence(), index: index, tokens: parent.tokens + [outcome.token], computed: parent.computed,
                logprob: outcome.logprob)
            if let reason = state.reasonToEnd(child, outcome) {
                state.finished.append(state.finish(child, reason))
            } else {
                try paging { blocks throws(PagingError) in try blocks.fork(parent.id, into: child.id) }
                state.sequences.append(child)
            }
        }
        try paging { blocks throws(PagingError) in try blocks.close(parent.id) }
    }

    /// Makes the next beams, once every beam knows what it may be continued with.
    private mutating func advanceBeams(_ id: Int) throws(SchedulerError) {
        guard var state = requests[id], case .beam(let params, let ends) = state.request.decoding,
            !state.sequences.isEmpty, state.sequences.allSatisfy({ $0.candidates != nil })
        else { return }
        let search = BeamSearch(params: params, eosTokenIds: ends)
        let beams = state.sequences
        let promptCount = state.request.prompt.count
        let (survivors, finished) = search.advance(beams, promptCount: promptCount)
        state.finished += finished
        var next: [SequenceState] = []
        var continued: Set<Int> = []
        let isFull = beams[0].tokens.count + 1 - promptCount >= state.maxTokens
        for (index, survivor) in survivors.enumerated() {
            let parent = beams[survivor.parent]
            // The first to continue a beam takes its pages; others share them. Nothing forks that ends here.
            let isFirst = !isFull && continued.insert(parent.id).inserted
            var beam = SequenceState(
                id: isFirst ? parent.id : newSequence(), index: index, tokens: parent.tokens,
                computed: parent.computed, logprob: survivor.logprob)
            beam.tokens.append(survivor.token)
            if isFull {
                var ended = state.finish(beam, .length)
                ended.score = survivor.score
                state.finished.append(ended)
                continue
            }
            if !isFirst { try paging { blocks throws(PagingError) in try blocks.fork(parent.id, into: beam.id) } }
            next.append(beam)
        }
        for beam in beams where !continued.contains(beam.id) {
            try paging { blocks throws(PagingError) in try blocks.close(beam.id) }
        }
        state.sequences = next
        requests[id] = state
    }

    /// The continuations of a request that has ended.
    private func ordered(_ state: RequestState) -> [FinishedSequence] {
        switch state.request.decoding {
        case .sampling: state.finished.sorted { $0.index < $1.index }
        case .beam(let params, let ends): BeamSearch(params: params, eosTokenIds: ends).result(state.finished)
        }
    }
}
