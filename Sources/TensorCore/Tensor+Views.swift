extension Tensor {
    /// The same numbers with dimensions in another order.
    ///
    /// Cost: O(rank); nothing is copied.
    /// - Throws: ``TensorError/notAPermutation(axes:rank:)``.
    public func permuted(_ axes: [Int]) throws(TensorError) -> Tensor {
        guard axes.sorted() == Array(0..<shape.rank) else { throw .notAPermutation(axes: axes, rank: shape.rank) }
        return Tensor(
            dtype: dtype, shape: Shape(axes.map { shape[$0] }), strides: axes.map { strides[$0] },
            offset: offset, storage: storage)
    }

    /// Part of one dimension.
    ///
    /// Cost: O(rank); nothing is copied.
    /// - Throws: ``TensorError`` when the axis or the range does not exist.
    public func sliced(_ axis: Int, _ range: Range<Int>) throws(TensorError) -> Tensor {
        guard shape.dimensions.indices.contains(axis) else { throw .axisOutOfRange(axis: axis, rank: shape.rank) }
        guard range.lowerBound >= 0, range.upperBound <= shape[axis] else {
            throw .rangeOutOfBounds(range: range, axis: axis, extent: shape[axis])
        }
        var dimensions = shape.dimensions
        dimensions[axis] = range.count
        return Tensor(
            dtype: dtype, shape: Shape(dimensions), strides: strides,
            offset: offset + range.lowerBound * strides[axis], storage: storage)
    }

    /// The same elements under another shape.
    ///
    /// Copies only when the tensor is not contiguous.
    /// - Throws: ``TensorError/shapeMismatch(from:to:)`` when the counts differ.
    public func reshaped(_ newShape: Shape) throws(TensorError) -> Tensor {
        guard newShape.count == count else { throw .shapeMismatch(from: shape, to: newShape) }
        let dense = contiguous()
        return Tensor(
            dtype: dtype, shape: newShape, strides: newShape.rowMajorStrides, offset: dense.offset,
            storage: dense.storage)
    }

    /// A view that repeats dimensions of extent 1, aligned at the last dimension as in NumPy.
    ///
    /// Nothing is copied.
    /// - Throws: ``TensorError/shapeMismatch(from:to:)`` when an extent is neither equal nor 1.
    public func broadcast(to newShape: Shape) throws(TensorError) -> Tensor {
        let missing = newShape.rank - shape.rank
        guard missing >= 0 else { throw .shapeMismatch(from: shape, to: newShape) }
        var newStrides = [Int](repeating: 0, count: newShape.rank)
        for axis in 0..<shape.rank {
            if shape[axis] == newShape[missing + axis] {
                newStrides[missing + axis] = strides[axis]
            } else if shape[axis] != 1 {
                throw .shapeMismatch(from: shape, to: newShape)
            }
        }
        return Tensor(dtype: dtype, shape: newShape, strides: newStrides, offset: offset, storage: storage)
    }

    /// The tensor itself when dense, else a dense copy.
    ///
    /// Cost: O(count) for a copy.
    public func contiguous() -> Tensor { isContiguous ? self : copied() }

    /// A dense copy with storage of its own.
    ///
    /// Cost: O(count).
    public func copied() -> Tensor {
        let result = Tensor(unwritten: shape, dtype: dtype)
        let width = dtype.byteWidth
        let target = result.freshMutableAddress
        withExtendedLifetime(storage) {
            if isContiguous {
                target.copyMemory(from: baseAddress, byteCount: count * width)
                return
            }
            var position = 0
            forEachRow { start, length, step in
                if step == 1 {
                    (target + position * width).copyMemory(
                        from: baseAddress + start * width, byteCount: length * width)
                    position += length
                    return
                }
                for index in 0..<length {
                    (target + (position + index) * width).copyMemory(
                        from: baseAddress + (start + index * step) * width, byteCount: width)
                }
                position += length
            }
        }
        return result
    }

    /// Visits the innermost rows in row-major order: start relative to ``baseAddress``, length and step in elements.
    package func forEachRow(_ body: (_ start: Int, _ length: Int, _ step: Int) -> Void) {
        guard count > 0 else { return }
        guard let length = shape.dimensions.last, let step = strides.last else { return body(0, 1, 1) }
        var index = [Int](repeating: 0, count: shape.rank - 1)
        var start = 0
        while true {
            body(start, length, step)
            var axis = index.count - 1
            while axis >= 0 {
                index[axis] += 1
                start += strides[axis]
                if index[axis] < shape[axis] { break }
                start -= strides[axis] * shape[axis]
                index[axis] = 0
                axis -= 1
            }
            if axis < 0 { return }
        }
    }
}
