import CKernels
import TensorCore

/// One product of rows with a quantised weight.
///
/// Rows are put into bytes, or the weight into F32, by ``ComputeContext/activations``; never by the number of rows, so that
/// a row's bits are those of the row alone. What the number of rows decides is only who unpacks codes: one tile of rows does
/// so in registers, several share a panel of whole bytes.
struct QuantizedJob: @unchecked Sendable {
    let table: KernelTable
    let rows: Int
    let weight: Weight
    let x: UnsafePointer<Float>
    let bias: UnsafePointer<Float>?
    let result: UnsafeMutablePointer<Float>
    /// Floats between two rows of the result.
    let stride: Int

    /// The weight as addresses and numbers: tasks by the hundred must not count references.
    ///
    /// Whoever runs the job keeps the matrix alive.
    struct Weight {
        let panels: UnsafeRawPointer
        let order: UnsafePointer<Int32>?
        let format: zoo_quant_format
        let panelBytes: Int
        let groupBytes: Int
        let groups: Int
        let outputs: Int
        let inputs: Int
        let places: Int

        init(_ matrix: QuantizedMatrix) {
            panels = matrix.panels.baseAddress
            order = matrix.order?.baseAddress.assumingMemoryBound(to: Int32.self)
            format = matrix.format
            panelBytes = matrix.panelBytes
            groupBytes = matrix.groupBytes
            groups = matrix.groups
            outputs = matrix.outputs
            inputs = matrix.inputs
            places = matrix.places
        }

        func panel(_ index: Int) -> UnsafeRawPointer { panels + index * panelBytes }
    }

    /// Tiles of rows that are put into bytes together: 504 rows of AVX-512, 288 of AVX2, within the caches for thousands of
    /// inputs.
    private static let blockTiles = 36
    /// Rows whose packed tiles stay in the second-level cache beside one panel of F32, and its inputs, as in ``LinearJob``.
    private static let floatRows = 168
    private static let floatInputs = 1024
    /// With one tile nothing is gained by a long stretch of F32: it should not leave the first-level cache.
    private static let fewFloatInputs = 128

    func run(_ context: ComputeContext) {
        switch context.activations {
        case .int8: runBytes(context)
        case .float32: runFloats(context)
        }
    }

    private var places: Int { weight.places }
    private var blocks: Int { places / Int(ZOO_QUANT_BLOCK) }

    // MARK: Rows in bytes

    private var quantRows: Int { table.quantRows }

    /// Where a tile's rows lie in bytes.
    private func tile(_ base: UnsafeMutablePointer<Float>, _ index: Int, rows: Int) -> zoo_quant_rows {
        let start = base + index * tileFloats
        let scales = start + quantRows * places / 4
        return zoo_quant_rows(
            rows: Int64(rows), bytes: UnsafeMutableRawPointer(start).assumingMemoryBound(to: Int8.self), scales: scales,
            sums: scales + quantRows * blocks)
    }

    private var tileFloats: Int { quantRows * (places / 4 + blocks + weight.groups) }

    private func runBytes(_ context: ComputeContext) {
        let block = Self.blockTiles * quantRows
        let tiles = Workspace.take(floats: (min(rows, block) + quantRows - 1) / quantRows * tileFloats)
        defer { Workspace.giveBack(tiles) }
        for first in Swift.stride(from: 0, to: rows, by: block) {
            multiply(tiles.base, firstRow: first, rows: min(block, rows - first), context)
        }
    }

    private func multiply(_ tiles: UnsafeMutablePointer<Float>, firstRow: Int, rows: Int, _ context: ComputeContext) {
        let count = (rows + quantRows - 1) / quantRows
        let tiles = SendablePointer(tiles)
        @Sendable func held(_ index: Int) -> Int { min(quantRows, rows - index * quantRows) }
        context.with(threads: count > 1 ? context.threads : 1).parallel(count) { index, _ in
            var target = tile(tiles.base, index, rows: held(index))
            var format = weight.format
            table.c.pointee.quant_pack_rows(
                &target, x + (firstRow + index * quantRows) * weight.inputs, Int64(weight.inputs), Int64(weight.inputs),
                weight.order, &format)
        }
        if rows == 1 { return multiplyOne(tiles, row: firstRow, context) }
        if count == 1 {
            context.forShares(of: panelCount, streams: 1) { panels in
                multiply(
                    tile(tiles.base, 0, rows: rows), weight.panel(panels.first), weight.format, panels.first,
                    row: firstRow)
            }
            return
        }
        var wide = weight.format
        wide.bits = 8
        let wideBytes = Int(table.c.pointee.quant_group_bytes(&wide)) * weight.groups
        let isWide = weight.format.bits == 8
        context.parallel(panelCount, scratchFloats: isWide ? 1 : (wideBytes + 3) / 4) { [wide] panel, scratch in
            var cells = weight.panel(panel)
            if !isWide {
                var format = weight.format
                table.c.pointee.quant_widen(scratch, cells, &format)
                cells = UnsafeRawPointer(scratch)
            }
            for index in 0..<count {
                let source = tile(tiles.base, index, rows: held(index))
                multiply(source, cells, wide, panel, row: firstRow + index * quantRows)
            }
        }
    }

    private func multiply(
        _ source: zoo_quant_rows, _ cells: UnsafeRawPointer, _ format: zoo_quant_format, _ panel: Int, row: Int
    ) {
        guard bias != nil else { return multiply(source, cells, format, panel, row: row, bias: nil) }
        table.withPanelBias(bias, panel, outputs: weight.outputs) {
            multiply(source, cells, format, panel, row: row, bias: $0)
        }
    }

