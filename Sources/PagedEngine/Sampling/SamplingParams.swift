/// How a text is continued.
///
/// Names, defaults and limits are those of vLLM's `SamplingParams`, whose OpenAI-like fields they are.
public struct SamplingParams: Sendable, Hashable {
    /// How many continuations are returned.
    public var n: Int
    /// How many continuations are computed; the `n` of the highest cumulative log-probability are returned; nil means
    /// `n`.
    public var bestOf: Int?
    /// Taken from the logit of every token that is in the output so far, from -2 to 2.
    public var presencePenalty: Double
    /// Taken from the logit of a token once for each time it is in the output so far, from -2 to 2.
    public var frequencyPenalty: Double
    /// Divides the positive, and multiplies the negative, logits of tokens in the prompt or the output; above 0.
    public var repetitionPenalty: Double
    /// Divides the logits, from 0 to 2; 0 is greedy.
    public var temperature: Double
    /// Only the likeliest tokens whose probabilities add up to this are sampled, above 0 and up to 1.
    public var topP: Double
    /// Only so many of the likeliest tokens are sampled, and those as likely as the last of them; 0 or -1 means all.
    public var topK: Int
    /// Only tokens at least this times as likely as the likeliest are sampled, from 0 to 1.
    public var minP: Double
    /// Makes the continuation repeatable; nil, or -1 as in vLLM, lets the engine draw one.
    public var seed: Int?
    /// Texts that end the continuation.
    public var stop: [String]
    /// Tokens that end the continuation.
    public var stopTokenIds: [Int]
    /// Texts that are never completed.
    ///
    /// Whoever has the tokenizer turns them into token sequences.
    public var badWords: [String]
    /// Whether the end-of-sequence token does not end the continuation.
    public var ignoreEos: Bool
    /// The most tokens of a continuation; nil means as many as the model's length allows.
    public var maxTokens: Int?
    /// The fewest tokens before the end-of-sequence token or a stop token may be sampled.
    public var minTokens: Int
    /// How many log-probabilities come with each token of the continuation; nil is none, -1 the whole vocabulary.
    public var logprobs: Int?
    /// How many log-probabilities come with each token of the prompt; nil is none, -1 the whole vocabulary.
    public var promptLogprobs: Int?
    /// Whether tokens are turned into text.
    public var detokenize: Bool
    /// Whether special tokens are left out of the text.
    public var skipSpecialTokens: Bool
    /// Whether special tokens that are not left out stand between spaces.
    public var spacesBetweenSpecialTokens: Bool
    /// Whether the stop text or the text of the stop token stays in the output.
    public var includeStopStrInOutput: Bool
    /// Added to the logits of single tokens.
    ///
    /// As in vLLM, a bias beyond ±100 acts as ±100.
    public var logitBias: [Int: Double]
    /// The only tokens that may be sampled; nil means all.
    public var allowedTokenIds: [Int]?

    /// Parameters; those left out have vLLM's defaults.
    ///
    /// Nothing is checked before `validate()`.
    public init(
        n: Int = 1, bestOf: Int? = nil, presencePenalty: Double = 0, frequencyPenalty: Double = 0,
        repetitionPenalty: Double = 1, temperature: Double = 1, topP: Double = 1, topK: Int = 0, minP: Double = 0,
        seed: Int? = nil, stop: [String] = [], stopTokenIds: [Int] = [], badWords: [String] = [],
        ignoreEos: Bool = false, maxTokens: Int? = 16, minTokens: Int = 0, logprobs: Int? = nil,
        promptLogprobs: Int? = nil, detokenize: Bool = true, skipSpecialTokens: Bool = true,
        spacesBetweenSpecialTokens: Bool = true, includeStopStrInOutput: Bool = false,
        logitBias: [Int: Double] = [:], allowedTokenIds: [Int]? = nil
    ) {
        self.n = n
        self.bestOf = bestOf
        self.presencePenalty = presencePenalty
        self.frequencyPenalty = frequencyPenalty
        self.repetitionPenalty = repetitionPenalty
        self.temperature = temperature
        self.topP = topP
        self.topK = topK
        self.minP = minP
        self.seed = seed
        self.stop = stop
        self.stopTokenIds = stopTokenIds
        self.badWords = badWords
        self.ignoreEos = ignoreEos
        self.maxTokens = maxTokens
        self.minTokens = minTokens
        self.logprobs = logprobs
        self.promptLogprobs = promptLogprobs
        self.detokenize = detokenize
        self.skipSpecialTokens = skipSpecialTokens
        self.spacesBetweenSpecialTokens = spacesBetweenSpecialTokens
        self.includeStopStrInOutput = includeStopStrInOutput
        self.logitBias = logitBias
        self.allowedTokenIds = allowedTokenIds
    }

    /// Whether the likeliest token is taken without drawing.
    public var isGreedy: Bool { temperature == 0 }

    /// How many continuations are computed.
    public var candidateCount: Int { bestOf ?? n }

    /// The seed, or nil where the engine draws one.
    package var fixedSeed: UInt64? { seed.flatMap { $0 == -1 ? nil : UInt64(bitPattern: Int64($0)) } }

    /// Whether the log-probability of each sampled token must be known: it is asked for, or it ranks candidates.
    package var needsChosenLogprob: Bool { logprobs != nil || candidateCount > n }
}
