import Foundation
import Kernels
import TensorCore

/// What the plain references of mixing operators need of a number.
protocol MixingNumber: BLAS.Scalar, TensorElement {
    /// A tensor's elements in row-major order.
    static func elements(of tensor: Tensor) -> [Self]
    /// e to the power of `x`.
    static func exponential(_ x: Self) -> Self
}

extension Float: MixingNumber {
    static func elements(of tensor: Tensor) -> [Float] { tensor.floats() }
    static func exponential(_ x: Float) -> Float { exp(x) }
}

extension Double: MixingNumber {
    static func elements(of tensor: Tensor) -> [Double] { tensor.doubles() }
    static func exponential(_ x: Double) -> Double { exp(x) }
}

/// A dense row-major matrix whose products run on OpenBLAS: what references are written with.
struct PlainMatrix<Number: MixingNumber> {
    let rows: Int
    let columns: Int
    var cells: [Number]

    init(rows: Int, columns: Int, cells: [Number]) {
        self.rows = rows
        self.columns = columns
        self.cells = cells
    }

    init(rows: Int, columns: Int) {
        self.init(rows: rows, columns: columns, cells: [Number](repeating: 0, count: rows * columns))
    }

    init(rows: Int, columns: Int, _ cell: (_ row: Int, _ column: Int) -> Number) {
        self.init(rows: rows, columns: columns)
        for row in 0..<rows { for column in 0..<columns { cells[row * columns + column] = cell(row, column) } }
    }

    subscript(row: Int, column: Int) -> Number {
        get { cells[row * columns + column] }
        set { cells[row * columns + column] = newValue }
    }

    var transposed: PlainMatrix { PlainMatrix(rows: columns, columns: rows) { self[$1, $0] } }

    /// self · other.
    func times(_ other: PlainMatrix) -> PlainMatrix {
        var result = PlainMatrix(rows: rows, columns: other.columns)
        result.add(self, other)
        return result
    }

    /// self += alpha · left · right.
    mutating func add(_ left: PlainMatrix, _ right: PlainMatrix, alpha: Number = 1) {
        guard left.columns > 0 else { return }
        left.cells.withUnsafeBufferPointer { a in
            right.cells.withUnsafeBufferPointer { b in
                cells.withUnsafeMutableBufferPointer { c in
                    guard let a = a.baseAddress, let b = b.baseAddress, let c = c.baseAddress else { return }
                    Number.multiply(
                        rows: left.rows, columns: right.columns, inner: left.columns, alpha: alpha, a: a,
                        aStride: left.columns, b: b, bStride: right.columns, transposeB: false, beta: 1, c: c,
                        cStride: right.columns)
                }
            }
        }
    }
}
