public import Kernels
public import TensorCore

/// The Hessian of a linear layer's squared output error, `H = 2/n · Σ x xᵀ` over the rows x that have come in.
///
/// Products of up to 1024 rows are summed in Float by BLAS and those sums in Double, so that the error does not grow with
/// the length of the calibration text. Memory: 8 · inputs² bytes.
public struct InputHessian: Sendable {
    /// Features of a row.
    public let inputs: Int
    /// Rows that have come in.
    public private(set) var count = 0
    /// Σ x xᵀ, row-major, with its upper triangle alone.
    private var sums: [Double]

    private static let rowsOfProduct = 1024
    private static let panelWidth = 128

    /// The Hessian of no rows yet; a negative number of inputs is a programming error, as it is for an array.
    public init(inputs: Int) {
        self.inputs = inputs
        self.sums = [Double](repeating: 0, count: inputs * inputs)
    }

    /// A Hessian that is known: H `[inputs, inputs]` in F32 or F64, of which the upper triangle is read.
    /// - Throws: ``QuantizationError`` when the matrix is not square or not finite, or the count is below 1.
    public init(matrix: Tensor, count: Int) throws(QuantizationError) {
        try QuantizationError.check(
            [.float32, .float64].contains(matrix.dtype), "matrix", "F32 or F64 elements", matrix.dtype.rawValue)
        try QuantizationError.check(
            matrix.shape.rank == 2 && matrix.shape[0] == matrix.shape[1], "matrix", "a square matrix",
            "shape \(matrix.shape)")
        try QuantizationError.check(count > 0, "count", "from 1", "\(count)")
        self.inputs = matrix.shape[0]
        self.sums = matrix.doubles().map { $0 * Double(count) / 2 }
        self.count = count
        let bad = sums.first { !$0.isFinite }
        try QuantizationError.check(bad == nil, "matrix", "finite numbers", "\(bad ?? 0)")
    }

    /// Takes in the inputs of a layer, `[n, inputs]` in F32.
    ///
    /// Cost: n · inputs² operations. The number of threads does not change a bit.
    /// - Throws: ``QuantizationError`` when they are no F32 matrix of that width, not finite, or so large that F32 cannot
    ///   hold their products; nothing is taken in then.
    public mutating func add(_ rows: Tensor, context: ComputeContext) throws(QuantizationError) {
        let dense = try rows.checkedMatrix("activations", columns: inputs)
        let total = dense.shape[0]
        let elements = UnsafeBufferPointer(start: dense.floats, count: dense.count)
        let largest = elements.reduce(0) { max($0, abs($1)) }
        let limit = (Float.greatestFiniteMagnitude / Float(Self.rowsOfProduct)).squareRoot() / 2
        try QuantizationError.check(largest <= limit, "activations", "magnitudes up to \(limit)", "\(largest)")
        for start in stride(from: 0, to: total, by: Self.rowsOfProduct) {
            addProduct(dense.floats + start * inputs, rows: min(Self.rowsOfProduct, total - start), context)
        }
        withExtendedLifetime(dense) {}
        count += total
    }

    private mutating func addProduct(_ x: UnsafePointer<Float>, rows: Int, _ context: ComputeContext) {
        let (inputs, width) = (inputs, Self.panelWidth)
        let x = SendablePointer(x)
        sums.withUnsafeMutableBufferPointer { sums in
            guard let base = sums.baseAddress else { return }
            let sums = SendablePointer(base)
            // The panel of a number of rows of the upper triangle: from their first diagonal element to the right.
            context.parallel((inputs + width - 1) / width, scratchFloats: width * inputs) { panel, scratch in
                let first = panel * width
                let (height, columns) = (min(width, inputs - first), inputs - first)
                Float.multiplyTransposed(
                    rows: height, columns: columns, inner: rows, a: x.base + first, aStride: inputs,
                    b: x.base + first, bStride: inputs, c: scratch, cStride: columns)
                for row in 0..<height {
                    let target = sums.base + (first + row) * inputs + first
                    for column in row..<columns { target[column] += Double(scratch[row * columns + column]) }
                }
            }
        }
    }

