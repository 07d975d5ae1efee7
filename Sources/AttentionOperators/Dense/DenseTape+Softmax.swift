extension DenseTape {
    /// Softmax of each row over its visible cells; hidden cells become 0, and so does a row that sees nothing.
    func rowSoftmax(_ x: Node, visibility: DenseVisibility? = nil) -> Node {
        let weights = x.value.rowSoftmax(visibility, engine)
        return record(weights, from: [x]) { x.accumulate(weights.throughRowSoftmax($0, visibility)) }
    }

    /// ``rowSoftmax(_:visibility:)`` and the logarithms of its denominators, `[rows, 1]`.
    func rowSoftmaxAndLogarithm(_ x: Node, visibility: DenseVisibility? = nil) -> (softmax: Node, logSumExp: Node) {
        let logarithms = Matrix(rows: x.rows, columns: 1)
        let weights = x.value.rowSoftmax(visibility, logarithms: logarithms, engine)
        return (
            record(weights, from: [x]) { x.accumulate(weights.throughRowSoftmax($0, visibility)) },
            record(logarithms, from: [x]) { x.accumulate(weights.timesColumn($0)) }
        )
    }

    /// Softmax of each column (over the tokens of a sequence), and the logarithms of its denominators, `[1, columns]`.
    func columnSoftmax(_ x: Node) -> (softmax: Node, logSumExp: Node) {
        let maxima = x.value.columnMaxima()
        let exponentials = x.value.exponentials(below: maxima, engine)
        let sums = exponentials.columnSums()
        let weights = exponentials.timesRow(sums.mapped(.reciprocal))
        let logarithms = sums.mapped(.logarithm)
        logarithms.add(maxima)
        let softmax = record(weights, from: [x]) { x.accumulate(weights.throughColumnSoftmax($0)) }
        let logSumExp = record(logarithms, from: [x]) { x.accumulate(weights.timesRow($0)) }
        return (softmax, logSumExp)
    }

    /// `log Σ_f exp(a_if + b_jf)`: the plain form of features whose products are attention weights.
    ///
    /// O(rows² · columns).
    func logProduct(_ a: Node, _ b: Node, visibility: DenseVisibility?) -> Node {
        let result = a.value.logProduct(b.value, visibility)
        return record(result, from: [a, b]) { gradient in
            let parts = a.value.throughLogProduct(b.value, visibility, result: result, gradient: gradient)
            a.accumulate(parts.left)
            b.accumulate(parts.right)
        }
    }
}

extension DenseTape {
    /// Each row divided by its sum; a row whose sum is 0 stays zero.
    func normaliseRows(_ x: Node) -> Node {
        let factors = x.value.rowSums().mapped(.reciprocalOrZero)
        let weights = x.value.timesColumn(factors)
        return record(weights, from: [x]) { gradient in
            let inner = weights.times(gradient).rowSums()
            x.accumulate(gradient.plusColumn(inner, times: -1).timesColumn(factors))
        }
    }

    /// The matrix with its hidden cells, whatever they hold, replaced by 0.
    func select(_ x: Node, _ visibility: DenseVisibility?) -> Node {
        guard let visibility else { return x }
        let selected = x.value.copied()
        selected.hide(visibility)
        return record(selected, from: [x]) { gradient in
            let part = gradient.copied()
            part.hide(visibility)
            x.accumulate(part)
        }
    }
}

extension DenseMatrix {
    /// The largest element of each row, `[rows, 1]`.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func rowMaxima() -> DenseMatrix {
        let result = DenseMatrix(rows: rows, columns: 1)
        if isSketch { return result }
        for index in 0..<rows { result[index, 0] = Self.maximum(row(index), 0..<columns) }
        return result
    }
}
