import CKernels
public import TensorCore

/// A pointwise non-linearity.
public enum Activation: String, Sendable, Hashable, Codable, CaseIterable {
    /// `x · Φ(x)` with the error function.
    case gelu
    /// The tanh form of GELU.
    case geluTanh = "gelu-tanh"
    /// `max(x, 0)`.
    case relu
    /// `x · sigmoid(x)`.
    case silu

    var kernelCode: Int32 {
        switch self {
        case .gelu: Int32(ZOO_GELU.rawValue)
        case .geluTanh: Int32(ZOO_GELU_TANH.rawValue)
        case .relu: Int32(ZOO_RELU.rawValue)
        case .silu: Int32(ZOO_SILU.rawValue)
        }
    }
}

/// The dense layers of a transformer on contiguous F32 tensors.
///
/// A row of a result depends on that row of the input alone and is computed in one order, so its bits do not change with
/// the rows beside it or with the number of threads. That is why products run here and not through BLAS.
public enum DenseLayers {
    /// `x · Wᵀ + bias`: x `[rows, inputs]`, result `[rows, outputs]`.
    ///
    /// Cost: 2 · rows · inputs · outputs operations.
    /// - Throws: ``TensorCore/TensorError`` when shapes or element types do not fit.
    public static func linear(
        _ x: Tensor, _ weight: PackedMatrix, bias: Tensor? = nil, context: ComputeContext
    ) throws(TensorError) -> Tensor {
        try linear(x, [.float(weight)], bias: bias, context: context)
    }

    /// `x · Wᵀ + bias` for weights one below the other: x `[rows, inputs]`, result `[rows, outputs of all]`.
    ///
    /// Products with quantised weights take rows by ``ComputeContext/activations``. Cost: 2 · rows · inputs · outputs
    /// operations.
    /// - Throws: ``TensorCore/TensorError`` when shapes or element types do not fit.
    public static func linear(
        _ x: Tensor, _ weights: [ProductWeight], bias: Tensor? = nil, context: ComputeContext
    ) throws(TensorError) -> Tensor {
        let rows = x.shape.dimensions.first ?? 0
        let outputs = weights.reduce(0) { $0 + $1.outputs }
        if let bias { try check(bias, [outputs]) }
        let table = context.kernels
        for weight in weights {
            try check(x, [rows, weight.inputs])
            guard table.panelWidth == weight.panelWidth else {
                throw .shapeMismatch(from: [weight.panelWidth], to: [table.panelWidth])
            }
        }
        let result = Tensor(unwritten: [rows, outputs])
        guard rows > 0, outputs > 0 else { return result }
        var target = result.freshMutableAddress.assumingMemoryBound(to: Float.self)
        var offsets = bias?.floatAddress
        for weight in weights where weight.outputs > 0 {
            if rows == 1 { context.willRead(weight.region) }
            switch weight {
            case .float(let matrix):
                LinearJob(
                    table: table, rows: rows, weight: matrix, x: x.floatAddress, bias: offsets, result: target,
                    stride: outputs
                ).run(context)
            case .quantized(let matrix):
                QuantizedJob(
                    table: table, rows: rows, weight: QuantizedJob.Weight(matrix), x: x.floatAddress, bias: offsets,
                    result: target, stride: outputs
                ).run(context)
            }
            target += weight.outputs
            offsets = offsets.map { $0 + weight.outputs }
        }
        withExtendedLifetime((x, weights, bias)) {}
        return result
    }

    /// Bytes that ``linear(_:_:bias:context:)`` works in, with weights in F32.
    package static func linearBytes(rows: Int, inputs: Int, context: ComputeContext) -> Int {
        LinearJob.bytes(rows: rows, inputs: inputs, context)
    }

