/// Which cells of a matrix of scores count.
struct DenseVisibility: Sendable {
    /// One range of columns that holds every visible one of a row.
    let columns: @Sendable (_ row: Int) -> Range<Int>
    /// Whether a cell within the range is visible; `nil`: all are.
    let cells: (@Sendable (_ row: Int, _ column: Int) -> Bool)?

    init(
        columns: @escaping @Sendable (_ row: Int) -> Range<Int>,
        cells: (@Sendable (_ row: Int, _ column: Int) -> Bool)? = nil
    ) {
        self.columns = columns
        self.cells = cells
    }

    func sees(_ row: Int, _ column: Int) -> Bool {
        columns(row).contains(column) && (cells?(row, column) ?? true)
    }
}

extension DenseTape {
    typealias Node = DenseNode<Number>
    typealias Matrix = DenseMatrix<Number>

    /// `alpha · op(a) · op(b)`.
    func multiply(
        _ a: Node, transposeA: Bool = false, _ b: Node, transposeB: Bool = false, alpha: Number = 1
    ) -> Node {
        let engine = engine
        let c = Matrix(rows: transposeA ? a.columns : a.rows, columns: transposeB ? b.rows : b.columns)
        engine.multiply(alpha, a.value, transposeA: transposeA, b.value, transposeB: transposeB, into: c, adding: false)
        return record(c, from: [a, b]) { gradient in
            if a.isDerived {
                let target = a.accumulating()
                if transposeA {
                    engine.multiply(
                        alpha, b.value, transposeA: transposeB, gradient, transposeB: true, into: target, adding: true)
                } else {
                    engine.multiply(
                        alpha, gradient, transposeA: false, b.value, transposeB: !transposeB, into: target,
                        adding: true)
                }
            }
            if b.isDerived {
                let target = b.accumulating()
                if transposeB {
                    engine.multiply(
                        alpha, gradient, transposeA: true, a.value, transposeB: transposeA, into: target, adding: true)
                } else {
                    engine.multiply(
                        alpha, a.value, transposeA: !transposeA, gradient, transposeB: false, into: target,
                        adding: true)
                }
            }
        }
    }

    /// `alpha · q kᵀ` of which only visible cells will be looked at: what stands in hidden rows of `k`, even NaN, reaches
    /// no derivative.
    ///
    /// For ``rowSoftmax(_:visibility:)`` with the same visibility, which selects.
    func scores(_ q: Node, _ k: Node, alpha: Number, visibility: DenseVisibility?) -> Node {
        guard let visibility else { return multiply(q, k, transposeB: true, alpha: alpha) }
        let engine = engine
        let c = Matrix(rows: q.rows, columns: k.rows)
        engine.multiply(alpha, q.value, transposeA: false, k.value, transposeB: true, into: c, adding: false)
        return record(c, from: [q, k]) { gradient in
            if q.isDerived {
                Self.multiplySelected(engine, alpha, gradient, k.value, visibility, into: q.accumulating())
            }
            if k.isDerived {
                engine.multiply(
                    alpha, gradient, transposeA: true, q.value, transposeB: false, into: k.accumulating(), adding: true)
            }
        }
    }

    /// `weights · values` where hidden weights are 0 and hidden values may be anything, even NaN.
    func weigh(_ weights: Node, _ values: Node, visibility: DenseVisibility?) -> Node {
        guard let visibility else { return multiply(weights, values) }
        let engine = engine
        let c = Matrix(repeating: 0, rows: weights.rows, columns: values.columns)
        Self.multiplySelected(engine, 1, weights.value, values.value, visibility, into: c)
        return record(c, from: [weights, values]) { gradient in
            if weights.isDerived {
                let product = Matrix(rows: weights.rows, columns: weights.columns)
                engine.multiply(
                    1, gradient, transposeA: false, values.value, transposeB: true, into: product, adding: false)
                product.hide(visibility)
                weights.accumulate(product)
            }
            if values.isDerived {
                engine.multiply(
                    1, weights.value, transposeA: true, gradient, transposeB: false, into: values.accumulating(),
                    adding: true)
            }
        }
    }

    /// `c += alpha · a · b`, passing over hidden cells of `a` when `b` is not finite: 0 · NaN is NaN.
    private static func multiplySelected(
        _ engine: any DenseEngine<Number>, _ alpha: Number, _ a: Matrix, _ b: Matrix, _ visibility: DenseVisibility,
        into c: Matrix
    ) {
        if b.isFinite() {
            engine.multiply(alpha, a, transposeA: false, b, transposeB: false, into: c, adding: true)
        } else {
            c.addProduct(alpha, a, b, visibility)
        }
    }
}

extension DenseMatrix {
    /// Hidden cells become 0.
    func hide(_ visibility: DenseVisibility) {
        if isSketch { return }
        for index in 0..<rows {
            let seen = visibility.columns(index)
            let cells = row(index)
            for column in 0..<columns where !seen.contains(column) { cells[column] = 0 }
            guard let visible = visibility.cells else { continue }
            for column in seen where !visible(index, column) { cells[column] = 0 }
        }
    }

    /// `self += alpha · a · b` over visible cells of `a` alone.
    fileprivate func addProduct(
        _ alpha: Number, _ a: DenseMatrix, _ b: DenseMatrix, _ visibility: DenseVisibility
    ) {
        if isSketch { return }
        for index in 0..<rows {
            for inner in visibility.columns(index) where visibility.cells?(index, inner) ?? true {
                let weight = alpha * a[index, inner]
                for column in 0..<columns { self[index, column] += weight * b[inner, column] }
            }
        }
    }
}
