import Foundation
import PagedEngine
import TensorCore

/// Numbers from -amplitude to amplitude.
func randomLogits(_ count: Int, seed: UInt64, amplitude: Float = 4) -> [Float] {
    (0..<count).map { CounterRandom.uniform(seed: seed, index: UInt64($0)) * amplitude }
}

/// One sample of a sequence without a history, whose output counts `position` tokens where nothing reads them.
func draw(
    _ logits: [Float], _ params: SamplingParams, seed: UInt64 = 7, prompt: [Int] = [], output: [Int] = [],
    eos: [Int] = [], badWordTokens: [[Int]] = [], sequenceIndex: Int = 0
) throws -> SampledToken {
    let plan = try SamplingPlan(
        params, vocabulary: logits.count, eosTokenIds: eos, badWordTokens: badWordTokens, seed: seed)
    var sampler = Sampler()
    return try logits.withUnsafeBufferPointer {
        try sampler.sample(logits: $0, plan: plan, prompt: prompt, output: output, sequenceIndex: sequenceIndex)
    }
}

/// The tokens that can come, with their counts over many positions.
func histogram(
    _ logits: [Float], _ params: SamplingParams, seed: UInt64, draws: Int, badWordTokens: [[Int]] = []
) throws -> [Int] {
    let plan = try SamplingPlan(
        params, vocabulary: logits.count, badWordTokens: badWordTokens, seed: seed)
    var counts = [Int](repeating: 0, count: logits.count)
    var sampler = Sampler()
    try logits.withUnsafeBufferPointer { row in
        var output: [Int] = []
        for _ in 0..<draws {
            let token = try sampler.sample(logits: row, plan: plan, prompt: [], output: output, sequenceIndex: 0).token
            counts[token] += 1
            output.append(0)
        }
    }
    return counts
}

/// The distribution by the definitions, everything sorted: temperature, min-p, top-k (equals of the k-th stay), top-p.
func exactDistribution(_ logits: [Float], _ params: SamplingParams) -> [Double] {
    let scaled = logits.map { Double($0) / params.temperature }
    func softmax(_ kept: [Bool]) -> [Double] {
        let largest = zip(scaled, kept).filter(\.1).map(\.0).max() ?? 0
        let weights = zip(scaled, kept).map { $1 ? exp($0 - largest) : 0 }
        let sum = weights.reduce(0, +)
        return weights.map { $0 / sum }
    }
    var kept = logits.map { $0 > -.infinity }
    let probabilities = softmax(kept)
    let likeliest = probabilities.max() ?? 0
    for token in logits.indices where probabilities[token] < params.minP * likeliest { kept[token] = false }
    if params.topK > 0, params.topK < logits.count {
        let border = logits.sorted(by: >)[params.topK - 1]
        for token in logits.indices where logits[token] < border { kept[token] = false }
    }
    let afterTopK = softmax(kept)
    var before = 0.0
    for token in logits.indices.sorted(by: { (-logits[$0], $0) < (-logits[$1], $1) }) where kept[token] {
        if before >= params.topP { kept[token] = false }
        before += afterTopK[token]
    }
    return softmax(kept)
}

/// Pearson's statistic against the exact distribution, minus the border that chance passes once in a million (Wilson
/// and Hilferty's approximation).
///
/// Positive means refuted. A token of probability 0 that came is refuted at once.
func chiSquaredExcess(_ counts: [Int], _ distribution: [Double]) -> Double {
    let draws = Double(counts.reduce(0, +))
    var statistic = 0.0
    var freedom = -1.0
    // Cells that expect fewer than five draws are joined.
    var (joinedCount, joinedExpected) = (0.0, 0.0)
    for (count, probability) in zip(counts, distribution) {
        if probability == 0 {
            if count > 0 { return .infinity }
        } else if probability * draws < 5 {
            joinedCount += Double(count)
            joinedExpected += probability * draws
        } else {
            let expected = probability * draws
            statistic += (Double(count) - expected) * (Double(count) - expected) / expected
            freedom += 1
        }
    }
    if joinedExpected >= 1 {
        statistic += (joinedCount - joinedExpected) * (joinedCount - joinedExpected) / joinedExpected
        freedom += 1
    }
    guard freedom > 0 else { return -1 }
    let share = 2 / (9 * freedom)
    let border = freedom * pow(1 - share + 4.753 * share.squareRoot(), 3)
    return statistic - border
}
