import CKernels
public import TensorCore

/// Cosines and sines of the angles by which rotary positions turn the rows of a pass (Su et al., 2021).
package struct RotaryAngles: Sendable {
    /// `[rows, pairs]`.
    package let cosine: Tensor
    /// `[rows, pairs]`.
    package let sine: Tensor
    /// Whether features 2i and 2i + 1 are a pair, and not i and i + pairs.
    package let isInterleaved: Bool

    /// Angles of rows; both tensors are dense F32.
    package init(cosine: Tensor, sine: Tensor, isInterleaved: Bool) {
        self.cosine = cosine
        self.sine = sine
        self.isInterleaved = isInterleaved
    }
}

/// Gains of the normalisation of each query and key head, dense F32 `[headDim]`.
package struct HeadGains: Sendable {
    /// Of query heads.
    package let query: Tensor
    /// Of key heads.
    package let key: Tensor
    /// What is added to the mean of squares.
    package let epsilon: Float

    /// Gains of heads.
    package init(query: Tensor, key: Tensor, epsilon: Float) {
        self.query = query
        self.key = key
        self.epsilon = epsilon
    }
}

extension DenseLayers {
    /// Rows of a table `[rows, width]`, times a factor, as F32.
    /// - Parameter indices: numbers of rows, each below the table's.
    /// - Throws: ``TensorCore/TensorError`` when the table is not a dense matrix of F32, F16 or BF16, or has no such row.
    package static func gather(
        _ indices: [Int], from table: Tensor, scale: Float, context: ComputeContext
    ) throws(TensorError) -> Tensor {
        guard table.dtype.isFloatingPoint, let code = table.dtype.kernelCode else {
            throw .dtypeMismatch(expected: .float32, actual: table.dtype)
        }
        guard table.shape.rank == 2 else { throw .shapeMismatch(from: table.shape, to: [table.shape.count, 1]) }
        guard table.isContiguous else { throw .notContiguous(shape: table.shape, strides: table.strides) }
        let width = table.shape[1]
        if let bad = indices.first(where: { !(0..<table.shape[0]).contains($0) }) {
            throw .rangeOutOfBounds(range: bad..<bad, axis: 0, extent: table.shape[0])
        }
        let result = Tensor(unwritten: [indices.count, width])
        let target = result.freshMutableAddress.assumingMemoryBound(to: Float.self)
        let kernels = context.kernels
        withExtendedLifetime(table) {
            for (row, index) in indices.enumerated() {
                let cells = target + row * width
                kernels.c.pointee.to_float(
                    cells, table.baseAddress + index * width * table.dtype.byteWidth, code, Int64(width))
                if scale != 1 { for column in 0..<width { cells[column] *= scale } }
            }
        }
        return result
    }

    /// Root-mean-square normalisation of each row (Zhang and Sennrich, 2019): `x / sqrt(mean(x²) + epsilon) · gain`.
    ///
    /// The sum is in Double.
    /// - Throws: ``TensorCore/TensorError`` when shapes or element types do not fit.
    public static func rmsNorm(
        _ x: Tensor, gain: Tensor, epsilon: Float, context: ComputeContext
    ) throws(TensorError) -> Tensor {
        let rows = x.shape.dimensions.first ?? 0
        let width = x.shape.dimensions.last ?? 0
        try check(x, [rows, width])
        try check(gain, [width])
        let result = Tensor(unwritten: x.shape)
        let source = SendablePointer(x.floatAddress)
        let gains = SendablePointer(gain.floatAddress)
        let target = SendablePointer(result.freshMutableAddress.assumingMemoryBound(to: Float.self))
        let table = context.kernels
        context.parallelRows(rows, width: width) { range in
            for row in range {
                table.c.pointee.rms_norm_row(
                    target.base + row * width, source.base + row * width, gains.base, Int64(width), epsilon)
            }
        }
        withExtendedLifetime((x, gain)) {}
        return result
    }

