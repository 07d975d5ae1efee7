package import CKernels
package import TensorCore

/// The microkernels of one instruction set.
///
/// See `Sources/CKernels/include/zoo_kernels.h` for each function.
package struct KernelTable: @unchecked Sendable {
    /// A table of constants that lives as long as the process.
    package let c: UnsafePointer<zoo_kernel_table>

    /// The instruction set, for example `avx512`.
    package var name: String { String(cString: c.pointee.name) }
    /// Query rows that one register tile holds.
    package var tileRows: Int { Int(c.pointee.tile_rows) }
    /// Keys, or value columns, that one register tile holds.
    package var panelWidth: Int { Int(c.pointee.panel_width) }
    /// Rows of a tile of products with a weight in few bits.
    var quantRows: Int { Int(c.pointee.quant_rows) }

    /// The tables this CPU can run, slowest first.
    package static let available: [KernelTable] = {
        var tables = [UnsafePointer<zoo_kernel_table>?](repeating: nil, count: Int(ZOO_MAX_TABLES))
        let count = zoo_kernel_tables(&tables)
        return tables.prefix(Int(count)).compactMap { $0.map(KernelTable.init(c:)) }
    }()
}

extension DType {
    /// The kernels' name of this element type; `nil` when they do not read it.
    package var kernelCode: Int32? {
        switch self {
        case .float32: Int32(ZOO_F32.rawValue)
        case .float16: Int32(ZOO_F16.rawValue)
        case .bfloat16: Int32(ZOO_BF16.rawValue)
        case .int8: Int32(ZOO_I8.rawValue)
        default: nil
        }
    }
}

extension Int {
    /// The next multiple of `step`.
    package func roundedUp(to step: Int) -> Int { (self + step - 1) / step * step }
}
