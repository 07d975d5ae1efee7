/// A prompt: text, or its tokens.
public enum Prompt: Sendable, Hashable, ExpressibleByStringLiteral {
    /// A text, which the tokenizer reads with the tokens that frame it.
    case text(String)
    /// Tokens, taken as they are.
    case tokens([Int])

    /// A text.
    public init(stringLiteral value: String) { self = .text(value) }
}

/// What became of a request: vLLM's `RequestOutput`.
public struct RequestOutput: Sendable, Hashable {
    /// The request's number.
    public let requestId: Int
    /// The prompt's text, where it was given as text.
    public let prompt: String?
    /// The prompt's tokens.
    public let promptTokenIds: [Int]
    /// For each token of the prompt but the first: its likelihood and those of the likeliest; the first is `nil`.
    public let promptLogprobs: [[TokenLogprob]?]?
    /// The continuations: by their number, or best first.
    public let outputs: [CompletionOutput]
    /// Tokens of the prompt whose keys were found in the cache.
    public let cachedTokens: Int
}

/// One continuation: vLLM's `CompletionOutput`.
public struct CompletionOutput: Sendable, Hashable {
    /// Its place in the list.
    public let index: Int
    /// Its text.
    public let text: String
    /// Its tokens, the one that ended it included.
    public let tokenIds: [Int]
    /// The sum of the tokens' log-probabilities, where they were asked for or rank continuations.
    public let cumulativeLogprob: Double?
    /// For each token: its likelihood and those of the likeliest, where asked for.
    public let logprobs: [[TokenLogprob]]?
    /// Why it ended.
    public let finishReason: FinishReason
    /// What stopped it; `nil` is the end-of-sequence token, or no stop.
    public let stopReason: StopReason?
}

/// News of a request while it runs.
public struct RequestDelta: Sendable, Hashable {
    /// The continuation's number within the request.
    public let index: Int
    /// Text that was added; a character is never cut.
    public let text: String
    /// Tokens that were added.
    public let tokenIds: [Int]
    /// The tokens' likelihoods, where asked for.
    public let logprobs: [[TokenLogprob]]?
    /// Why the continuation ends, if it does.
    public let finishReason: FinishReason?
    /// What stopped it.
    public let stopReason: StopReason?
}
