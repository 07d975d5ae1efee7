import Foundation

/// The tokens that may still be drawn, with weights that are their probabilities times a common factor.
///
/// Weights are `exp((score - largest) / temperature)` in Double: the largest is 1, none overflows, and logits of ±1e5
/// at any temperature are as exact as small ones. A weight that vanishes leaves the candidates; the largest never does.
/// The memory is kept for the next row: fresh pages for a whole vocabulary would cost more than its exponentials.
struct Candidates: Sendable {
    private var tokens: [Int] = []
    private var scores: [Float] = []
    private var weights: [Double] = []
    private var total = 0.0

    /// Takes the tokens of a row that top-k and min-p keep.
    ///
    /// Both keep the upper part of the row, so their order does not matter, and taking top-k first spares the
    /// exponentials of the others.
    ///
    /// Tokens as likely as the k-th stay, as in vLLM: which of equals is dropped would be an accident.
    mutating func take(_ row: [Float], params: SamplingParams, largest: Float) {
        keep(0)
        total = 0
        var border: UInt32 = 0
        if params.topK > 0, params.topK < row.count {
            border = RadixThreshold(row, target: Double(params.topK)) { _ in 1 }.key
        }
        for token in row.indices where RadixThreshold.key(row[token]) >= border {
            let weight = exp((Double(row[token]) - Double(largest)) / params.temperature)
            guard weight > 0, weight >= params.minP else { continue }
            tokens.append(token)
            scores.append(row[token])
            weights.append(weight)
            total += weight
        }
    }

    /// Keeps the likeliest tokens whose probabilities add up to `share`, and always one; of equals at the border the
    /// lower token comes first.
    mutating func keepTop(_ share: Double) {
        guard share < 1 else { return }
        let target = share * total
        let border = RadixThreshold(scores, target: target) { [weights] in weights[$0] }
        var before = border.above
        var kept = 0
        total = 0
        for index in tokens.indices {
            let key = RadixThreshold.key(scores[index])
            guard key > border.key || (key == border.key && before < target) else { continue }
            if key == border.key { before += weights[index] }
            tokens[kept] = tokens[index]
            scores[kept] = scores[index]
            weights[kept] = weights[index]
            total += weights[index]
            kept += 1
        }
        keep(kept)
    }

    private mutating func keep(_ count: Int) {
        tokens.removeLast(tokens.count - count)
        scores.removeLast(scores.count - count)
        weights.removeLast(weights.count - count)
    }

    /// The token at which the weights, added in the order of tokens, pass `share` of the total: the inverse of the
    /// distribution function in Double.
    ///
    /// One random number and one addition for each candidate give the exact distribution. The Gumbel trick would need a
    /// number and two logarithms for each.
    func draw(_ share: Double) -> Int {
        let target = share * total
        var sum = 0.0
        for (index, weight) in weights.enumerated() {
            sum += weight
            if sum > target { return tokens[index] }
        }
        // Out of reach: the target is below the total, and the total is the same sum.
        return tokens[tokens.count - 1]
    }
}
