import Foundation

/// One step of beam search, as vLLM's `LLM.beam_search` does it.
///
/// Every beam offers its likeliest continuations. Those that end go to the finished; the best of the others, by score,
/// are the beams of the next step. Equal scores keep the order of beams, then of candidates.
struct BeamSearch {
    /// A beam of the next step.
    struct Survivor {
        /// The beam that it continues.
        let parent: Int
        let token: Int
        let logprob: Double
        let score: Double
    }

    let params: BeamSearchParams
    let eosTokenIds: [Int]

    /// The beams of the next step, best first, and the continuations that end.
    func advance(
        _ beams: [SequenceState], promptCount: Int
    ) -> (survivors: [Survivor], finished: [FinishedSequence]) {
        var survivors: [Survivor] = []
        var finished: [FinishedSequence] = []
        for (parent, beam) in beams.enumerated() {
            for candidate in beam.candidates ?? [] where candidate.logprob > -.infinity {
                let logprob = beam.logprob + Double(candidate.logprob)
                let isEnd = !params.ignoreEos && eosTokenIds.contains(candidate.token)
                // The ending token does not count for the length.
                let score = score(logprob, length: beam.tokens.count + (isEnd ? 0 : 1))
                if isEnd {
                    finished.append(
                        FinishedSequence(
                            index: 0, tokens: beam.tokens.dropFirst(promptCount) + [candidate.token],
                            cumulativeLogprob: logprob, finish: .stop, score: score))
                } else {
                    survivors.append(
                        Survivor(parent: parent, token: candidate.token, logprob: logprob, score: score))
                }
            }
        }
        return (best(survivors, \.score), finished)
    }

    /// The result of the search: the best of all that ended, numbered by their place.
    func result(_ finished: [FinishedSequence]) -> [FinishedSequence] {
        best(finished) { $0.score ?? -.infinity }.enumerated().map { place, sequence in
            var sequence = sequence
            sequence.index = place
            return sequence
        }
    }

    /// A log-probability by length: the prompt counts, as in vLLM.
    func score(_ logprob: Double, length: Int) -> Double { logprob / pow(Double(length), params.lengthPenalty) }

    private func best<Element>(_ elements: [Element], _ score: (Element) -> Double) -> [Element] {
        let order = elements.indices.sorted {
            let (left, right) = (score(elements[$0]), score(elements[$1]))
            return left == right ? $0 < $1 : left > right
        }
        return order.prefix(params.beamWidth).map { elements[$0] }
    }
}
