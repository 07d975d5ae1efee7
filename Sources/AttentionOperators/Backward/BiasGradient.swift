import AttentionCore
import Kernels
import TensorCore

/// Sums the gradient of a bias over every axis along which it was broadcast, in a fixed order.
///
/// Tasks that run side by side have key ranges of their own, so cells of a bias that has keys of its own never meet. A
/// bias that all keys share has one copy for each key range; sequences or heads that share cells run one after the other.
struct BiasGradient: @unchecked Sendable {
    /// Whether sequences or key heads share cells.
    let isShared: Bool
    /// 1, or 0 when all keys of a row share one number.
    let keyStride: Int
    private let shape: Shape
    private let dtype: DType
    private let strides: [Int]
    private let copies: Int
    private let sums: Tensor
    private let base: UnsafeMutablePointer<Float>

    /// - Parameter copies: key ranges that run side by side.
    init(_ bias: Tensor, problem: AttentionProblem, copies: Int) {
        shape = bias.shape
        dtype = bias.dtype
        let dense = shape.rowMajorStrides
        let missing = 4 - shape.rank
        let extents = (0..<4).map { $0 < missing ? 1 : bias.shape[$0 - missing] }
        strides = (0..<4).map { extents[$0] == 1 ? 0 : dense[$0 - missing] }
        isShared = Self.isShared(bias.shape, problem)
        keyStride = strides[3] == 0 ? 0 : 1
        self.copies = keyStride == 0 ? copies : 1
        sums = Tensor(zeros: [self.copies, max(1, shape.count)])
        base = sums.freshMutableAddress.assumingMemoryBound(to: Float.self)
    }

    /// Whether sequences or key heads of a problem share cells of a bias.
    static func isShared(_ shape: Shape, _ problem: AttentionProblem) -> Bool {
        let isOne = (0..<2).map { axis in axis < 4 - shape.rank || shape[axis - (4 - shape.rank)] == 1 }
        return isOne[0] && problem.batch > 1 || isOne[1] && problem.kvHeads > 1
    }

    /// Where the gradient of a row begins, at its key `key`.
    func cell(copy: Int, batch: Int, head: Int, query: Int, key: Int) -> UnsafeMutablePointer<Float> {
        let place = batch * strides[0] + head * strides[1] + query * strides[2] + key * strides[3]
        return base + (copies == 1 ? 0 : copy * shape.count) + place
    }

    /// The gradient, of the bias's shape and element type.
    var result: Tensor {
        for copy in 1..<max(1, copies) {
            for index in 0..<shape.count { base[index] += base[copy * shape.count + index] }
        }
        let dense = try? sums.sliced(0, 0..<1).reshaped(shape)
        return (dense ?? Tensor(zeros: shape)).converted(to: dtype)
    }
}