    private func multiply(
        _ source: zoo_quant_rows, _ cells: UnsafeRawPointer, _ format: zoo_quant_format, _ panel: Int, row: Int,
        bias: UnsafePointer<Float>?
    ) {
        withUnsafePointer(to: source) { source in
            withUnsafePointer(to: format) { format in
                table.c.pointee.quant_tile(
                    result + row * stride + panel * table.panelWidth, Int64(stride), source, cells, format, bias,
                    Int64(columns(of: panel)))
            }
        }
    }

    private func multiplyOne(
        _ tiles: SendablePointer<UnsafeMutablePointer<Float>>, row: Int, _ context: ComputeContext
    ) {
        context.forShares(of: panelCount, streams: Int(ZOO_ROW_STREAMS)) { panels in
            let column = panels.first * table.panelWidth
            var side = panels.kernelPanels(width: table.panelWidth, outputs: weight.outputs)
            withUnsafePointer(to: tile(tiles.base, 0, rows: 1)) { source in
                withUnsafePointer(to: weight.format) { format in
                    table.c.pointee.quant_row(
                        result + row * stride + column, source, weight.panel(panels.first), format,
                        bias.map { $0 + column }, &side)
                }
            }
        }
    }

    // MARK: The weight in F32

    private var tileRows: Int { table.tileRows }

    private func runFloats(_ context: ComputeContext) {
        let block = Self.floatRows / tileRows * tileRows
        let tileFloats = tileRows * places + 16
        // Rows that lie as the panels have them are read where they are.
        let isGathered = weight.order != nil || places != weight.inputs
        let gathered = Workspace.take(floats: isGathered ? min(rows, block) * places : 1)
        defer { Workspace.giveBack(gathered) }
        let tiles = Workspace.take(floats: rows == 1 ? 1 : (min(rows, block) + tileRows - 1) / tileRows * tileFloats)
        defer { Workspace.giveBack(tiles) }
        for first in Swift.stride(from: 0, to: rows, by: block) {
            let held = min(block, rows - first)
            if isGathered { gather(gathered.base, firstRow: first, rows: held) }
            let lines = isGathered ? UnsafePointer(gathered.base) : x + first * places
            guard held > 1 else {
                multiplyFloats(lines, tileFloats: tileFloats, firstRow: first, rows: 1, context)
                continue
            }
            let (source, target) = (SendablePointer(lines), SendablePointer(tiles.base))
            let count = (held + tileRows - 1) / tileRows
            context.with(threads: count > 1 ? context.threads : 1).parallel(count) { index, _ in
                table.c.pointee.pack_query(
                    target.base + index * tileFloats, source.base + index * tileRows * places,
                    Int32(ZOO_F32.rawValue), Int64(places), Int64(min(tileRows, held - index * tileRows)),
                    Int64(places),
                    1)
            }
            multiplyFloats(tiles.base, tileFloats: tileFloats, firstRow: first, rows: held, context)
        }
    }

    /// Rows in the order of the groups, zeros where a group is filled up.
    private func gather(_ target: UnsafeMutablePointer<Float>, firstRow: Int, rows: Int) {
        for row in 0..<rows {
            let source = x + (firstRow + row) * weight.inputs
            let line = target + row * places
            guard let order = weight.order else {
                line.update(from: source, count: weight.inputs)
                (line + weight.inputs).update(repeating: 0, count: places - weight.inputs)
                continue
            }
            for place in 0..<places { line[place] = order[place] < 0 ? 0 : source[Int(order[place])] }
        }
    }

    private func multiplyFloats(
        _ tiles: UnsafePointer<Float>, tileFloats: Int, firstRow: Int, rows: Int, _ context: ComputeContext
    ) {
        let tiles = SendablePointer(tiles)
        let groupPlaces = places / weight.groups
        let wanted = rows > tileRows ? Self.floatInputs : Self.fewFloatInputs
        let chunk = min(weight.groups, max(1, wanted / groupPlaces))
        context.parallel(panelCount, scratchFloats: chunk * groupPlaces * table.panelWidth) { panel, scratch in
            for group in Swift.stride(from: 0, to: weight.groups, by: chunk) {
                var format = weight.format
                format.groups = Int64(min(chunk, weight.groups - group))
                table.c.pointee.quant_to_float(scratch, weight.panel(panel) + group * weight.groupBytes, &format)
                let inputs = format.groups * Int64(groupPlaces)
                let target = result + firstRow * stride + panel * table.panelWidth
                guard rows > 1 else {
                    var side = SidePanels(first: panel, count: 1, apart: 0)
                        .kernelPanels(width: table.panelWidth, outputs: weight.outputs)
                    table.c.pointee.project_row(
                        target, tiles.base + group * groupPlaces, scratch, Int32(ZOO_F32.rawValue),
                        group == 0 ? bias.map { $0 + panel * table.panelWidth } : UnsafePointer(target), inputs, &side)
                    continue
                }
                table.withPanelBias(bias, panel, outputs: weight.outputs) { panelBias in
                    for row in Swift.stride(from: 0, to: rows, by: tileRows) {
                        table.c.pointee.project_tile(
                            target + row * stride, Int64(stride),
                            tiles.base + row / tileRows * tileFloats + group * groupPlaces * tileRows, scratch,
                            Int32(ZOO_F32.rawValue), group == 0 ? panelBias : nil, Int64(min(tileRows, rows - row)),
                            inputs, Int64(columns(of: panel)))
                    }
                }
            }
        }
    }

    // MARK: Panels

    private var panelCount: Int { (weight.outputs + table.panelWidth - 1) / table.panelWidth }

    private func columns(of panel: Int) -> Int { min(table.panelWidth, weight.outputs - panel * table.panelWidth) }
}