    /// `activation(gate) · up` of rows that hold both, one after the other (Shazeer, 2020): x `[rows, 2 · hidden]`,
    /// result `[rows, hidden]`.
    /// - Throws: ``TensorCore/TensorError`` when the tensor is not a dense F32 matrix of an even width.
    public static func gated(
        _ x: Tensor, _ kind: Activation, context: ComputeContext
    ) throws(TensorError) -> Tensor {
        let rows = x.shape.dimensions.first ?? 0
        let hidden = (x.shape.dimensions.last ?? 0) / 2
        try check(x, [rows, 2 * hidden])
        let result = Tensor(unwritten: [rows, hidden])
        let source = SendablePointer(x.floatAddress)
        let target = SendablePointer(result.freshMutableAddress.assumingMemoryBound(to: Float.self))
        let table = context.kernels
        context.parallelRows(rows, width: 2 * hidden) { range in
            for row in range {
                let gate = source.base + row * 2 * hidden
                table.c.pointee.gate_row(
                    target.base + row * hidden, gate, gate + hidden, Int64(hidden), kind.kernelCode)
            }
        }
        withExtendedLifetime(x) {}
        return result
    }

    /// `cap · tanh(x / cap)` of every element, in place.
    /// - Parameter x: dense F32 that nobody else holds.
    /// - Throws: ``TensorCore/TensorError`` when the tensor is not contiguous F32.
    package static func capInPlace(_ x: Tensor, _ cap: Float, context: ComputeContext) throws(TensorError) {
        try check(x, x.shape)
        let target = SendablePointer(x.freshMutableAddress.assumingMemoryBound(to: Float.self))
        let width = x.shape.dimensions.last ?? 1
        let table = context.kernels
        context.parallelRows(width == 0 ? 0 : x.count / width, width: width) { range in
            let cells = target.base + range.lowerBound * width
            table.c.pointee.soft_cap(cells, cells, Int64(range.count * width), cap)
        }
        withExtendedLifetime(x) {}
    }

    /// Normalises and turns the query and key heads of rows `[rows, (heads + 2 · kvHeads) · headDim]`, in place.
    /// - Parameters:
    ///   - x: dense F32 that nobody else holds; queries, then keys, then values, which stay.
    ///   - gains: `nil` leaves the lengths of heads alone.
    ///   - angles: `nil` turns nothing.
    /// - Throws: ``TensorCore/TensorError`` when shapes or element types do not fit.
    package static func prepareHeads(
        _ x: Tensor, heads: Int, kvHeads: Int, headDim: Int, gains: HeadGains?, angles: RotaryAngles?,
        context: ComputeContext
    ) throws(TensorError) {
        let rows = x.shape.dimensions.first ?? 0
        let width = (heads + 2 * kvHeads) * headDim
        try check(x, [rows, width])
        if let gains {
            try check(gains.query, [headDim])
            try check(gains.key, [headDim])
        }
        let pairs = angles?.cosine.shape.dimensions.last ?? 0
        if let angles {
            try check(angles.cosine, [rows, min(pairs, headDim / 2)])
            try check(angles.sine, [rows, pairs])
        }
        let table = context.kernels
        let target = SendablePointer(x.freshMutableAddress.assumingMemoryBound(to: Float.self))
        context.parallelRows(rows, width: width) { range in
            for row in range {
                let cells = target.base + row * width
                if let gains {
                    for head in 0..<heads + kvHeads {
                        let gain = head < heads ? gains.query : gains.key
                        table.c.pointee.rms_norm_row(
                            cells + head * headDim, cells + head * headDim, gain.floatAddress, Int64(headDim),
                            gains.epsilon)
                    }
                }
                if let angles {
                    table.c.pointee.rotate_heads(
                        cells, Int64(heads + kvHeads), Int64(headDim), angles.cosine.floatAddress + row * pairs,
                        angles.sine.floatAddress + row * pairs, Int64(pairs), angles.isInterleaved ? 1 : 0)
                }
            }
        }
        withExtendedLifetime((x, gains, angles)) {}
    }
}
