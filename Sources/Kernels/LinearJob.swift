import CKernels
import TensorCore

/// One product of rows with a packed weight, cut into panels of outputs times blocks of rows and of inputs.
///
/// Cuts change no bits: a result takes its inputs in order, kept in memory between two blocks of them.
struct LinearJob: @unchecked Sendable {
    let table: KernelTable
    let rows: Int
    let weight: PackedMatrix
    let x: UnsafePointer<Float>
    let bias: UnsafePointer<Float>?
    let result: UnsafeMutablePointer<Float>
    /// Floats between two rows of the result.
    let stride: Int

    /// Rows whose packed tiles stay in the second-level cache beside one panel.
    private static let rowBlock = 168
    /// Inputs of those rows, likewise.
    private static let inputBlock = 1024
    /// Floats of one tile; packing may store a vector over its end.
    private static func tileFloats(_ inputs: Int, _ table: KernelTable) -> Int { table.tileRows * inputs + 16 }

    private static func blockTiles(_ table: KernelTable) -> Int { rowBlock / table.tileRows }

    /// Bytes that a product with F32 weights works in: tiles of a block of rows.
    static func bytes(rows: Int, inputs: Int, _ context: ComputeContext) -> Int {
        guard rows > 1 else { return 0 }
        let table = context.kernels
        let tiles = min((rows + table.tileRows - 1) / table.tileRows, blockTiles(table))
        return Workspace.bytes(floats: tiles * tileFloats(min(inputs, inputBlock), table))
    }

    func run(_ context: ComputeContext) {
        if rows == 1 { return runOne(context) }
        let tileRows = table.tileRows
        let tilesInBlock = Self.blockTiles(table)
        let inputs = min(weight.inputs, Self.inputBlock)
        let tileFloats = Self.tileFloats(inputs, table)
        let count = min((rows + tileRows - 1) / tileRows, tilesInBlock)
        let tiles = Workspace.take(floats: count * tileFloats)
        defer { Workspace.giveBack(tiles) }
        for firstRow in Swift.stride(from: 0, to: rows, by: tilesInBlock * tileRows) {
            let block = Block(
                tiles: tiles.base, tileFloats: tileFloats, firstRow: firstRow,
                rows: min(tilesInBlock * tileRows, rows - firstRow))
            // At least once, so that a product without inputs is its bias.
            for firstInput in Swift.stride(from: 0, to: max(1, weight.inputs), by: Self.inputBlock) {
                multiply(block, inputs: firstInput..<min(weight.inputs, firstInput + Self.inputBlock), context)
            }
        }
    }

    /// Rows whose tiles are packed together.
    private struct Block: @unchecked Sendable {
        let tiles: UnsafeMutablePointer<Float>
        let tileFloats: Int
        let firstRow: Int
        let rows: Int
    }

    private var panelCount: Int { (weight.outputs + table.panelWidth - 1) / table.panelWidth }

    private func multiply(_ block: Block, inputs: Range<Int>, _ context: ComputeContext) {
        let tileRows = table.tileRows
        let tileCount = (block.rows + tileRows - 1) / tileRows
        // A single tile is not worth waking threads for.
        let packers = context.with(threads: tileCount > 1 ? context.threads : 1)
        packers.parallel(tileCount) { tile, _ in
            table.c.pointee.pack_query(
                block.tiles + tile * block.tileFloats,
                x + (block.firstRow + tile * tileRows) * weight.inputs + inputs.lowerBound,
                Int32(ZOO_F32.rawValue), Int64(weight.inputs), Int64(min(tileRows, block.rows - tile * tileRows)),
                Int64(inputs.count), 1)
        }
        if tileCount == 1 || weight.panels.dtype == .float32 {
            context.forShares(of: panelCount, streams: 1) { panels in
                let panel = panels.first
                multiply(block, inputs, panel, weight.panelAddress(panel, from: inputs.lowerBound), weight.kernelCode)
            }
            return
        }
        // More than one tile reads the panel: it is converted once.
        context.parallel(panelCount, scratchFloats: inputs.count * table.panelWidth) { panel, scratch in
            table.c.pointee.to_float(
                scratch, weight.panelAddress(panel, from: inputs.lowerBound), weight.kernelCode,
                Int64(inputs.count * table.panelWidth))
            multiply(block, inputs, panel, scratch, Int32(ZOO_F32.rawValue))
        }
    }

    private func multiply(
        _ block: Block, _ inputs: Range<Int>, _ panel: Int, _ cells: UnsafeRawPointer, _ code: Int32
    ) {
        let column = panel * table.panelWidth
        let columns = min(table.panelWidth, weight.outputs - column)
        withPanelBias(panel, isFirst: inputs.lowerBound == 0) { panelBias in
            for row in Swift.stride(from: 0, to: block.rows, by: table.tileRows) {
                table.c.pointee.project_tile(
                    result + (block.firstRow + row) * stride + column, Int64(stride),
                    block.tiles + row / table.tileRows * block.tileFloats, cells, code, panelBias,
                    Int64(min(table.tileRows, block.rows - row)), Int64(inputs.count), Int64(columns))
            }
        }
    }

    /// One row is its own tile.
    private func runOne(_ context: ComputeContext) {
        context.forShares(of: panelCount, streams: Int(ZOO_ROW_STREAMS)) { panels in
            let column = panels.first * table.panelWidth
            var side = panels.kernelPanels(width: table.panelWidth, outputs: weight.outputs)
            table.c.pointee.project_row(
                result + column, x, weight.panelAddress(panels.first, from: 0), weight.kernelCode,
                bias.map { $0 + column }, Int64(weight.inputs), &side)
        }
    }

    /// The panel's bias, or `nil` when the product is added to what is there.
    private func withPanelBias(_ panel: Int, isFirst: Bool, _ body: (UnsafePointer<Float>?) -> Void) {
        guard isFirst else { return body(nil) }
        table.withPanelBias(bias, panel, outputs: weight.outputs, body)
    }
}

extension KernelTable {
    /// The bias of a panel's outputs; zeros where there is none, and beyond the last output.
    func withPanelBias(
        _ bias: UnsafePointer<Float>?, _ panel: Int, outputs: Int, _ body: (UnsafePointer<Float>?) -> Void
    ) {
        let width = panelWidth
        let column = panel * width
        if let bias, column + width <= outputs { return body(bias + column) }
        withUnsafeTemporaryAllocation(of: Float.self, capacity: width) { cells in
            cells.initialize(repeating: 0)
            if let bias { for lane in 0..<outputs - column { cells[lane] = bias[column + lane] } }
            body(cells.baseAddress)
        }
    }
}

extension PackedMatrix {
    /// The cells of a panel from an input on.
    fileprivate func panelAddress(_ panel: Int, from input: Int) -> UnsafeRawPointer {
        panels.baseAddress + (panel * inputs + input) * panelWidth * panels.dtype.byteWidth
    }
}
