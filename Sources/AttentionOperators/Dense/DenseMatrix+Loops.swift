/// Loops over whole matrices, compiled for Float and for Double: generic code that calls them need not be.
///
/// None is inlined, so that the matrices live while their memory is used.
extension DenseMatrix {
    /// A copy with memory of its own.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func copied() -> DenseMatrix {
        let result = DenseMatrix(rows: rows, columns: columns)
        if isSketch { return result }
        for index in 0..<rows { result.row(index).update(from: row(index), count: columns) }
        return result
    }

    /// `self += factor · other`.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func add(_ other: DenseMatrix, times factor: Number = 1) {
        if isSketch { return }
        for index in 0..<rows {
            let target = row(index)
            let source = other.row(index)
            if factor == 1 {
                for column in 0..<columns { target[column] += source[column] }
            } else {
                for column in 0..<columns { target[column] += factor * source[column] }
            }
        }
    }

    /// `factor · self`.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func scaled(by factor: Number) -> DenseMatrix {
        let result = DenseMatrix(rows: rows, columns: columns)
        if isSketch { return result }
        for index in 0..<rows {
            let target = result.row(index)
            let source = row(index)
            for column in 0..<columns { target[column] = factor * source[column] }
        }
        return result
    }

    /// The products of elements at the same place.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func times(_ other: DenseMatrix) -> DenseMatrix {
        let result = DenseMatrix(rows: rows, columns: columns)
        if isSketch { return result }
        for index in 0..<rows {
            let target = result.row(index)
            let left = row(index)
            let right = other.row(index)
            for column in 0..<columns { target[column] = left[column] * right[column] }
        }
        return result
    }

    /// Each row times its number: `factors` is `[rows, 1]`.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func timesColumn(_ factors: DenseMatrix) -> DenseMatrix {
        let result = DenseMatrix(rows: rows, columns: columns)
        if isSketch { return result }
        for index in 0..<rows {
            let factor = factors[index, 0]
            let target = result.row(index)
            let source = row(index)
            for column in 0..<columns { target[column] = factor * source[column] }
        }
        return result
    }

    /// Each column times its number: `factors` is `[1, columns]`.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func timesRow(_ factors: DenseMatrix) -> DenseMatrix {
        let result = DenseMatrix(rows: rows, columns: columns)
        if isSketch { return result }
        let factors = factors.base
        for index in 0..<rows {
            let target = result.row(index)
            let source = row(index)
            for column in 0..<columns { target[column] = factors[column] * source[column] }
        }
        return result
    }

    /// Each row plus one row: `addends` is `[1, columns]`.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func plusRow(_ addends: DenseMatrix, times factor: Number = 1) -> DenseMatrix {
        let result = DenseMatrix(rows: rows, columns: columns)
        if isSketch { return result }
        let addends = addends.base
        for index in 0..<rows {
            let target = result.row(index)
            let source = row(index)
            for column in 0..<columns { target[column] = source[column] + factor * addends[column] }
        }
        return result
    }

    /// Each column plus one column: `addends` is `[rows, 1]`.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func plusColumn(_ addends: DenseMatrix, times factor: Number = 1) -> DenseMatrix {
        let result = DenseMatrix(rows: rows, columns: columns)
        if isSketch { return result }
        for index in 0..<rows {
            let addend = factor * addends[index, 0]
            let target = result.row(index)
            let source = row(index)
            for column in 0..<columns { target[column] = source[column] + addend }
        }
        return result
    }

    /// The sum of each row, `[rows, 1]`.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func rowSums() -> DenseMatrix {
        let result = DenseMatrix(rows: rows, columns: 1)
        if isSketch { return result }
        for index in 0..<rows { result[index, 0] = Self.sum(row(index), columns) }
        return result
    }

    /// The sum of each column, `[1, columns]`, in Double.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func columnSums() -> DenseMatrix {
        let result = DenseMatrix(rows: 1, columns: columns)
        if isSketch { return result }
        withUnsafeTemporaryAllocation(of: Double.self, capacity: max(1, columns)) { sums in
            sums.initialize(repeating: 0)
            for index in 0..<rows {
                let source = row(index)
                for column in 0..<columns { sums[column] += Double(source[column]) }
            }
            for column in 0..<columns { result.base[column] = Number(sums[column]) }
        }
        return result
    }

    /// Rows and columns exchanged.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func transposed() -> DenseMatrix {
        let result = DenseMatrix(rows: columns, columns: rows)
        if isSketch { return result }
        for index in 0..<rows {
            let source = row(index)
            for column in 0..<columns { result.base[column * rows + index] = source[column] }
        }
        return result
    }

    /// Whether every element is finite.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func isFinite() -> Bool {
        if isSketch { return true }
        for index in 0..<rows {
            // A number minus itself is zero, or NaN where it is not finite.
            let source = row(index)
            var others: Int32 = 0
            for column in 0..<columns { others &+= source[column] - source[column] == 0 ? 0 : 1 }
            if others != 0 { return false }
        }
        return true
    }

    /// The sum of a run of numbers, in Double; four sums hide the latency of the additions.
    @inline(__always)
    static func sum(_ numbers: UnsafePointer<Number>, _ count: Int) -> Number {
        var (a, b, c, d) = (0.0, 0.0, 0.0, 0.0)
        var index = 0
        while index + 4 <= count {
            a += Double(numbers[index])
            b += Double(numbers[index + 1])
            c += Double(numbers[index + 2])
            d += Double(numbers[index + 3])
            index += 4
        }
        while index < count {
            a += Double(numbers[index])
            index += 1
        }
        return Number((a + b) + (c + d))
    }

    /// The largest of a run of numbers; NaN when one is NaN, -infinity when there are none.
    @inline(__always)
    static func maximum(_ numbers: UnsafePointer<Number>, _ range: Range<Int>) -> Number {
        var highest = -Number.infinity
        for index in range {
            let number = numbers[index]
            if number > highest || number != number { highest = number }
            if highest != highest { return highest }
        }
        return highest
    }
}
