/// How likely a token is, of the raw logits: before masks, penalties and temperature, as in vLLM.
public struct TokenLogprob: Sendable, Hashable {
    /// The token.
    public let token: Int
    /// The natural logarithm of its probability.
    public let logprob: Float
    /// Its place among all tokens, likeliest first and the lower token first among equals; the first is 1.
    public let rank: Int

    /// A token's likelihood.
    public init(token: Int, logprob: Float, rank: Int) {
        self.token = token
        self.logprob = logprob
        self.rank = rank
    }
}

/// What one row of logits became.
package struct SampledToken: Sendable, Hashable {
    /// The token.
    package let token: Int
    /// Its log-probability, where it is asked for or ranks candidates.
    package let logprob: Float?
    /// Where asked for: the token itself, then the likeliest tokens without it, likeliest first.
    package let logprobs: [TokenLogprob]?
}
