/// Normalisations of rows and columns, and how derivatives pass through them.
extension DenseMatrix {
    /// Softmax of each row over its visible cells; hidden cells become 0, and so does a row that sees nothing.
    ///
    /// Hidden cells are selected, never added: they may hold anything.
    /// - Parameter logarithms: `[rows, 1]`, takes those of the denominators.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func rowSoftmax(
        _ visibility: DenseVisibility?, logarithms: DenseMatrix? = nil, _ engine: any DenseEngine<Number>
    ) -> DenseMatrix {
        let result = DenseMatrix(repeating: 0, rows: rows, columns: columns)
        if isSketch { return result }
        for index in 0..<rows {
            let seen = visibility?.columns(index) ?? 0..<columns
            let source = row(index)
            let target = result.row(index)
            var highest = -Number.infinity
            if let visible = visibility?.cells {
                for column in seen where visible(index, column) {
                    if source[column] > highest || source[column] != source[column] { highest = source[column] }
                    if highest != highest { break }
                }
                for column in seen {
                    target[column] = visible(index, column) ? source[column] - highest : -.infinity
                }
            } else {
                highest = Self.maximum(source, seen)
                for column in seen { target[column] = source[column] - highest }
            }
            guard highest != -.infinity else {
                for column in seen { target[column] = 0 }
                logarithms?[index, 0] = -.infinity
                continue
            }
            engine.exponentials(target + seen.lowerBound, count: seen.count)
            let sum = Self.sum(target + seen.lowerBound, seen.count)
            for column in seen { target[column] /= sum }
            logarithms?[index, 0] = highest + Number.logarithm(sum)
            if highest != highest, let visible = visibility?.cells {
                for column in seen where !visible(index, column) { target[column] = 0 }
            }
        }
        return result
    }

    /// With `self` a softmax of rows and `gradient` its derivative: `P (dP - Σ P dP)`.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func throughRowSoftmax(_ gradient: DenseMatrix, _ visibility: DenseVisibility?) -> DenseMatrix {
        let result = DenseMatrix(repeating: 0, rows: rows, columns: columns)
        if isSketch { return result }
        for index in 0..<rows {
            let seen = visibility?.columns(index) ?? 0..<columns
            let weights = row(index)
            let source = gradient.row(index)
            let target = result.row(index)
            for column in seen { target[column] = weights[column] * source[column] }
            if let visible = visibility?.cells {
                for column in seen where !visible(index, column) { target[column] = 0 }
            }
            let inner = Self.sum(target + seen.lowerBound, seen.count)
            for column in seen { target[column] -= weights[column] * inner }
            if let visible = visibility?.cells {
                for column in seen where !visible(index, column) { target[column] = 0 }
            }
        }
        return result
    }

    /// The largest element of each column, `[1, columns]`; NaN when one is NaN.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func columnMaxima() -> DenseMatrix {
        let result = DenseMatrix(repeating: -.infinity, rows: 1, columns: columns)
        if isSketch { return result }
        for index in 0..<rows {
            let source = row(index)
            for column in 0..<columns {
                // The second comparison is false for numbers: NaN comes in, and then stays.
                let number = source[column]
                let highest = result.base[column]
                result.base[column] = number > highest || number != number ? number : highest
            }
        }
        return result
    }

    /// e to the power of each element minus its column's number.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func exponentials(below maxima: DenseMatrix, _ engine: any DenseEngine<Number>) -> DenseMatrix {
        let result = plusRow(maxima, times: -1)
        if isSketch { return result }
        engine.exponentials(result.base, count: result.count)
        return result
    }

    /// With `self` a softmax of columns and `gradient` its derivative.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func throughColumnSoftmax(_ gradient: DenseMatrix) -> DenseMatrix {
        let result = times(gradient)
        let inner = result.columnSums()
        if isSketch { return result }
        for index in 0..<rows {
            let weights = row(index)
            let target = result.row(index)
            for column in 0..<columns { target[column] -= weights[column] * inner.base[column] }
        }
        return result
    }

    /// `log Σ_f exp(a_if + b_jf)` for each row of `self` and each row of `other`: the logarithm of a product of
    /// exponentials, which never leaves the range of numbers.
    /// - Parameter visibility: of pairs; hidden ones are -infinity.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func logProduct(_ other: DenseMatrix, _ visibility: DenseVisibility?) -> DenseMatrix {
        let result = DenseMatrix(repeating: -.infinity, rows: rows, columns: other.rows)
        if isSketch { return result }
        for index in 0..<rows {
            let left = row(index)
            for place in visibility?.columns(index) ?? 0..<other.rows {
                let right = other.row(place)
                var highest = -Number.infinity
                for f in 0..<columns {
                    let sum = left[f] + right[f]
                    if sum > highest || sum != sum { highest = sum }
                }
                var total: Number = 0
                for f in 0..<columns { total += Number.exponential(left[f] + right[f] - highest) }
                result[index, place] = highest + Number.logarithm(total)
            }
        }
        return result
    }

    /// Derivatives of ``logProduct(_:_:)`` by both operands, given its `result` and the derivative by that.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func throughLogProduct(
        _ other: DenseMatrix, _ visibility: DenseVisibility?, result: DenseMatrix, gradient: DenseMatrix
    ) -> (left: DenseMatrix, right: DenseMatrix) {
        let byLeft = DenseMatrix(repeating: 0, rows: rows, columns: columns)
        let byRight = DenseMatrix(repeating: 0, rows: other.rows, columns: columns)
        if isSketch { return (byLeft, byRight) }
        for index in 0..<rows {
            let left = row(index)
            for place in visibility?.columns(index) ?? 0..<other.rows {
                let right = other.row(place)
                for f in 0..<columns {
                    let part =
                        gradient[index, place] * Number.exponential(left[f] + right[f] - result[index, place])
                    byLeft[index, f] += part
                    byRight[place, f] += part
                }
            }
        }
        return (byLeft, byRight)
    }
}
