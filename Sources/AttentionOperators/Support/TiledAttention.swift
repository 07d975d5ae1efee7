import AttentionCore
import Kernels
import TensorCore

/// Streams blocks of keys and values past resident query rows: what the tiled operators share.
struct TiledAttention: @unchecked Sendable {
    let problem: AttentionProblem
    let context: ComputeContext
    let layout: BlockScratch
    let modifiers: BlockModifiers
    let query: OperandView
    let key: OperandView
    let value: OperandView
    private let scales: ScaleView?
    /// Keeps the operands' memory alive while tasks read it.
    private let inputs: AttentionInputs

    /// log2(e): scores are kept in the base-2 logarithm, so that exponentials need no multiplication.
    private static let log2e: Float = 1.442_695

    init(
        _ inputs: AttentionInputs, problem: AttentionProblem, layout: BlockScratch, context: ComputeContext
    ) throws(AttentionError) {
        self.inputs = inputs
        self.problem = problem
        self.context = context
        self.layout = layout
        modifiers = try BlockModifiers(problem, inputs)
        query = OperandView(inputs.query)
        key = OperandView(inputs.key)
        value = OperandView(inputs.value)
        scales = ScaleView(inputs)
    }

    /// The run of a plan.
    init(
        _ inputs: AttentionInputs, plan: AttentionPlan, sharesHeads: Bool, context: ComputeContext
    ) throws(AttentionError) {
        let sizes = TileSizes(rows: plan.queryTile, keys: plan.keyTile)
        let layout = BlockScratch(plan.problem, sizes: sizes, sharesHeads: sharesHeads, context: context)
        try self.init(inputs, problem: plan.problem, layout: layout, context: context)
    }

    /// Whether a task reads keys and values where they lie instead of packing them.
    ///
    /// With few rows, packing would cost more than the products. Decided by the rows of the whole sequence, so that a
    /// row's bits do not depend on how a task was cut.
    func readsInPlace(_ rows: RowBlock) -> Bool {
        problem.geometry(rows.batch).queryLength * rows.headsPerKey <= ZooLimits.fewRows
    }

    /// Packs a task's queries for ``attend(_:keys:state:_:)``: into register tiles, or in rows when there are few.
    func prepareQueries(_ rows: RowBlock, _ scratch: UnsafeMutablePointer<Float>) {
        if readsInPlace(rows) { lineUpQueries(rows, scratch) } else { packQueries(rows, scratch) }
    }

    /// Packs a task's queries, scaled, into register tiles.
    func packQueries(_ rows: RowBlock, _ scratch: UnsafeMutablePointer<Float>) {
        let kernels = context.kernels
        let scale = problem.scale * Self.log2e
        let tiles = scratch + layout.queryTiles
        guard rows.heads > 1 else {
            kernels.packQuery(
                tiles, rows: query.row(rows.batch, rows.queries.lowerBound, head: rows.firstHead), code: query.code,
                stride: query.rowStride, count: rows.rows, headDim: problem.headDim, scale: scale)
            return
        }
        // Rows of several heads have no one stride: line them up first.
        let gathered = scratch + layout.gathered
        for row in 0..<rows.rows {
            kernels.toFloat(
                gathered + row * problem.headDim,
                from: query.row(rows.batch, rows.query(row), head: rows.head(row)), code: query.code,
                count: problem.headDim)
        }
        kernels.packQuery(
            tiles, rows: UnsafeRawPointer(gathered), code: DType.float32.kernelCode ?? 0, stride: problem.headDim,
            count: rows.rows, headDim: problem.headDim, scale: scale)
    }

    private func lineUpQueries(_ rows: RowBlock, _ scratch: UnsafeMutablePointer<Float>) {
        let scale = problem.scale * Self.log2e
        for row in 0..<rows.rows {
            let target = scratch + layout.queryTiles + row * layout.queryStride
            context.kernels.toFloat(
                target, from: query.row(rows.batch, rows.query(row), head: rows.head(row)), code: query.code,
                count: problem.headDim)
            for d in 0..<problem.headDim { target[d] *= scale }
            for d in problem.headDim..<layout.queryStride { target[d] = 0 }
        }
    }

    /// Packs the keys and values of a block that are needed, at the places they have in the whole block.
    ///
    /// - Parameter needed: the part of the block that some row sees; panels outside of it are left undefined, and the
    ///   rows' bounds keep kernels away from them.
    func packKeys(
        _ rows: RowBlock, keys: Range<Int>, needed: Range<Int>, _ scratch: UnsafeMutablePointer<Float>
    ) -> KeyValueBlock {
        let kernels = context.kernels
        let skipped = (needed.lowerBound - keys.lowerBound) / kernels.panelWidth * kernels.panelWidth
        let first = keys.lowerBound + skipped
        let packed = first..<needed.upperBound
        kernels.packKeys(
            scratch + layout.keyPanels + skipped * problem.headDim,
            rows: key.row(rows.batch, packed.lowerBound, head: rows.kvHead), code: key.code, stride: key.rowStride,
            count: packed.count, headDim: problem.headDim)
        let isFinite = kernels.packValues(
            scratch + layout.valuePanels + skipped * kernels.panelWidth,
            rows: value.row(rows.batch, packed.lowerBound, head: rows.kvHead), code: value.code,
            stride: value.rowStride, count: packed.count, valueDim: problem.valueDim, panelRows: layout.keys)
        return KeyValueBlock(
            keys: keys.count, keyPanels: scratch + layout.keyPanels, valuePanels: scratch + layout.valuePanels,
            valuePanelRows: layout.keys, isFinite: isFinite,
            scales: scales?.block(rows.batch, keys.lowerBound, head: rows.kvHead))
    }

