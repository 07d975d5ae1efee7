extension SamplingParams {
    /// The most continuations of one request: vLLM's default of `VLLM_MAX_N_SEQUENCES`.
    static let maximumSequences = 16_384

    /// Checks every range.
    ///
    /// - Throws: `SamplingError.invalidParameter` that names the first parameter out of its range.
    public func validate() throws(SamplingError) {
        try validateCounts()
        try Self.require(
            (-2...2).contains(presencePenalty), "presencePenalty", "a number from -2 to 2", presencePenalty)
        try Self.require(
            (-2...2).contains(frequencyPenalty), "frequencyPenalty", "a number from -2 to 2", frequencyPenalty)
        try Self.require(
            repetitionPenalty.isFinite && repetitionPenalty > 0, "repetitionPenalty", "a finite number above 0",
            repetitionPenalty)
        try Self.require((0...2).contains(temperature), "temperature", "a number from 0 to 2", temperature)
        try Self.require(topP > 0 && topP <= 1, "topP", "a number above 0 and up to 1", topP)
        try Self.require(topK >= -1, "topK", "0 (all), or at least 1", topK)
        try Self.require((0...1).contains(minP), "minP", "a number from 0 to 1", minP)
        try Self.require(!isGreedy || n == 1, "n", "1 for greedy sampling (temperature 0)", n)
        try Self.require(!isGreedy || candidateCount == 1, "bestOf", "1 for greedy sampling (temperature 0)", bestOf)
        try Self.require(!stop.contains(""), "stop", "texts that are not empty", stop)
        try Self.require(stop.isEmpty || detokenize, "stop", "no texts where detokenize is false", stop)
        try Self.require(!badWords.contains(""), "badWords", "texts that are not empty", badWords)
        if let allowedTokenIds {
            try Self.require(!allowedTokenIds.isEmpty, "allowedTokenIds", "at least one token", allowedTokenIds)
        }
        for (token, bias) in logitBias.sorted(by: { $0.key < $1.key }) {
            try Self.require(bias.isFinite, "logitBias[\(token)]", "a finite number", bias)
        }
    }

    /// Checks every range, and every token and count against a vocabulary.
    ///
    /// - Throws: `SamplingError.invalidParameter` that names the first parameter out of its range.
    public func validate(vocabulary: Int, maxLogprobs: Int = 20) throws(SamplingError) {
        try validate()
        let limit = maxLogprobs == -1 ? vocabulary : maxLogprobs
        for (name, count) in [("logprobs", logprobs), ("promptLogprobs", promptLogprobs)] {
            guard let count else { continue }
            let actual = count == -1 ? vocabulary : count
            try Self.require(actual <= limit, name, "at most \(limit) (maxLogprobs)", count)
        }
        let lists = [
            ("stopTokenIds", stopTokenIds), ("logitBias", logitBias.keys.sorted()),
            ("allowedTokenIds", allowedTokenIds ?? []),
        ]
        for (name, tokens) in lists {
            for token in tokens {
                try Self.require(
                    token >= 0 && token < vocabulary, name, "tokens from 0 to below \(vocabulary)", token)
            }
        }
    }

    private func validateCounts() throws(SamplingError) {
        let sequences = 1...Self.maximumSequences
        try Self.require(sequences.contains(n), "n", "a number from 1 to \(Self.maximumSequences)", n)
        if let bestOf {
            try Self.require(
                sequences.contains(bestOf) && bestOf >= n, "bestOf",
                "a number from n = \(n) to \(Self.maximumSequences)", bestOf)
        }
        if let maxTokens {
            try Self.require(maxTokens >= 1, "maxTokens", "at least 1", maxTokens)
            try Self.require(minTokens <= maxTokens, "minTokens", "at most maxTokens = \(maxTokens)", minTokens)
        }
        try Self.require(minTokens >= 0, "minTokens", "at least 0", minTokens)
        for (name, count) in [("logprobs", logprobs), ("promptLogprobs", promptLogprobs)] {
            if let count { try Self.require(count >= -1, name, "at least 0, or -1 for the whole vocabulary", count) }
        }
    }

    /// Refuses a parameter that does not hold what it must.
    static func require<Value>(
        _ holds: Bool, _ name: String, _ expected: String, _ actual: Value
    ) throws(SamplingError) {
        guard !holds else { return }
        throw .invalidParameter(name: name, expected: expected, actual: "\(actual)")
    }
}
