import AttentionCore
import Kernels
import TensorCore

/// Sums the gradient of a bias over every axis along which it was broadcast, in a fixed order.
///
/// Tasks that run side by side have key ranges of their own, so cells of a bias that has keys of its own never meet;
/// sequences or heads that share such cells run one after the other. A bias that all keys share has a sum for each row and
/// key range, which are added in Double at the end.
struct BiasGradient: @unchecked Sendable {
    /// Whether tasks of different sequences or key heads write the same cells.
    let isShared: Bool
    /// 1, or 0 when all keys of a row share one number.
    let keyStride: Int
    private let shape: Shape
    private let dtype: DType
    /// The bias's own strides, 0 along axes that are broadcast.
    private let strides: [Int]
    /// Extents of the rows: batch, heads, queries.
    private let rows: [Int]
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
        rows = [problem.batch, problem.heads, problem.queryLength]
        self.copies = keyStride == 0 ? copies : 1
        sums = Tensor(zeros: [self.copies, max(1, keyStride == 0 ? rows.reduce(1, *) : shape.count)])
        base = sums.freshMutableAddress.assumingMemoryBound(to: Float.self)
    }

    /// Whether tasks of different sequences or key heads write the same cells of a bias.
    static func isShared(_ shape: Shape, _ problem: AttentionProblem) -> Bool {
        guard let keys = shape.dimensions.last, keys > 1 else { return false }
        let isOne = (0..<2).map { axis in axis < 4 - shape.rank || shape[axis - (4 - shape.rank)] == 1 }
        return isOne[0] && problem.batch > 1 || isOne[1] && problem.kvHeads > 1
    }

    /// Bytes beyond the result: the sums, and the result in Double twice.
    static func workingBytes(_ shape: Shape, _ problem: AttentionProblem, copies: Int) -> Int {
        let isOneForAllKeys = (shape.dimensions.last ?? 1) == 1
        let sums = isOneForAllKeys ? copies * problem.batch * problem.heads * problem.queryLength : shape.count
        return 4 * sums + 16 * shape.count
    }

    /// Where the gradient of a row begins, at its key `key`.
    func cell(copy: Int, batch: Int, head: Int, query: Int, key: Int) -> UnsafeMutablePointer<Float> {
        guard keyStride == 1 else { return base + ((copy * rows[0] + batch) * rows[1] + head) * rows[2] + query }
        return base + (batch * strides[0] + head * strides[1] + query * strides[2] + key * strides[3])
    }

    /// The gradient, of the bias's shape and element type.
    var result: Tensor {
        guard keyStride == 1 else {
            return sum { batch, head, query in
                (0..<copies).reduce(0) {
                    $0 + Double(cell(copy: $1, batch: batch, head: head, query: query, key: 0).pointee)
                }
            }
        }
        return tensor((0..<shape.count).map { Double(base[$0]) })
    }

    /// The gradient of a bias that all keys of a row share, from the sum of each row.
    func sum(_ row: (_ batch: Int, _ head: Int, _ query: Int) -> Double) -> Tensor {
        var numbers = [Double](repeating: 0, count: shape.count)
        for batch in 0..<rows[0] {
            for head in 0..<rows[1] {
                for query in 0..<rows[2] where !numbers.isEmpty {
                    numbers[batch * strides[0] + head * strides[1] + query * strides[2]] += row(batch, head, query)
                }
            }
        }
        return tensor(numbers)
    }

    private func tensor(_ numbers: [Double]) -> Tensor {
        ((try? Tensor(numbers, shape: shape)) ?? Tensor(zeros: shape)).converted(to: dtype)
    }
}
