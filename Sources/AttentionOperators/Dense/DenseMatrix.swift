import Foundation
import Kernels
import TensorCore

/// The arithmetic of a dense program: Float or Double.
protocol DenseScalar: MixingNumber {
    /// The natural logarithm.
    static func logarithm(_ x: Self) -> Self
    /// The hyperbolic tangent.
    static func hyperbolicTangent(_ x: Self) -> Self
    /// e to the power of each number, in place.
    static func exponentials(_ numbers: UnsafeMutablePointer<Self>, _ count: Int)
}

extension Float: DenseScalar {
    static func logarithm(_ x: Float) -> Float { log(x) }
    static func hyperbolicTangent(_ x: Float) -> Float { tanh(x) }
    static func exponentials(_ numbers: UnsafeMutablePointer<Float>, _ count: Int) {
        for index in 0..<count { numbers[index] = exp(numbers[index]) }
    }
}

extension Double: DenseScalar {
    static func logarithm(_ x: Double) -> Double { log(x) }
    static func hyperbolicTangent(_ x: Double) -> Double { tanh(x) }
    static func exponentials(_ numbers: UnsafeMutablePointer<Double>, _ count: Int) {
        for index in 0..<count { numbers[index] = exp(numbers[index]) }
    }
}

/// A row-major matrix in memory: its own, or rows of a tensor where they lie.
///
/// Copies share the memory. Only who has made a matrix writes to it, before anyone else reads.
struct DenseMatrix<Number: DenseScalar>: @unchecked Sendable {
    /// The first element.
    let base: UnsafeMutablePointer<Number>
    let rows: Int
    let columns: Int
    /// Elements between two rows.
    let stride: Int
    /// Whether there are extents but no numbers: the program is being measured.
    let isSketch: Bool
    /// Keeps the memory alive.
    private let owner: AnyObject

    /// Memory of a matrix's own.
    private final class Buffer {
        let base: UnsafeMutablePointer<Number>
        let ledger: DenseLedger?
        private let bytes: Int

        init(_ count: Int) {
            ledger = DenseLedger.current
            // Beside the numbers an object, and of large blocks the rest of their last page.
            let numbers = max(1, count) * MemoryLayout<Number>.stride
            bytes = numbers + (numbers < 128 << 10 ? 80 : 4096)
            if let ledger {
                ledger.take(bytes)
                base = DenseMatrix.nowhere
            } else {
                base = UnsafeMutablePointer<Number>.allocate(capacity: max(1, count))
            }
        }

        deinit {
            if let ledger { ledger.free(bytes) } else { base.deallocate() }
        }
    }

    /// The address of numbers that are not there.
    private static var nowhere: UnsafeMutablePointer<Number> {
        UnsafeMutablePointer(bitPattern: MemoryLayout<Number>.alignment).unsafelyUnwrapped
    }

    private init(
        base: UnsafeMutablePointer<Number>, rows: Int, columns: Int, stride: Int, isSketch: Bool, owner: AnyObject
    ) {
        self.isSketch = isSketch
        self.base = base
        self.rows = rows
        self.columns = columns
        self.stride = stride
        self.owner = owner
    }

    /// A matrix whose elements are still undefined.
    init(rows: Int, columns: Int) {
        let buffer = Buffer(rows * columns)
        self.init(
            base: buffer.base, rows: rows, columns: columns, stride: columns, isSketch: buffer.ledger != nil,
            owner: buffer)
    }

    /// An operand of a program that is measured: its memory is somebody else's.
    static func operandSketch(rows: Int, columns: Int) -> DenseMatrix {
        DenseMatrix(
            base: nowhere, rows: rows, columns: columns, stride: columns, isSketch: true, owner: TensorOwner.none)
    }

    /// A matrix of one number.
    init(repeating number: Number, rows: Int, columns: Int) {
        self.init(rows: rows, columns: columns)
        if isSketch { return }
        base.update(repeating: number, count: rows * columns)
    }

    /// A matrix of given numbers in row-major order.
    /// - Precondition: there are `rows · columns` numbers.
    init(_ numbers: [Number], rows: Int, columns: Int) {
        self.init(rows: rows, columns: columns)
        numbers.withUnsafeBufferPointer { source in
            guard let start = source.baseAddress, !isSketch else { return }
            base.update(from: start, count: min(source.count, rows * columns))
        }
    }

    /// Rows of a tensor of this element type, where they lie; the last dimension is dense.
    ///
    /// Element `[i, j]` is the tensor's element `first + i · stride + j` from its base address. Never to be written.
    init(viewing tensor: Tensor, first: Int, rows: Int, columns: Int, stride: Int) {
        let start = tensor.baseAddress.assumingMemoryBound(to: Number.self) + first
        self.init(
            base: UnsafeMutablePointer(mutating: start), rows: rows, columns: columns, stride: stride,
            isSketch: false, owner: TensorOwner(tensor))
    }

    private final class TensorOwner {
        let tensor: Tensor?
        static var none: TensorOwner { TensorOwner(nil) }
        init(_ tensor: Tensor?) { self.tensor = tensor }
    }

    var count: Int { rows * columns }
    var isEmpty: Bool { rows == 0 || columns == 0 }

    /// A row's first element.
    func row(_ index: Int) -> UnsafeMutablePointer<Number> { base + index * stride }

    /// An element; for small matrices and tests of single cells.
    subscript(_ row: Int, _ column: Int) -> Number {
        get { isSketch ? 0 : base[row * stride + column] }
        nonmutating set { if !isSketch { base[row * stride + column] = newValue } }
    }

    /// Some of the rows and columns, sharing memory.
    func part(rows: Range<Int>? = nil, columns: Range<Int>? = nil) -> DenseMatrix {
        let rows = rows ?? 0..<self.rows
        let columns = columns ?? 0..<self.columns
        return DenseMatrix(
            base: base + rows.lowerBound * stride + columns.lowerBound, rows: rows.count, columns: columns.count,
            stride: stride, isSketch: isSketch, owner: owner)
    }

    /// The elements in row-major order.
    var elements: [Number] {
        if isSketch { return [Number](repeating: 0, count: count) }
        return (0..<rows).flatMap { row in Array(UnsafeBufferPointer(start: self.row(row), count: columns)) }
    }
}
