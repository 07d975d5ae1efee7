/// The parameters of one request, checked against a vocabulary and brought into the form that sampling reads.
package struct SamplingPlan: Sendable {
    /// The parameters as given.
    package let params: SamplingParams
    /// The number of tokens.
    package let vocabulary: Int
    /// The seed that the random numbers count from.
    package let seed: UInt64
    /// Added to logits, in the order of tokens so that nothing depends on the order of a dictionary.
    let biases: [(token: Int, bias: Float)]
    /// Tokens that must not come before `minTokens`: the end of sequence even where it is ignored, as in vLLM.
    let earlyStops: [Int]
    /// Token sequences that must not be completed.
    let badWords: [[Int]]

    /// Whether the token is that of the largest logit: nothing changes or forbids logits, and nothing is drawn.
    var takesLargestLogit: Bool {
        params.isGreedy && params.allowedTokenIds == nil && badWords.isEmpty && biases.isEmpty && params.minTokens == 0
            && params.repetitionPenalty == 1 && params.frequencyPenalty == 0 && params.presencePenalty == 0
    }

    /// A plan.
    ///
    /// `badWordTokens` are the sequences that `params.badWords` have become; `seed` is used where the parameters fix
    /// none.
    ///
    /// - Throws: `SamplingError.invalidParameter` or `.tokenOutOfRange`.
    package init(
        _ params: SamplingParams, vocabulary: Int, eosTokenIds: [Int] = [], badWordTokens: [[Int]] = [], seed: UInt64,
        maxLogprobs: Int = 20
    ) throws(SamplingError) {
        try SamplingParams.require(vocabulary >= 1, "vocabulary", "at least 1 token", vocabulary)
        try params.validate(vocabulary: vocabulary, maxLogprobs: maxLogprobs)
        try SamplingParams.require(
            params.badWords.isEmpty || !badWordTokens.isEmpty, "badWords", "their token sequences", params.badWords)
        try SamplingParams.require(
            badWordTokens.allSatisfy { !$0.isEmpty }, "badWords", "sequences of at least one token", badWordTokens)
        for (operand, tokens) in [("eosTokenIds", eosTokenIds)] + badWordTokens.map({ ("badWords", $0) }) {
            for token in tokens where token < 0 || token >= vocabulary {
                throw .tokenOutOfRange(operand: operand, token: token, vocabulary: vocabulary)
            }
        }
        self.params = params
        self.vocabulary = vocabulary
        self.seed = params.fixedSeed ?? seed
        self.badWords = badWordTokens
        biases = params.logitBias.sorted { $0.key < $1.key }.map { ($0.key, Float(min(100, max(-100, $0.value)))) }
        earlyStops = params.stopTokenIds + eosTokenIds
    }
}
