import Foundation

/// A function of one number.
enum DenseFunction {
    case exponential, logarithm, reciprocal, square, squareRoot, hyperbolicTangent, rectified, sigmoid
    /// `x · sigmoid(x)`.
    case silu
    /// `1 / x`, and 0 for 0.
    case reciprocalOrZero

    @inline(__always)
    fileprivate func value<Number: DenseScalar>(_ x: Number) -> Number {
        switch self {
        case .exponential: Number.exponential(x)
        case .logarithm: Number.logarithm(x)
        case .reciprocal: 1 / x
        case .square: x * x
        case .squareRoot: x.squareRoot()
        case .hyperbolicTangent: Number.hyperbolicTangent(x)
        case .rectified: x < 0 ? 0 : x
        case .sigmoid: 1 / (1 + Number.exponential(-x))
        case .silu: x / (1 + Number.exponential(-x))
        case .reciprocalOrZero: x == 0 ? 0 : 1 / x
        }
    }

    /// By `x`, where `y` is the value.
    @inline(__always)
    fileprivate func derivative<Number: DenseScalar>(_ x: Number, _ y: Number) -> Number {
        switch self {
        case .exponential: return y
        case .logarithm: return 1 / x
        case .reciprocal, .reciprocalOrZero: return -y * y
        case .square: return 2 * x
        case .squareRoot: return 1 / (2 * y)
        case .hyperbolicTangent: return 1 - y * y
        case .rectified: return x > 0 ? 1 : 0
        case .sigmoid: return y * (1 - y)
        case .silu:
            let part = 1 / (1 + Number.exponential(-x))
            return part + y * (1 - part)
        }
    }
}

extension DenseMatrix {
    /// A function of each element.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func mapped(_ function: DenseFunction) -> DenseMatrix {
        let result = DenseMatrix(rows: rows, columns: columns)
        if isSketch { return result }
        for index in 0..<rows {
            let source = row(index)
            let target = result.row(index)
            for column in 0..<columns { target[column] = function.value(source[column]) }
        }
        return result
    }

    /// The derivative by the operand of a function, given that by its `values`.
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    fileprivate func through(_ function: DenseFunction, values: DenseMatrix, gradient: DenseMatrix) -> DenseMatrix {
        let result = DenseMatrix(rows: rows, columns: columns)
        if isSketch { return result }
        for index in 0..<rows {
            let (x, y, g) = (row(index), values.row(index), gradient.row(index))
            let target = result.row(index)
            for column in 0..<columns { target[column] = g[column] * function.derivative(x[column], y[column]) }
        }
        return result
    }
}

extension DenseTape {
    /// A function of each element.
    func map(_ x: Node, _ function: DenseFunction) -> Node {
        let values = x.value.mapped(function)
        return record(values, from: [x]) {
            x.accumulate(x.value.through(function, values: values, gradient: $0))
        }
    }

    /// `a + factor · b`.
    func add(_ a: Node, _ b: Node, times factor: Number = 1) -> Node {
        let sum = a.value.copied()
        sum.add(b.value, times: factor)
        return record(sum, from: [a, b]) { gradient in
            a.accumulate(gradient.copied())
            b.accumulate(gradient.scaled(by: factor))
        }
    }

    /// `a - b`.
    func subtract(_ a: Node, _ b: Node) -> Node { add(a, b, times: -1) }

    /// `factor · x`.
    func scale(_ x: Node, by factor: Number) -> Node {
        record(x.value.scaled(by: factor), from: [x]) { x.accumulate($0.scaled(by: factor)) }
    }

    /// Products of elements at the same place.
    func product(_ a: Node, _ b: Node) -> Node {
        record(a.value.times(b.value), from: [a, b]) { gradient in
            a.accumulate(gradient.times(b.value))
            b.accumulate(gradient.times(a.value))
        }
    }

    /// Each row plus `addends` `[1, columns]`.
    func addRow(_ x: Node, _ addends: Node) -> Node {
        record(x.value.plusRow(addends.value), from: [x, addends]) { gradient in
            x.accumulate(gradient.copied())
            addends.accumulate(gradient.columnSums())
        }
    }

    /// Each column plus `addends` `[rows, 1]`.
    func addColumn(_ x: Node, _ addends: Node) -> Node {
        record(x.value.plusColumn(addends.value), from: [x, addends]) { gradient in
            x.accumulate(gradient.copied())
            addends.accumulate(gradient.rowSums())
        }
    }

    /// Each column times its number of `factors` `[1, columns]`.
    func scaleColumns(_ x: Node, by factors: Node) -> Node {
        record(x.value.timesRow(factors.value), from: [x, factors]) { gradient in
            x.accumulate(gradient.timesRow(factors.value))
            factors.accumulate(gradient.times(x.value).columnSums())
        }
    }

    /// Each row times its number of `factors` `[rows, 1]`.
    func scaleRows(_ x: Node, by factors: Node) -> Node {
        record(x.value.timesColumn(factors.value), from: [x, factors]) { gradient in
            x.accumulate(gradient.timesColumn(factors.value))
            factors.accumulate(gradient.times(x.value).rowSums())
        }
    }

    /// The sum of each row, `[rows, 1]`.
    func rowSums(_ x: Node) -> Node {
        record(x.value.rowSums(), from: [x]) {
            x.accumulate(Matrix(repeating: 0, rows: x.rows, columns: x.columns).plusColumn($0))
        }
    }

    /// The sum of each column, `[1, columns]`.
    func columnSums(_ x: Node) -> Node {
        record(x.value.columnSums(), from: [x]) {
            x.accumulate(Matrix(repeating: 0, rows: x.rows, columns: x.columns).plusRow($0))
        }
    }
}