    /// One element of H; 0 before rows have come in.
    @inline(__always)
    func element(_ row: Int, _ column: Int) -> Double {
        count == 0 ? 0 : sums[min(row, column) * inputs + max(row, column)] * (2 / Double(count))
    }

    /// H `[inputs, inputs]` in F64.
    public func matrix() -> Tensor {
        let result = Tensor(unwritten: [inputs, inputs], dtype: .float64)
        let target = result.freshMutableAddress.assumingMemoryBound(to: Double.self)
        for row in 0..<inputs {
            for column in 0..<inputs { target[row * inputs + column] = element(row, column) }
        }
        return result
    }

    /// The Hessian of the same inputs with each multiplied by its own factor.
    ///
    /// Cost: O(inputs²).
    /// - Throws: ``QuantizationError`` when there are not as many factors as inputs, or one is not finite.
    public func scalingInputs(_ factors: [Float]) throws(QuantizationError) -> InputHessian {
        try QuantizationError.check(factors.count == inputs, "factors", "\(inputs) numbers", "\(factors.count)")
        let bad = factors.first { !$0.isFinite }
        try QuantizationError.check(bad == nil, "factors", "finite numbers", "\(bad ?? 0)")
        var result = self
        for row in 0..<inputs {
            for column in row..<inputs {
                result.sums[row * inputs + column] *= Double(factors[row]) * Double(factors[column])
            }
        }
        return result
    }

    /// `tr((W − Q) · H · (W − Q)ᵀ)` for two weights `[outputs, inputs]`: twice the mean, over rows x, of the squared
    /// error of all outputs.
    ///
    /// Cost: 2 · outputs · inputs² operations in Double.
    /// - Parameter context: spreads rows over threads; `nil`: the caller's thread alone. Never changes a bit.
    /// - Throws: ``QuantizationError`` when a weight is no finite F32 matrix of that width, or their shapes differ.
    public func objective(
        _ original: Tensor, _ quantized: Tensor, context: ComputeContext? = nil
    ) throws(QuantizationError) -> Double {
        try objective(original, quantized, matrix(), context)
    }

    /// The same where ``matrix()`` is at hand.
    func objective(
        _ original: Tensor, _ quantized: Tensor, _ hessian: Tensor, _ context: ComputeContext?
    ) throws(QuantizationError) -> Double {
        let first = try original.checkedMatrix("original", columns: inputs)
        let second = try quantized.checkedMatrix("quantized", columns: inputs)
        try QuantizationError.check(
            first.shape == second.shape, "quantized", "shape \(first.shape)", "shape \(second.shape)")
        let (inputs, outputs, height) = (inputs, first.shape[0], Self.panelWidth)
        let (from, to) = (SendablePointer(first.floats), SendablePointer(second.floats))
        let matrix = SendablePointer(UnsafePointer(hessian.baseAddress.assumingMemoryBound(to: Double.self)))
        let result = context.sum((outputs + height - 1) / height) { panel in
            let rows = panel * height..<min(outputs, (panel + 1) * height)
            let difference = (rows.lowerBound * inputs..<rows.upperBound * inputs).map {
                Double(from.base[$0]) - Double(to.base[$0])
            }
            var product = [Double](repeating: 0, count: difference.count)
            product.withUnsafeMutableBufferPointer { product in
                difference.withUnsafeBufferPointer { difference in
                    guard let source = difference.baseAddress, let target = product.baseAddress else { return }
                    Double.multiply(
                        rows: rows.count, columns: inputs, inner: inputs, alpha: 1, a: source, aStride: inputs,
                        b: matrix.base, bStride: inputs, transposeB: false, beta: 0, c: target, cStride: inputs)
                }
            }
            return zip(difference, product).reduce(0) { $0 + $1.0 * $1.1 }
        }
        withExtendedLifetime((first, second, hessian)) {}
        return result
    }
}
