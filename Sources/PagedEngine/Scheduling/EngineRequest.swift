/// A prompt to be continued, as the scheduler sees it: tokens and limits, no text and no probabilities.
package struct EngineRequest: Sendable, Hashable {
    /// How continuations come about.
    package enum Decoding: Sendable, Hashable {
        /// So many continuations, drawn independently.
        case sampling(candidates: Int)
        /// The likeliest continuations together.
        case beam(BeamSearchParams, eosTokenIds: [Int])
    }

    /// The request's number, unique among those being worked on.
    package var id: Int
    /// The prompt's tokens.
    package var prompt: [Int]
    /// How continuations come about.
    package var decoding: Decoding
    /// The most tokens of a continuation; nil means as many as the model's length allows.
    ///
    /// Beam search has its own limit too.
    package var maxTokens: Int?
    /// Lower comes first, where the policy is `priority`.
    package var priority: Int
    /// Only requests of the same salt share cached pages.
    package var cacheSalt: String
    /// Whether the logits of the prompt's rows are wanted.
    package var promptLogprobs: Bool

    /// A request.
    package init(
        id: Int, prompt: [Int], decoding: Decoding = .sampling(candidates: 1), maxTokens: Int?, priority: Int = 0,
        cacheSalt: String = "", promptLogprobs: Bool = false
    ) {
        self.id = id
        self.prompt = prompt
        self.decoding = decoding
        self.maxTokens = maxTokens
        self.priority = priority
        self.cacheSalt = cacheSalt
        self.promptLogprobs = promptLogprobs
    }

    /// The most tokens of a continuation by all that the request says.
    var tokenLimit: Int? {
        switch decoding {
        case .sampling: maxTokens
        case .beam(let params, _): min(maxTokens ?? params.maxTokens, params.maxTokens)
        }
    }

    /// The most sequences that are followed at once.
    var width: Int {
        switch decoding {
        case .sampling(let candidates): candidates
        case .beam(let params, _): params.beamWidth
        }
    }
}
