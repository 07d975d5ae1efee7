import TensorCore

extension Tensor {
    /// Tensors of one element type joined along the first dimension; one alone as it is.
    /// - Throws: ``TensorCore/TensorError`` when another extent or the element type differs.
    static func stacked(_ parts: [Tensor]) throws(TensorError) -> Tensor {
        guard parts.count > 1, let first = parts.first else { return parts.first ?? Tensor(zeros: [0]) }
        var extents = first.shape.dimensions
        extents[0] = parts.reduce(0) { $0 + $1.shape[0] }
        let result = Tensor(unwritten: Shape(extents), dtype: first.dtype)
        var target = result.freshMutableAddress
        for part in parts {
            guard part.dtype == first.dtype else { throw .dtypeMismatch(expected: first.dtype, actual: part.dtype) }
            guard part.shape.dimensions.dropFirst() == first.shape.dimensions.dropFirst() else {
                throw .shapeMismatch(from: part.shape, to: first.shape)
            }
            let dense = part.contiguous()
            withExtendedLifetime(dense) { target.copyMemory(from: dense.baseAddress, byteCount: dense.byteCount) }
            target += dense.byteCount
        }
        return result
    }

    /// Bytes of the elements.
    var byteCount: Int { count * dtype.byteWidth }
}