    /// The keys that a task can see at all.
    func visibleKeys(_ rows: RowBlock) -> Range<Int> {
        problem.visibleKeys(rows)
    }

    /// Adds a range of keys to a task's state, block by block.
    ///
    /// Blocks are counted from the start of the range, which must not depend on the task: a row then adds its keys in
    /// the same order whichever rows share its task.
    func attend(
        _ rows: RowBlock, keys: Range<Int>, state: RowState, _ scratch: UnsafeMutablePointer<Float>,
        packed: PackedSequence? = nil
    ) {
        let geometry = problem.geometry(rows.batch)
        let band = problem.options.mask.band(geometry)
        let visible = visibleKeys(rows)
        for start in stride(from: keys.lowerBound, to: keys.upperBound, by: layout.keys) {
            let block = start..<min(start + layout.keys, keys.upperBound)
            let coverage = modifiers.coverage(rows, keys: block, band: band, geometry)
            if coverage == .empty { continue }
            let values = modifiers.make(
                rows, keys: block, coverage: coverage, band: band, geometry, scratch: scratch, layout: layout)
            if readsInPlace(rows) {
                attendInPlace(rows, keys: block, state: state, modifiers: values, scratch)
                continue
            }
            let operands =
                packed?.block(block, rows)
                ?? packKeys(
                    rows, keys: block, needed: values.firstKey == nil ? block : block.clamped(to: visible), scratch)
            context.kernels.attend(
                rows: rows.rows, headDim: problem.headDim, valueDim: problem.valueDim,
                queryTiles: scratch + layout.queryTiles, block: operands, state: state,
                scores: scratch + layout.scores, modifiers: values)
        }
    }

    private func attendInPlace(
        _ rows: RowBlock, keys: Range<Int>, state: RowState, modifiers: ScoreModifiers,
        _ scratch: UnsafeMutablePointer<Float>
    ) {
        let operands = FewOperands(
            rows: rows.rows, kvHeads: rows.kvHeads, group: rows.kvHeads > 1 ? rows.headsPerKey : rows.rows,
            headDim: problem.headDim, valueDim: problem.valueDim, query: scratch + layout.queryTiles,
            queryStride: layout.queryStride, key: key.row(rows.batch, keys.lowerBound, head: rows.kvHead),
            keyStride: key.rowStride, keyHeadStride: key.headStride,
            value: value.row(rows.batch, keys.lowerBound, head: rows.kvHead), valueStride: value.rowStride,
            valueHeadStride: value.headStride, code: key.code,
            scales: scales?.block(rows.batch, keys.lowerBound, head: rows.kvHead))
        context.kernels.attendFew(
            operands, keys: keys.count, state: state, scores: scratch + layout.scores,
            sums: scratch + layout.fewSums, modifiers: modifiers)
    }

    /// Runs every task: all visible keys, one pass, then the division.
    func run(_ blocks: [RowBlock], sinks: [Float]?) -> AttentionOutput {
        let blocks = joiningHeads(blocks) { _ in 1 }
        let writer = OutputWriter(problem, sinks: sinks)
        withPackedKeys(blocks) { blocks, packed in
            context.parallel(blocks.count, scratchFloats: layout.total) { index, scratch in
                let rows = blocks[index]
                let state = layout.state(scratch)
                state.reset(rows: rows.rows)
                prepareQueries(rows, scratch)
                attend(rows, keys: visibleKeys(rows).aligned(to: layout.keys), state: state, scratch, packed: packed)
                writer.write(rows, state, kernels: context.kernels)
            }
        }
        return writer.result
    }

    /// Calls `body` with all tasks, or with those of some key heads at a time and the keys that they share, packed.
    func withPackedKeys(_ blocks: [RowBlock], _ body: ([RowBlock], PackedSequence?) -> Void) {
        guard PackedSequence.servesStreams(problem, context: context) else { return body(blocks, nil) }
        let step = PackedSequence.pairsAtOnce(
            problem, panelWidth: context.kernels.panelWidth, limit: PackedSequence.streamedLimit)
        PackedSequence.inTurn(self, pairsAtOnce: step, blockSize: layout.keys) { packed in
            body(blocks.filter(packed.holds), packed)
        }
    }
}

extension Range<Int> {
    /// The range with its start moved down to a multiple of `step`.
    func aligned(to step: Int) -> Range<Int> { lowerBound / step * step..<upperBound }
}