    /// Layer normalisation of each row.
    ///
    /// `(x - mean) / sqrt(variance + epsilon) · gain + bias`, sums in Double.
    ///
    /// - Throws: ``TensorCore/TensorError`` when shapes or element types do not fit.
    public static func layerNorm(
        _ x: Tensor, gain: Tensor, bias: Tensor?, epsilon: Float, context: ComputeContext
    ) throws(TensorError) -> Tensor {
        let rows = x.shape.dimensions.first ?? 0
        let width = x.shape.dimensions.last ?? 0
        try check(x, [rows, width])
        try check(gain, [width])
        if let bias { try check(bias, [width]) }
        let result = Tensor(unwritten: x.shape)
        let source = SendablePointer(x.floatAddress)
        let gains = SendablePointer(gain.floatAddress)
        let biases = SendablePointer(bias?.floatAddress)
        let target = SendablePointer(result.freshMutableAddress.assumingMemoryBound(to: Float.self))
        let table = context.kernels
        context.parallelRows(rows, width: width) { range in
            for row in range {
                table.c.pointee.layer_norm_row(
                    target.base + row * width, source.base + row * width, gains.base, biases.base, Int64(width),
                    epsilon)
            }
        }
        withExtendedLifetime((x, gain, bias)) {}
        return result
    }

    /// A non-linearity applied to every element.
    /// - Throws: ``TensorCore/TensorError`` when the tensor is not contiguous F32.
    public static func activation(
        _ x: Tensor, _ kind: Activation, context: ComputeContext
    ) throws(TensorError) -> Tensor {
        try check(x, x.shape)
        let result = Tensor(unwritten: x.shape)
        let source = SendablePointer(x.floatAddress)
        let target = SendablePointer(result.freshMutableAddress.assumingMemoryBound(to: Float.self))
        let width = x.shape.dimensions.last ?? 1
        let table = context.kernels
        context.parallelRows(width == 0 ? 0 : x.count / width, width: width) { range in
            table.c.pointee.activate(
                target.base + range.lowerBound * width, source.base + range.lowerBound * width,
                Int64(range.count * width), kind.kernelCode)
        }
        withExtendedLifetime(x) {}
        return result
    }

    /// The sum of two tensors of one shape.
    /// - Throws: ``TensorCore/TensorError`` when shapes differ or elements are not contiguous F32.
    public static func add(_ x: Tensor, _ y: Tensor, context: ComputeContext) throws(TensorError) -> Tensor {
        try check(x, x.shape)
        try check(y, x.shape)
        let result = Tensor(unwritten: x.shape)
        context.kernels.c.pointee.add(
            result.freshMutableAddress.assumingMemoryBound(to: Float.self), x.floatAddress, y.floatAddress,
            Int64(x.count))
        withExtendedLifetime((x, y)) {}
        return result
    }

    static func check(_ tensor: Tensor, _ shape: Shape) throws(TensorError) {
        guard tensor.dtype == .float32 else { throw .dtypeMismatch(expected: .float32, actual: tensor.dtype) }
        guard tensor.shape == shape else { throw .shapeMismatch(from: tensor.shape, to: shape) }
        guard tensor.isContiguous else { throw .notContiguous(shape: tensor.shape, strides: tensor.strides) }
    }
}

extension ComputeContext {
    /// Numbers that keep a thread busy for longer than it takes to share them.
    private static let fewestNumbers = 8192

    /// Cuts rows of so many numbers into a few ranges for each thread.
    func parallelRows(_ rows: Int, width: Int, _ body: @Sendable (Range<Int>) -> Void) {
        let fewest = (Self.fewestNumbers + width - 1) / max(1, width)
        let step = max(1, fewest, (rows + threads * 4 - 1) / (threads * 4))
        parallel((rows + step - 1) / step) { index, _ in body(index * step..<min(rows, (index + 1) * step)) }
    }
}

extension Tensor {
    /// The first element of an F32 tensor.
    var floatAddress: UnsafePointer<Float> { baseAddress.assumingMemoryBound(to: Float.self) }
}
