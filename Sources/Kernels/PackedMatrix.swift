import CKernels
public import TensorCore

/// A weight matrix in the order in which the kernels read it: panels of outputs, each `[inputs][panel width]`.
///
/// Weights of F16 or BF16 stay in 16 bits: kernels convert them as they read, with the bits of the same weights in F32.
public struct PackedMatrix: Sendable {
    /// Rows of the weight: features that come out.
    public let outputs: Int
    /// Columns of the weight: features that go in.
    public let inputs: Int
    /// Panels for the table they were packed for, in the weight's element type.
    let panels: Tensor
    let panelWidth: Int
    /// The element type as kernels know it.
    let kernelCode: Int32

    /// Bytes of this packed weight.
    package var byteCount: Int { panels.count * panels.dtype.byteWidth }

    /// Where the panels lie.
    var region: MemoryRegion { MemoryRegion(panels.baseAddress, bytes: byteCount) }

    /// Bytes of a packed weight.
    package static func bytes(
        outputs: Int, inputs: Int, dtype: DType = .float32, context: ComputeContext
    ) -> Int {
        dtype.byteWidth * outputs.roundedUp(to: context.kernels.panelWidth) * inputs
    }

    /// Packs a weight `[outputs, inputs]`, F32, F16 or BF16, dense in one of its dimensions.
    ///
    /// Cost: O(outputs · inputs).
    /// - Throws: ``TensorCore/TensorError`` for another rank or element type.
    public init(_ weight: Tensor, context: ComputeContext) throws(TensorError) {
        guard weight.shape.rank == 2 else {
            throw .shapeMismatch(from: weight.shape, to: [weight.shape.dimensions.first ?? 0, 0])
        }
        guard [.float32, .float16, .bfloat16].contains(weight.dtype), let code = weight.dtype.kernelCode else {
            throw .dtypeMismatch(expected: .float32, actual: weight.dtype)
        }
        let table = context.kernels
        let width = table.panelWidth
        let rows = weight.shape[0]
        let columns = weight.shape[1]
        outputs = rows
        inputs = columns
        panelWidth = width
        kernelCode = code
        let panels = Tensor(unwritten: [rows.roundedUp(to: width) * columns], dtype: weight.dtype)
        let target = SendablePointer(panels.freshMutableAddress)
        let source = SendablePointer(weight.baseAddress)
        let (rowStride, columnStride) = (weight.strides[0], weight.strides[1])
        let byteWidth = weight.dtype.byteWidth
        context.parallel((rows + width - 1) / width) { panel, _ in
            let start = panel * width
            table.c.pointee.pack_panel(
                target.base + start * columns * byteWidth, source.base + start * rowStride * byteWidth,
                Int64(byteWidth), Int64(rowStride), Int64(columnStride), Int64(min(width, rows - start)),
                Int64(columns))
        }
        withExtendedLifetime(weight) {}
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
