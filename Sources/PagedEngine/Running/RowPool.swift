import Kernels
import TensorCore
import TransformerBlocks

/// One layer's keys, or its values, in all pages, and what INT8 ones are multiplied by.
struct RowPool {
    /// A tensor of the pool as runs of bytes, one for each page.
    struct Part {
        /// Where page 0 lies.
        let base: UnsafeMutableRawPointer
        /// Bytes of a page.
        let bytes: Int
    }

    /// `[pages, pageSize, kvHeads, headDim]`.
    let rows: Tensor
    /// `[pages, pageSize, kvHeads]` F32; `nil` where rows are floating-point.
    let scales: Tensor?

    /// Rows that were never written, and scales likewise: any bytes.
    init(_ shape: CacheShape, _ layer: AttentionLayerShape, pageCount: Int) {
        let slots = [pageCount, shape.pageSize, layer.kvHeads]
        rows = Tensor(unwritten: Shape(slots + [layer.headDim]), dtype: shape.dtype)
        scales = shape.hasScales ? Tensor(unwritten: Shape(slots)) : nil
    }

    /// Everything that makes up a page, in the order in which it is swapped.
    var parts: [Part] {
        [rows, scales].compactMap { $0 }.map {
            Part(base: $0.freshMutableAddress, bytes: $0.strides[0] * $0.dtype.byteWidth)
        }
    }

    /// Puts new rows `[rows, kvHeads, headDim]` F32 into their slots: rounded to the pool's type, INT8 with their scales.
    ///
    /// A row's bits depend on that row alone. Cost: O(rows).
    func write(_ source: Tensor, slots: [Int], _ kernels: KernelTable) {
        let (heads, headDim) = (source.shape[1], source.shape[2])
        let width = heads * headDim
        let rowBytes = width * rows.dtype.byteWidth
        let target = rows.freshMutableAddress
        let factors = scales?.freshMutableAddress.assumingMemoryBound(to: Float.self)
        let code = rows.dtype.kernelCode ?? 0
        withExtendedLifetime(source) {
            let first = source.baseAddress.assumingMemoryBound(to: Float.self)
            for (row, slot) in slots.enumerated() {
                let numbers = first + row * source.strides[0]
                let cells = target + slot * rowBytes
                if let factors {
                    kernels.roundHeads(
                        cells.assumingMemoryBound(to: Int8.self), scales: factors + slot * heads, row: numbers,
                        heads: heads, headDim: headDim)
                } else {
                    kernels.finish(cells, code: code, row: numbers, valueDim: width, rowSum: 1)
                }
            }
        }
    }
}
