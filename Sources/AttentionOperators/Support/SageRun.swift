import AttentionCore
import Foundation
import Kernels

/// The tasks of ``SageAttention``: whole blocks of keys in bytes for the rows that see all of them, all else in Float.
///
/// Mean, scales and middles of a block come from its keys and values alone, and a row takes them only when it sees every
/// one: so what is hidden from a row never reaches its bits, and no row depends on the rows of its task.
struct SageRun: Sendable {
    let tiled: TiledAttention
    let scratch: SageScratch

    private var problem: AttentionProblem { tiled.problem }
    private var kernels: KernelTable { tiled.context.kernels }

    /// Runs every task.
    func run(_ blocks: [RowBlock], sinks: [Float]?) -> AttentionOutput {
        let writer = OutputWriter(problem, sinks: sinks)
        let blocks = tiled.joiningHeads(blocks) { _ in 1 }
        tiled.context.parallel(blocks.count, scratchFloats: scratch.total) { index, memory in
            let rows = blocks[index]
            let state = scratch.layout.state(memory)
            state.reset(rows: rows.rows)
            tiled.prepareQueries(rows, memory)
            if tiled.readsInPlace(rows) {
                tiled.attend(rows, keys: tiled.visibleKeys(rows).aligned(to: scratch.keys), state: state, memory)
            } else {
                kernels.packQueryBytes(scratch.queries(memory), rows: rows.rows, headDim: problem.headDim)
                attend(rows, state: state, memory)
            }
            writer.write(rows, state, kernels: kernels)
        }
        return writer.result
    }

    /// Blocks lie at multiples of their length from the first key, whatever the task.
    private func attend(_ rows: RowBlock, state: RowState, _ memory: UnsafeMutablePointer<Float>) {
        let geometry = problem.geometry(rows.batch)
        let band = problem.options.mask.band(geometry)
        let visible = tiled.visibleKeys(rows)
        let first = visible.aligned(to: scratch.keys).lowerBound
        for start in stride(from: first, to: visible.upperBound, by: scratch.keys) {
            let block = start..<min(start + scratch.keys, geometry.keyLength)
            let coverage = tiled.modifiers.coverage(rows, keys: block, band: band, geometry)
            if coverage == .empty { continue }
            var modifiers = tiled.modifiers.make(
                rows, keys: block, coverage: coverage, band: band, geometry, scratch: memory, layout: scratch.layout)
            if block.count == scratch.keys {
                let classes = classify(rows, modifiers, memory)
                if classes.whole > 0, attendBytes(rows, block, state, modifiers, memory) {
                    if classes.whole + classes.blind == rows.rows { continue }
                    leaveOut(&modifiers, rows, memory)
                }
            }
            let isBounded = modifiers.firstKey != nil && coverage == .partial
            let packed = tiled.packKeys(
                rows, keys: block, needed: isBounded ? block.clamped(to: visible) : block, memory)
            kernels.attend(
                rows: rows.rows, headDim: problem.headDim, valueDim: problem.valueDim,
                queryTiles: memory + scratch.layout.queryTiles, block: packed, state: state,
                scores: memory + scratch.layout.scores, modifiers: modifiers)
        }
    }

    /// Marks the rows that see all of a block and whose query is finite, and counts them and those that see nothing.
    private func classify(
        _ rows: RowBlock, _ modifiers: ScoreModifiers, _ memory: UnsafeMutablePointer<Float>
    ) -> (whole: Int, blind: Int) {
        let takes = scratch.takes(memory)
        let scales = scratch.queries(memory).scales
        var whole = 0
        var blind = 0
        for row in 0..<rows.rows {
            var first = 0
            var end = scratch.keys
            if let firstKey = modifiers.firstKey, let endKey = modifiers.endKey {
                first = max(0, Int(firstKey[row]))
                end = min(end, Int(endKey[row]))
            }
            var seesAll = first == 0 && end == scratch.keys && scales[row].isFinite
            if seesAll, let bytes = modifiers.mask?[row] { seesAll = memchr(bytes, 0, scratch.keys) == nil }
            if seesAll, let bias = modifiers.bias?[row] { seesAll = !hides(bias) }
            takes[row] = seesAll ? 1 : 0
            if seesAll { whole += 1 } else if first >= end { blind += 1 }
        }
        return (whole, blind)
    }

    /// Whether a row of the bias hides some key of a whole block.
    private func hides(_ bias: UnsafePointer<Float>) -> Bool {
        var hidden: Int32 = 0
        for key in 0..<scratch.keys { hidden &+= bias[key] == -.infinity ? 1 : 0 }
        return hidden > 0
    }

    /// The step in bytes, for marked rows; false when bytes cannot stand for some key or value, and nothing was done.
    private func attendBytes(
        _ rows: RowBlock, _ block: Range<Int>, _ state: RowState, _ modifiers: ScoreModifiers,
        _ memory: UnsafeMutablePointer<Float>
    ) -> Bool {
        let keys = scratch.byteKeys(memory)
        let values = scratch.byteValues(memory)
        let isFinite =
            kernels.packKeyBytes(
                keys, rows: tiled.key.row(rows.batch, block.lowerBound, head: rows.kvHead), code: tiled.key.code,
                stride: tiled.key.rowStride, count: block.count, headDim: problem.headDim)
            && kernels.packValueBytes(
                values, rows: tiled.value.row(rows.batch, block.lowerBound, head: rows.kvHead), code: tiled.value.code,
                stride: tiled.value.rowStride, count: block.count, valueDim: problem.valueDim)
        guard isFinite else { return false }
        kernels.attendBytes(
            rows: rows.rows, headDim: problem.headDim, valueDim: problem.valueDim, queries: scratch.queries(memory),
            keys: keys, values: values, count: block.count, takes: scratch.takes(memory), state: state,
            scores: memory + scratch.layout.scores, modifiers: modifiers)
        return true
    }

    /// Hides the block from the rows that have taken it in bytes.
    private func leaveOut(
        _ modifiers: inout ScoreModifiers, _ rows: RowBlock, _ memory: UnsafeMutablePointer<Float>
    ) {
        let raw = UnsafeMutableRawPointer(memory)
        let first = (raw + scratch.layout.firstKey * 4).bindMemory(to: Int32.self, capacity: rows.rows)
        let end = (raw + scratch.layout.endKey * 4).bindMemory(to: Int32.self, capacity: rows.rows)
        let isBounded = modifiers.firstKey != nil
        let takes = scratch.takes(memory)
        for row in 0..<rows.rows {
            if takes[row] != 0 {
                first[row] = 0
                end[row] = 0
            } else if !isBounded {
                first[row] = 0
                end[row] = Int32(scratch.keys)
            }
        }
        modifiers.firstKey = UnsafePointer(first)
        modifiers.endKey = UnsafePointer(end)
    }
}
