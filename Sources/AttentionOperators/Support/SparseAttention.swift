import AttentionCore
import Kernels
import TensorCore

/// Tasks of one block of queries each, or of several that see the same key blocks, which walk along the key blocks that
/// the mask lists.
///
///     for each task:  o = 0, m = -inf, l = 0
///       for each panel of listed blocks, in order:     o, m, l <- one step of online softmax over the panel
///       write o / l
///
/// A panel holds several blocks that need not be neighbours, packed one behind the other, so that the products are as
/// long as those of dense attention. Panels follow from the row of blocks alone: neither threads nor the other rows of a
/// call change the order in which a row adds its keys.
struct SparseAttention: @unchecked Sendable {
    let tiled: TiledAttention
    private let index: KeyBlockIndex
    private let plan: SparsePlan

    /// - Parameter problem: the problem with everything that hides keys in its mask.
    init(
        _ inputs: AttentionInputs, problem: AttentionProblem, blockSize: Int, context: ComputeContext
    ) throws(AttentionError) {
        plan = SparsePlan(problem, blockSize: blockSize, context: context)
        index = plan.index
        tiled = try TiledAttention(inputs, problem: plan.rest, layout: plan.layout, context: context)
    }

    /// The keys that a task's rows see, by blocks.
    func keyBlocks(for rows: RowBlock) -> [Range<Int>] { plan.keyBlocks(for: rows) }

    /// Runs every task.
    func run(sinks: [Float]?) -> AttentionOutput {
        let writer = OutputWriter(tiled.problem, sinks: sinks)
        let tasks = plan.tasks()
        guard plan.packsOnce(tasks) else {
            run(tasks, packed: nil, writer)
            return writer.result
        }
        PackedSequence.inTurn(tiled, pairsAtOnce: plan.packedPairs, blockSize: index.blockSize) { packed in
            run(tasks.filter { packed.holds($0.rows) }, packed: packed, writer)
        }
        return writer.result
    }

    private func run(_ tasks: [SparsePlan.Task], packed: PackedSequence?, _ writer: OutputWriter) {
        tiled.context.parallel(tasks.count, scratchFloats: plan.scratchFloats) { number, scratch in
            let task = tasks[number]
            let state = tiled.layout.state(scratch)
            state.reset(rows: task.rows.rows)
            tiled.prepareQueries(task.rows, scratch)
            attend(task, packed, state, scratch)
            writer.write(task.rows, state, kernels: tiled.context.kernels)
        }
    }

    private func attend(
        _ task: SparsePlan.Task, _ packed: PackedSequence?, _ state: RowState, _ scratch: UnsafeMutablePointer<Float>
    ) {
        let rows = task.rows
        guard tiled.modifiers.toleratesGaps, !tiled.readsInPlace(rows) else {
            for run in KeyPanel.runs(task.keys) { tiled.attend(rows, keys: run, state: state, scratch) }
            return
        }
        let geometry = tiled.problem.geometry(rows.batch)
        let band = tiled.problem.options.mask.band(geometry)
        for panel in KeyPanel.cut(task.keys, limit: tiled.layout.keys) {
            let modifiers = tiled.modifiers.make(
                rows, panel: panel, band: band, geometry, scratch: scratch, layout: tiled.layout)
            tiled.context.kernels.attend(
                rows: rows.rows, headDim: tiled.problem.headDim, valueDim: tiled.problem.valueDim,
                queryTiles: scratch + tiled.layout.queryTiles,
                block: packed?.block(panel, rows, scratch) ?? pack(panel, rows, scratch), state: state,
                scores: scratch + tiled.layout.scores, modifiers: modifiers)
        }
    }

    /// Packs a panel's keys and values one behind the other.
    private func pack(_ panel: KeyPanel, _ rows: RowBlock, _ scratch: UnsafeMutablePointer<Float>) -> KeyValueBlock {
        let layout = tiled.layout
        let kernels = tiled.context.kernels
        let problem = tiled.problem
        var isFinite = true
        if plan.isStaged, panel.runs.count > 1 {
            let lined = scratch + layout.total
            line(up: tiled.key, panel, rows, width: problem.headDim, into: lined)
            kernels.packKeys(
                scratch + layout.keyPanels, rows: UnsafeRawPointer(lined), code: DType.float32.kernelCode ?? 0,
                stride: problem.headDim, count: panel.count, headDim: problem.headDim)
            line(up: tiled.value, panel, rows, width: problem.valueDim, into: lined)
            isFinite = kernels.packValues(
                scratch + layout.valuePanels, rows: UnsafeRawPointer(lined), code: DType.float32.kernelCode ?? 0,
                stride: problem.valueDim, count: panel.count, valueDim: problem.valueDim, panelRows: layout.keys)
        } else {
            var place = 0
            for run in panel.runs {
                kernels.packKeys(
                    scratch + layout.keyPanels + place * problem.headDim,
                    rows: tiled.key.row(rows.batch, run.lowerBound, head: rows.kvHead), code: tiled.key.code,
                    stride: tiled.key.rowStride, count: run.count, headDim: problem.headDim)
                let areFinite = kernels.packValues(
                    scratch + layout.valuePanels + place * kernels.panelWidth,
                    rows: tiled.value.row(rows.batch, run.lowerBound, head: rows.kvHead), code: tiled.value.code,
                    stride: tiled.value.rowStride, count: run.count, valueDim: problem.valueDim,
                    panelRows: layout.keys)
                isFinite = isFinite && areFinite
                place += run.count
            }
        }
        return KeyValueBlock(
            keys: panel.count, keyPanels: scratch + layout.keyPanels, valuePanels: scratch + layout.valuePanels,
            valuePanelRows: layout.keys, isFinite: isFinite)
    }

    private func line(
        up operand: OperandView, _ panel: KeyPanel, _ rows: RowBlock, width: Int,
        into lined: UnsafeMutablePointer<Float>
    ) {
        var place = 0
        for key in panel.runs.joined() {
            tiled.context.kernels.toFloat(
                lined + place * width, from: operand.row(rows.batch, key, head: rows.kvHead), code: operand.code,
                count: width)
            place += 1
        }
    }
}
