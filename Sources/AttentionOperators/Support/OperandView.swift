import AttentionCore
import Kernels
import TensorCore

/// A tensor of layout [batch, length, heads, dim] as kernels see it: an address and strides in elements.
struct OperandView: @unchecked Sendable {
    let base: UnsafeRawPointer
    let code: Int32
    let byteWidth: Int
    let batchStride: Int
    let rowStride: Int
    let headStride: Int

    /// - Precondition: the operator has checked that kernels read this element type.
    init(_ tensor: Tensor) {
        base = tensor.baseAddress
        code = tensor.dtype.kernelCode ?? 0
        byteWidth = tensor.dtype.byteWidth
        batchStride = tensor.strides[0]
        rowStride = tensor.strides[1]
        headStride = tensor.strides[2]
    }

    /// The first element of one row.
    func row(_ batch: Int, _ position: Int, head: Int) -> UnsafeRawPointer {
        base + (batch * batchStride + position * rowStride + head * headStride) * byteWidth
    }
}

/// A tensor broadcast to the scores' extents [batch, heads, queryLength, keyLength].
struct ScoreView: @unchecked Sendable {
    let base: UnsafeRawPointer
    let dtype: DType
    let strides: [Int]

    init(_ tensor: Tensor, problem: AttentionProblem) throws(AttentionError) {
        let scores = Shape([problem.batch, problem.heads, problem.queryLength, problem.keyLength])
        do throws(TensorError) {
            let view = try tensor.broadcast(to: scores)
            base = view.baseAddress
            dtype = view.dtype
            strides = view.strides
        } catch {
            throw .tensor(operand: "bias or mask", reason: error.description)
        }
    }

    /// Elements between the storage's start and a cell.
    func index(_ batch: Int, _ head: Int, _ query: Int, _ key: Int) -> Int {
        batch * strides[0] + head * strides[1] + query * strides[2] + key * strides[3]
    }

    /// Whether kernels can read rows of this view where they lie.
    var isDirect: Bool { strides[3] == 1 && (dtype == .float32 || dtype.byteWidth == 1) }

    /// A cell of a floating-point view.
    func float(at index: Int) -> Float {
        switch dtype {
        case .float32: base.load(fromByteOffset: index * 4, as: Float.self)
        case .float64: Float(base.load(fromByteOffset: index * 8, as: Double.self))
        case .bfloat16: Float(bitPattern: UInt32(base.load(fromByteOffset: index * 2, as: UInt16.self)) << 16)
        default: HalfPrecision.float(base.load(fromByteOffset: index * 2, as: UInt16.self))
        }
    }
}
