import Kernels

/// Causal softmax over tokens as a recurrence over the keys: linear time, memory of one state `[features, valueDim]`.
///
///     key j arrives:  m' = max(m, k_j)   S = exp(m - m') S + exp(k_j - m') v_jᵀ   z = exp(m - m') z + exp(k_j - m')
///     row i reads:    o_i = Σ_f (w_if / z_f) S_f
///
/// with a running maximum `m` and denominator `z` for each feature. A row reads before later keys arrive, so these never
/// change a bit of it. Derivatives run the recurrence again for those by the weights, `dw_if = S_f · dO_i / z_f`, then
/// backwards over the keys for the others: with `R_f = Σ exp(m_j - m_i) (w_if / z_if) dO_i` over the rows that see key
/// `j` and `T_f` the same sum of `dw_if`,
///
///     dv_j = Σ_f exp(k_jf - m_jf) R_f       dk_jf = exp(k_jf - m_jf) (R_f · v_j - T_f)
///
/// Every exponent is at most 0.
struct FastRecurrence: CausalRecurrence {
    let kernels: KernelTable
    let logits: DenseMatrix<Float>
    let ends: [Int]

    private var features: Int { logits.columns }
    private var keys: Int { ends.last ?? 0 }

    /// What the keys so far have left.
    private struct Running {
        /// `[1, features]`.
        let maximum: DenseMatrix<Float>
        let denominator: DenseMatrix<Float>
        /// Factors of the last key: rows `exp(m - m')` and `exp(k - m')`.
        let factors: DenseMatrix<Float>

        init(features: Int) {
            maximum = DenseMatrix(repeating: -.infinity, rows: 1, columns: features)
            denominator = DenseMatrix(repeating: 0, rows: 1, columns: features)
            factors = DenseMatrix(rows: 2, columns: features)
        }

        func take(_ key: UnsafePointer<Float>, _ kernels: KernelTable) {
            let count = maximum.columns
            let (highest, sum) = (maximum.base, denominator.base)
            let (decay, gain) = (factors.row(0), factors.row(1))
            for f in 0..<count {
                // NaN comes in, and then stays.
                let next = key[f] > highest[f] || key[f] != key[f] ? key[f] : highest[f]
                decay[f] = highest[f] - next
                gain[f] = key[f] - next
                highest[f] = next
            }
            kernels.exponentials(decay, count: 2 * count)
            for f in 0..<count { sum[f] = sum[f] * decay[f] + gain[f] }
        }
    }

    /// Runs over the keys; `onRow` is called for each row that sees some, when exactly its keys have arrived.
    private func walk(onKey: (_ key: Int, Running) -> Void, onRow: (_ row: Int, Running) -> Void) {
        let running = Running(features: features)
        if logits.isSketch { return }
        var key = 0
        for (row, end) in ends.enumerated() where end > 0 {
            while key < end {
                running.take(logits.row(key), kernels)
                onKey(key, running)
                key += 1
            }
            onRow(row, running)
        }
    }

    func logSumExp() -> DenseMatrix<Float> {
        let result = DenseMatrix<Float>(repeating: -.infinity, rows: ends.count, columns: features)
        walk(onKey: { _, _ in }) { row, running in
            let logarithms = running.denominator.mapped(.logarithm)
            logarithms.add(running.maximum)
            result.part(rows: row..<row + 1).set(logarithms)
        }
        return result
    }

    func throughLogSumExp(_ gradient: DenseMatrix<Float>) -> DenseMatrix<Float> {
        let parts = DenseMatrix<Float>(repeating: 0, rows: ends.count, columns: features)
        let maxima = DenseMatrix<Float>(rows: keys, columns: features)
        walk(onKey: { maxima.part(rows: $0..<$0 + 1).set($1.maximum) }) { row, running in
            let (target, source) = (parts.row(row), gradient.row(row))
            for f in 0..<features { target[f] = source[f] / running.denominator.base[f] }
        }
        let result = DenseMatrix<Float>(repeating: 0, rows: logits.rows, columns: features)
        let sums = DenseMatrix<Float>(repeating: 0, rows: 1, columns: features)
        returning(maxima) { key, decay, weight in
            let sum = sums.base
            for f in 0..<features { sum[f] *= decay[f] }
            return { rows in
                for row in rows { sums.add(parts.part(rows: row..<row + 1)) }
                let target = result.row(key)
                for f in 0..<features { target[f] = weight[f] * sum[f] }
            }
        }
        return result
    }

    func mix(_ weights: DenseMatrix<Float>, _ values: DenseMatrix<Float>) -> DenseMatrix<Float> {
        let result = DenseMatrix<Float>(repeating: 0, rows: ends.count, columns: values.columns)
        let state = State(features: features, columns: values.columns)
        let parts = DenseMatrix<Float>(rows: 1, columns: features)
        walk(onKey: { state.take(values.row($0), $1.factors, kernels) }) { row, running in
            let weight = weights.row(row)
            for f in 0..<features { parts.base[f] = weight[f] / running.denominator.base[f] }
            state.read(parts.base, into: result.row(row), kernels)
        }
        return result
    }

