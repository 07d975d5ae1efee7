extension DenseTape {
    /// Rows and columns exchanged.
    func transpose(_ x: Node) -> Node {
        record(x.value.transposed(), from: [x]) { x.accumulate($0.transposed()) }
    }

    /// Some rows, some columns, or both, without a copy.
    func part(_ x: Node, rows: Range<Int>? = nil, columns: Range<Int>? = nil) -> Node {
        if (rows ?? 0..<x.rows) == 0..<x.rows, (columns ?? 0..<x.columns) == 0..<x.columns { return x }
        return record(x.value.part(rows: rows, columns: columns), from: [x]) { gradient in
            if x.isDerived { x.accumulating().part(rows: rows, columns: columns).add(gradient) }
        }
    }

    /// Matrices of as many rows side by side.
    func besideEachOther(_ parts: [Node]) -> Node {
        if parts.count == 1 { return parts[0] }
        let result = Matrix(rows: parts.first?.rows ?? 0, columns: parts.reduce(0) { $0 + $1.columns })
        var start = 0
        for part in parts {
            result.part(columns: start..<start + part.columns).set(part.value)
            start += part.columns
        }
        return record(result, from: parts) { gradient in
            var start = 0
            for part in parts {
                let columns = start..<start + part.columns
                part.accumulate(gradient.part(columns: columns).copied())
                start += part.columns
            }
        }
    }

    /// Matrices of as many columns one below the other.
    func belowEachOther(_ parts: [Node]) -> Node {
        if parts.count == 1 { return parts[0] }
        let result = Matrix(rows: parts.reduce(0) { $0 + $1.rows }, columns: parts.first?.columns ?? 0)
        var start = 0
        for part in parts {
            result.part(rows: start..<start + part.rows).set(part.value)
            start += part.rows
        }
        return record(result, from: parts) { gradient in
            var start = 0
            for part in parts {
                part.accumulate(gradient.part(rows: start..<start + part.rows).copied())
                start += part.rows
            }
        }
    }

    /// Rows by their numbers, which may repeat.
    func gather(_ x: Node, rows indices: [Int]) -> Node {
        let result = Matrix(rows: indices.count, columns: x.columns)
        for (place, index) in indices.enumerated() {
            result.part(rows: place..<place + 1).set(x.value.part(rows: index..<index + 1))
        }
        return record(result, from: [x]) { gradient in
            guard x.isDerived else { return }
            let target = x.accumulating()
            for (place, index) in indices.enumerated() {
                target.part(rows: index..<index + 1).add(gradient.part(rows: place..<place + 1))
            }
        }
    }

    /// Row `i` is the mean of the rows of the `i`-th of `segments` nearly equal parts: rows `i · n / segments` up to
    /// `(i + 1) · n / segments`.
    /// - Precondition: there are at least as many rows as segments.
    func segmentMeans(_ x: Node, segments: Int) -> Node {
        let bounds = (0...segments).map { $0 * x.rows / max(1, segments) }
        let result = Matrix(rows: segments, columns: x.columns)
        for segment in 0..<segments {
            let rows = bounds[segment]..<bounds[segment + 1]
            result.part(rows: segment..<segment + 1)
                .set(x.value.part(rows: rows).columnSums().scaled(by: 1 / Number(rows.count)))
        }
        return record(result, from: [x]) { gradient in
            guard x.isDerived else { return }
            let target = x.accumulating()
            for segment in 0..<segments {
                let rows = bounds[segment]..<bounds[segment + 1]
                let part = gradient.part(rows: segment..<segment + 1).scaled(by: 1 / Number(rows.count))
                for row in rows { target.part(rows: row..<row + 1).add(part) }
            }
        }
    }

    /// `y_i = Σ_t w_t x_{i + t - size / 2}` along the rows, zeros beyond both ends.
    ///
    /// - Parameters:
    ///   - kernel: `[columns, size]`, or `[1, size]` for all columns alike.
    ///   - rows: of the result.
    func convolve(_ x: Node, kernel: Node, rows: Int) -> Node {
        let result = x.value.convolved(kernel.value, rows: rows)
        return record(result, from: [x, kernel]) { gradient in
            if x.isDerived { x.accumulate(gradient.correlated(kernel.value, rows: x.rows)) }
            if kernel.isDerived {
                kernel.accumulate(x.value.byKernel(gradient, rows: kernel.rows, size: kernel.columns))
            }
        }
    }
}

extension DenseMatrix {
    /// Takes the elements of a matrix of the same extents.
    func set(_ other: DenseMatrix) {
        if isSketch { return }
        for index in 0..<rows { row(index).update(from: other.row(index), count: columns) }
    }

    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    fileprivate func convolved(_ kernel: DenseMatrix, rows count: Int) -> DenseMatrix {
        let result = DenseMatrix(repeating: 0, rows: count, columns: columns)
        if isSketch { return result }
        let half = kernel.columns / 2
        let weights = kernel.rows == 1 ? kernel.repeatedRows(columns).transposed() : kernel.transposed()
        for index in 0..<count {
            let target = result.row(index)
            for step in 0..<kernel.columns where (0..<rows).contains(index + step - half) {
                let source = row(index + step - half)
                let weight = weights.row(step)
                for column in 0..<columns { target[column] += weight[column] * source[column] }
            }
        }
        return result
    }

    /// The derivative by the operand of a convolution, `self` being that by its result.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    fileprivate func correlated(_ kernel: DenseMatrix, rows count: Int) -> DenseMatrix {
        let result = DenseMatrix(repeating: 0, rows: count, columns: columns)
        if isSketch { return result }
        let half = kernel.columns / 2
        let weights = kernel.rows == 1 ? kernel.repeatedRows(columns).transposed() : kernel.transposed()
        for index in 0..<rows {
            let source = row(index)
            for step in 0..<kernel.columns where (0..<count).contains(index + step - half) {
                let target = result.row(index + step - half)
                let weight = weights.row(step)
                for column in 0..<columns { target[column] += weight[column] * source[column] }
            }
        }
        return result
    }

    /// The derivative by the kernel of a convolution, `self` being the operand.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    fileprivate func byKernel(_ gradient: DenseMatrix, rows kernels: Int, size: Int) -> DenseMatrix {
        let result = DenseMatrix(repeating: 0, rows: kernels, columns: size)
        if isSketch { return result }
        for step in 0..<size {
            let shift = step - size / 2
            let first = max(0, -shift)
            let last = max(first, min(gradient.rows, rows - shift))
            let sums = gradient.part(rows: first..<last).times(part(rows: first + shift..<last + shift)).columnSums()
            if kernels == 1 {
                result[0, step] = Self.sum(sums.base, columns)
            } else {
                for column in 0..<columns { result[column, step] = sums.base[column] }
            }
        }
        return result
    }

    private func repeatedRows(_ count: Int) -> DenseMatrix {
        let result = DenseMatrix(rows: count, columns: columns)
        if isSketch { return result }
        for index in 0..<count { result.row(index).update(from: base, count: columns) }
        return result
    }
}
