/// The work of one step.
package struct ScheduledStep: Sendable, Hashable {
    /// Moves of pages to carry out first, in this order, even where no sequence follows.
    package internal(set) var transfers: [PageTransfer] = []
    /// What to compute: first requests that were running, in their order, then those that begin or resume.
    package internal(set) var sequences: [ScheduledSequence] = []
    /// Requests that gave up their memory for others.
    package internal(set) var preempted: [Int] = []

    /// The tokens of the step.
    package var tokenCount: Int { sequences.reduce(0) { $0 + $1.tokens.count } }
}

/// The tokens of one sequence in a step.
package struct ScheduledSequence: Sendable, Hashable {
    /// What is wanted of the last row's logits.
    package enum Demand: Sendable, Hashable {
        /// Nothing: more tokens of the sequence are known.
        case nothing
        /// One token for each of these numbers of sequences within the request. Several stand only after the prompt.
        case sample(indices: [Int])
        /// So many likeliest tokens with their log-probabilities.
        case candidates(Int)
    }

    /// The sequence's number, unique for ever.
    package let id: Int
    /// The request.
    package let request: Int
    /// The sequence's number within the request.
    package let index: Int
    /// The position of the first token.
    package let start: Int
    /// The tokens whose keys are to be written to the slots from `start` on; row `i` sees the keys up to `start + i`.
    package let tokens: [Int]
    /// The pages of the sequence from position 0 on, those of `tokens` included; `PagedKeys.absentPage` where no row sees
    /// a key.
    package let pageTable: [Int]
    /// What is wanted of the last row.
    package let demand: Demand
    /// Positions whose logits are wanted for the prompt's log-probabilities; position `p` tells of the token after it.
    package let promptRows: Range<Int>
}

/// What became of one scheduled sequence.
package struct SequenceResult: Sendable, Hashable {
    /// What its last row gave.
    package enum Outcome: Sendable, Hashable {
        /// Nothing was wanted.
        case computed
        /// A token for each number in `Demand.sample`, in its order.
        case sampled([SampledOutcome])
        /// The likeliest tokens, likeliest first.
        case candidates([TokenLogprob])
    }

    /// The sequence.
    package let id: Int
    /// What its last row gave.
    package let outcome: Outcome

    /// A result.
    package init(id: Int, outcome: Outcome) {
        self.id = id
        self.outcome = outcome
    }
}

/// A token that continues a sequence.
package struct SampledOutcome: Sendable, Hashable {
    /// The token.
    package let token: Int
    /// Its log-probability, where candidates are ranked; else 0.
    package let logprob: Double
    /// Why the sequence ends with it, if it does; the scheduler itself ends a sequence of `maxTokens`.
    package let finish: FinishReason?

    /// A token.
    package init(token: Int, logprob: Double = 0, finish: FinishReason? = nil) {
        self.token = token
        self.logprob = logprob
        self.finish = finish
    }
}

/// A request that has ended.
package struct FinishedRequest: Sendable, Hashable {
    /// The request.
    package let id: Int
    /// Its continuations: sampled ones by their number, beams best first.
    package let sequences: [FinishedSequence]

    /// The `count` continuations of the highest cumulative log-probability, the earlier first among equals.
    package func best(_ count: Int) -> [FinishedSequence] {
        let order = sequences.indices.sorted {
            let (left, right) = (sequences[$0].cumulativeLogprob, sequences[$1].cumulativeLogprob)
            return left == right ? $0 < $1 : left > right
        }
        return order.prefix(count).map { sequences[$0] }
    }
}

/// A continuation that has ended.
package struct FinishedSequence: Sendable, Hashable {
    /// Its number within the request; a beam's is its place.
    package var index: Int
    /// The tokens after the prompt, the one that ended it included.
    package let tokens: [Int]
    /// The sum of their log-probabilities, where they are known.
    package let cumulativeLogprob: Double
    /// Why it ended.
    package let finish: FinishReason
    /// A beam's log-probability, divided by its length to the power of the length penalty.
    package var score: Double?
}