    func throughMix(
        _ weights: DenseMatrix<Float>, _ values: DenseMatrix<Float>, _ gradient: DenseMatrix<Float>
    ) -> (weights: DenseMatrix<Float>, logits: DenseMatrix<Float>, values: DenseMatrix<Float>) {
        let byWeights = DenseMatrix<Float>(repeating: 0, rows: weights.rows, columns: features)
        let byLogits = DenseMatrix<Float>(repeating: 0, rows: logits.rows, columns: features)
        let byValues = DenseMatrix<Float>(repeating: 0, rows: values.rows, columns: values.columns)
        let parts = DenseMatrix<Float>(repeating: 0, rows: weights.rows, columns: features)
        let maxima = DenseMatrix<Float>(rows: keys, columns: features)
        let forward = State(features: features, columns: values.columns)
        walk(
            onKey: {
                forward.take(values.row($0), $1.factors, kernels)
                maxima.part(rows: $0..<$0 + 1).set($1.maximum)
            },
            onRow: { row, running in
                let (target, part, weight) = (byWeights.row(row), parts.row(row), weights.row(row))
                forward.dot(gradient.row(row), into: target, kernels)
                for f in 0..<features {
                    target[f] /= running.denominator.base[f]
                    part[f] = weight[f] / running.denominator.base[f]
                }
            })
        let later = State(features: features, columns: values.columns)
        let ones = DenseMatrix<Float>(repeating: 1, rows: 1, columns: features)
        let none = DenseMatrix<Float>(repeating: 0, rows: 1, columns: features)
        let sums = DenseMatrix<Float>(repeating: 0, rows: 1, columns: features)
        returning(maxima) { key, decay, weight in
            for f in 0..<features { sums.base[f] *= decay[f] }
            later.take(nil, decay: decay, gain: none.base, kernels)
            return { rows in
                for row in rows {
                    let (part, own) = (parts.row(row), byWeights.row(row))
                    later.take(gradient.row(row), decay: ones.base, gain: part, kernels)
                    for f in 0..<features { sums.base[f] += part[f] * own[f] }
                }
                later.read(weight, into: byValues.row(key), kernels)
                let target = byLogits.row(key)
                later.dot(values.row(key), into: target, kernels)
                for f in 0..<features { target[f] = weight[f] * (target[f] - sums.base[f]) }
            }
        }
        return (byWeights, byLogits, byValues)
    }

    /// Runs over the keys from the last to the first.
    ///
    /// `atKey` is given `exp(m_j - m_{j+1})`, by which what is known of later rows shrinks, and `exp(k_j - m_j)`; what it
    /// returns is called with the rows whose last key this is.
    private func returning(
        _ maxima: DenseMatrix<Float>,
        _ atKey: (_ key: Int, _ decay: UnsafePointer<Float>, _ weight: UnsafePointer<Float>) -> ((Range<Int>) -> Void)
    ) {
        let factors = DenseMatrix<Float>(rows: 2, columns: features)
        let (decay, weight) = (factors.row(0), factors.row(1))
        if logits.isSketch { return }
        var end = ends.count
        for key in stride(from: keys - 1, through: 0, by: -1) {
            let (own, logit) = (maxima.row(key), logits.row(key))
            let next = maxima.row(min(key + 1, keys - 1))
            for f in 0..<features {
                decay[f] = own[f] - next[f]
                weight[f] = logit[f] - own[f]
            }
            kernels.exponentials(decay, count: 2 * features)
            var start = end
            while start > 0, ends[start - 1] == key + 1 { start -= 1 }
            atKey(key, decay, weight)(start..<end)
            end = start
        }
        withExtendedLifetime(factors) {}
    }
}

/// A matrix `[features, columns]` that keys add to and rows read, padded for the kernels.
private struct State {
    private let columns: Int
    private let cells: DenseMatrix<Float>
    /// One padded row for what comes in, one for what goes out.
    private let row: DenseMatrix<Float>

    init(features: Int, columns: Int) {
        self.columns = columns
        let stride = columns.roundedUp(to: 16)
        cells = DenseMatrix(repeating: 0, rows: features, columns: stride)
        row = DenseMatrix(repeating: 0, rows: 2, columns: stride)
    }

    func take(_ value: UnsafePointer<Float>, _ factors: DenseMatrix<Float>, _ kernels: KernelTable) {
        take(value, decay: factors.row(0), gain: factors.row(1), kernels)
    }

    /// `S_f = decay_f S_f + gain_f value`; no value is zero.
    func take(
        _ value: UnsafePointer<Float>?, decay: UnsafePointer<Float>, gain: UnsafePointer<Float>, _ kernels: KernelTable
    ) {
        let padded = row.row(0)
        if let value {
            padded.update(from: value, count: columns)
        } else {
            padded.update(repeating: 0, count: columns)
        }
        kernels.updateState(
            cells.base, stride: cells.stride, decay: decay, gain: gain, value: padded, features: cells.rows)
    }

    func read(_ weight: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>, _ kernels: KernelTable) {
        kernels.readState(row.row(1), cells.base, stride: cells.stride, weight: weight, features: cells.rows)
        target.update(from: row.row(1), count: columns)
    }

    func dot(_ vector: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>, _ kernels: KernelTable) {
        row.row(0).update(from: vector, count: columns)
        kernels.dotState(target, cells.base, stride: cells.stride, vector: row.row(0), features: cells.rows)
    }
}
