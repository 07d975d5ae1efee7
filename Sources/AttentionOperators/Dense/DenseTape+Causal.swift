extension DenseTape {
    /// `o_i = Σ_f w_if Σ_j ρ_ijf v_j` with `ρ` the softmax of each feature's logits over the keys that row `i` sees.
    ///
    /// The fast engine runs a recurrence; the reference takes the softmax of each row's keys from its definition,
    /// O(rows · keys · features).
    /// - Parameter ends: how many keys each row sees, never fewer than the row before.
    func causalMix(_ weights: Node, logits: Node, values: Node, ends: [Int]) -> Node {
        guard let recurrence = engine.recurrence(logits.value, ends: ends) else {
            return belowEachOther(
                ends.enumerated().map { row, end in
                    if end == 0 { return constant(Matrix(repeating: 0, rows: 1, columns: values.columns)) }
                    let seen = columnSoftmax(part(logits, rows: 0..<end)).softmax
                    let context = multiply(seen, transposeA: true, part(values, rows: 0..<end))
                    return multiply(part(weights, rows: row..<row + 1), context)
                })
        }
        return record(recurrence.mix(weights.value, values.value), from: [weights, logits, values]) { gradient in
            let parts = recurrence.throughMix(weights.value, values.value, gradient)
            weights.accumulate(parts.weights)
            logits.accumulate(parts.logits)
            values.accumulate(parts.values)
        }
    }

    /// The logarithms of the denominators of ``causalMix(_:logits:values:ends:)``, `[rows, features]`; -infinity where a
    /// row sees nothing.
    func causalLogSumExp(_ logits: Node, ends: [Int]) -> Node {
        guard let recurrence = engine.recurrence(logits.value, ends: ends) else {
            return belowEachOther(
                ends.map { end in
                    if end == 0 { return constant(Matrix(repeating: -.infinity, rows: 1, columns: logits.columns)) }
                    return columnSoftmax(part(logits, rows: 0..<end)).logSumExp
                })
        }
        return record(recurrence.logSumExp(), from: [logits]) { logits.accumulate(recurrence.throughLogSumExp($0)) }
    }
}
