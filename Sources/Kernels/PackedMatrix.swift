import CKernels
public import TensorCore

/// A weight matrix in the order in which the kernels read it: panels of outputs, each `[inputs][panel width]`.
public struct PackedMatrix: Sendable {
    /// Rows of the weight: features that come out.
    public let outputs: Int
    /// Columns of the weight: features that go in.
    public let inputs: Int
    /// Panels for the table they were packed for.
    let panels: Tensor
    let panelWidth: Int

    /// Bytes of this packed weight.
    package var byteCount: Int { panels.count * panels.dtype.byteWidth }

    /// Bytes of a packed weight.
    package static func bytes(outputs: Int, inputs: Int, context: ComputeContext) -> Int {
        let width = context.kernels.panelWidth
        return 4 * (outputs.roundedUp(to: width) * inputs + width)
    }

    /// Packs a weight `[outputs, inputs]`, F32, F16 or BF16.
    ///
    /// Cost: O(outputs · inputs).
    /// - Throws: ``TensorCore/TensorError`` for another rank or element type.
    public init(_ weight: Tensor, context: ComputeContext) throws(TensorError) {
        guard weight.shape.rank == 2 else {
            throw .shapeMismatch(from: weight.shape, to: [weight.shape.dimensions.first ?? 0, 0])
        }
        guard weight.dtype.isFloatingPoint, let code = weight.dtype.kernelCode else {
            throw .dtypeMismatch(expected: .float32, actual: weight.dtype)
        }
        let dense = weight.strides[1] == 1 ? weight : weight.contiguous()
        let table = context.kernels
        let width = table.panelWidth
        let rows = weight.shape[0]
        let columns = weight.shape[1]
        outputs = rows
        inputs = columns
        panelWidth = width
        // Packing stores whole vectors, up to a panel's width past the last cell.
        let panels = Tensor(zeros: [rows.roundedUp(to: width) * columns + width])
        let target = SendablePointer(panels.freshMutableAddress.assumingMemoryBound(to: Float.self))
        let source = SendablePointer(UnsafeMutableRawPointer(mutating: dense.baseAddress))
        let stride = dense.strides[0]
        let byteWidth = weight.dtype.byteWidth
        for panel in 0..<(rows + width - 1) / width {
            let start = panel * width
            table.c.pointee.pack_keys(
                target.base + start * columns, source.base + start * stride * byteWidth, nil, code, Int64(stride),
                Int64(min(width, rows - start)), Int64(columns))
        }
        withExtendedLifetime(dense) {}
        self.panels = panels
    }
}

/// A pointer that tasks of one loop share.
///
/// Each task writes cells of its own.
package struct SendablePointer<Pointee>: @unchecked Sendable {
    /// The address.
    package let base: Pointee

    /// Wraps an address.
    package init(_ base: Pointee) { self.base = base }
}
