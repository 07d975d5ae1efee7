import TensorCore

/// Chooses the next token of a sequence from a row of logits.
///
/// The steps and their order are those of vLLM's sampler: allowed tokens, bad words, early stops, biases, penalties,
/// then greedy, or temperature, min-p, top-k, top-p and a draw. Log-probabilities are of the raw logits.
///
/// A sampler holds scratch memory and nothing else: what it returns is a function of the arguments. Use one for each
/// thread.
package struct Sampler: Sendable {
    private var scores: [Float] = []
    private var occurrences = TokenOccurrences()
    private var candidates = Candidates()

    /// A sampler without scratch memory as yet.
    package init() {}

    /// The next token after `prompt` and `output`, which are the sequence's own; `sequenceIndex` is its number within
    /// the request.
    ///
    /// The random number depends on the seed, the sequence's number and `output.count` alone, so neither the batch, nor
    /// chunks, nor preemption changes the text.
    ///
    /// - Throws: `SamplingError` for a row of the wrong length, for NaN or +infinity, for tokens outside the vocabulary
    ///   and
    ///   where no token may be sampled.
    /// - Complexity: O(vocabulary); only the tokens that top-k or top-p keep are given an order. Penalties add the
    ///   history.
    package mutating func sample(
        logits: UnsafeBufferPointer<Float>, plan: SamplingPlan, prompt: [Int], output: [Int], sequenceIndex: Int
    ) throws(SamplingError) -> SampledToken {
        guard logits.count == plan.vocabulary else {
            throw .logitsCount(expected: plan.vocabulary, actual: logits.count)
        }
        try RowLogprobs.check(logits)
        if plan.takesLargestLogit {
            let best = RowLogprobs.largest(logits)
            guard logits[best] > -.infinity else { throw .noCandidate(vocabulary: plan.vocabulary) }
            return try result(best, logits, plan)
        }
        scores.removeAll(keepingCapacity: true)
        scores.append(contentsOf: logits)
        mask(plan, output: output)
        try penalise(plan, prompt: prompt, output: output)
        let best = scores.withUnsafeBufferPointer(RowLogprobs.largest)
        guard scores[best] > -.infinity else { throw .noCandidate(vocabulary: plan.vocabulary) }
        var token = best
        if !plan.params.isGreedy {
            candidates.take(scores, params: plan.params, largest: scores[best])
            candidates.keepTop(plan.params.topP)
            token = candidates.draw(Self.uniform(plan.seed, sequenceIndex: sequenceIndex, position: output.count))
        }
        return try result(token, logits, plan)
    }

    /// The likelihood of `chosen`, then of the `count` likeliest tokens without it; -1 asks for all tokens.
    ///
    /// - Throws: `SamplingError` as `sample` does.
    package func logprobs(
        logits: UnsafeBufferPointer<Float>, chosen: Int, count: Int
    ) throws(SamplingError) -> [TokenLogprob] {
        guard logits.indices.contains(chosen) else {
            throw .tokenOutOfRange(operand: "chosen", token: chosen, vocabulary: logits.count)
        }
        return try RowLogprobs(logits).list(chosen: chosen, count: count == -1 ? logits.count : count)
    }

    /// The `count` likeliest tokens, likeliest first.
    ///
    /// They are what a beam may be continued with. A temperature of 0 leaves the logits as they are.
    ///
    /// - Throws: `SamplingError` as `sample` does.
    package mutating func beamCandidates(
        logits: UnsafeBufferPointer<Float>, count: Int, temperature: Double
    ) throws(SamplingError) -> [TokenLogprob] {
        guard temperature != 0, temperature != 1 else { return try RowLogprobs(logits).top(count) }
        scores.removeAll(keepingCapacity: true)
        // A very small temperature must not make an infinity, whose distance to itself is no number.
        let most = Double(Float.greatestFiniteMagnitude)
        for logit in logits {
            scores.append(logit == -.infinity ? logit : Float(max(-most, min(most, Double(logit) / temperature))))
        }
        return try scores.withUnsafeBufferPointer { (scaled) throws(SamplingError) in
            try RowLogprobs(scaled).top(count)
        }
    }

    /// A number from 0 to below 1 with 53 random bits, exact in Double.
    static func uniform(_ seed: UInt64, sequenceIndex: Int, position: Int) -> Double {
        let stream = CounterRandom.value(seed: seed, index: UInt64(sequenceIndex))
        return Double(CounterRandom.value(seed: stream, index: UInt64(position)) >> 11) * 0x1p-53
    }

    private func result(
        _ token: Int, _ logits: UnsafeBufferPointer<Float>, _ plan: SamplingPlan
    ) throws(SamplingError) -> SampledToken {
        guard plan.params.needsChosenLogprob else { return SampledToken(token: token, logprob: nil, logprobs: nil) }
        let row = try RowLogprobs(logits)
        guard let asked = plan.params.logprobs else {
            return SampledToken(token: token, logprob: row.logprob(of: token), logprobs: nil)
        }
        let list = row.list(chosen: token, count: asked == -1 ? logits.count : asked)
        return SampledToken(token: token, logprob: row.logprob(of: token), logprobs: list)
    }

    /// Forbids tokens, and adds the biases.
    private mutating func mask(_ plan: SamplingPlan, output: [Int]) {
        if let allowed = plan.params.allowedTokenIds {
            let kept = allowed.map { scores[$0] }
            for index in scores.indices { scores[index] = -.infinity }
            for (token, score) in zip(allowed, kept) { scores[token] = score }
        }
        for word in plan.badWords where output.suffix(word.count - 1).elementsEqual(word.dropLast()) {
            scores[word[word.count - 1]] = -.infinity
        }
        if output.count < plan.params.minTokens {
            for token in plan.earlyStops { scores[token] = -.infinity }
        }
        for (token, bias) in plan.biases { scores[token] += bias }
    }

    /// Makes tokens of the history less likely: the repetition penalty sees the prompt and the output, the others the
    /// output.
    private mutating func penalise(
        _ plan: SamplingPlan, prompt: [Int], output: [Int]
    ) throws(SamplingError) {
        let params = plan.params
        let repeats = params.repetitionPenalty != 1
        guard repeats || params.frequencyPenalty != 0 || params.presencePenalty != 0 else { return }
        defer { occurrences.clear() }
        if repeats { try occurrences.add(prompt, operand: "prompt", vocabulary: plan.vocabulary, counting: false) }
        try occurrences.add(output, operand: "output", vocabulary: plan.vocabulary, counting: true)
        for token in occurrences.tokens {
            var score = Double(scores[token])
            if repeats { score = score > 0 ? score / params.repetitionPenalty : score * params.repetitionPenalty }
            let count = occurrences.count(of: token)
            if count > 0 { score -= params.frequencyPenalty * Double(count) + params.presencePenalty }
            // A very small repetition penalty must not make an infinity, whose distance to itself is no number.
            scores[token] = Float(min(score, Double(Float.greatestFiniteMagnitude)))
        }
    }
}

/// Which tokens a history has, and how often.
private struct TokenOccurrences: Sendable {
    /// The distinct tokens in the order of their first occurrence.
    private(set) var tokens: [Int] = []
    /// For each token of the vocabulary -1 where it does not occur, else how often it was counted.
    private var counts: [Int32] = []

    func count(of token: Int) -> Int { Int(counts[token]) }

    mutating func add(
        _ history: [Int], operand: String, vocabulary: Int, counting: Bool
    ) throws(SamplingError) {
        if counts.count < vocabulary {
            counts += [Int32](repeating: -1, count: vocabulary - counts.count)
        }
        for token in history {
            guard token >= 0, token < vocabulary else {
                throw .tokenOutOfRange(operand: operand, token: token, vocabulary: vocabulary)
            }
            if counts[token] < 0 {
                counts[token] = 0
                tokens.append(token)
            }
            if counting { counts[token] += 1 }
        }
    }

    /// Forgets the history: O(its distinct tokens), not O(vocabulary).
    mutating func clear() {
        for token in tokens { counts[token] = -1 }
        tokens.removeAll(keepingCapacity: true)
    }
}
