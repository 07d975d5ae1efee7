public import AttentionCore
public import Kernels
import TensorCore

/// Attention as first written (Vaswani et al., 2017, equation 1): `softmax(scale · Q Kᵀ) V`, scores materialised.
///
/// For a block of queries at a time the scores against every key are stored, modified, normalised and multiplied by the
/// values: three passes, the plainest order of operations in the zoo. Keys hidden by a window are computed and masked.
/// Cost: 4 · heads · queryLength · keyLength · headDim operations; working memory O(L) for each thread.
public struct FullAttention: AttentionOperator {
    /// The operator has no options of its own.
    public typealias Configuration = NoConfiguration

    /// Everything the tiled kernels honour, and Double, which runs on OpenBLAS.
    public static let capabilities: AttentionCapabilities = {
        var result = AttentionCapabilities.tiled(workingMemory: "O(L), O(L^2) in Double", arithmetic: "O(L^2)")
        result.dtypes.append(.float64)
        result.features.remove(.int8Keys)
        return result
    }()

    /// For people who choose.
    public static let guide = OperatorGuide(
        maths: """
            S = scale · Q Kᵀ            [L, n], softcapped, plus bias, minus slope · distance; hidden pairs -infinity
            L = log(exp(sink) + Σⱼ exp(Sⱼ))
            O = exp(S - L) V
            """,
        choose: """
            As the yardstick: the plainest order of operations, and the one operator that takes Double. It is quick \
            where the scores of a block of queries fit the caches. For speed take flash, for the least memory \
            memory-efficient, for a window local, for many query heads on few key heads grouped-query.
            """,
        limits: """
            Scores of a block of queries against every key exist at once, so working memory grows with the length, and \
            with its square in Double. Keys that a window hides are computed and thrown away: a narrow window costs as \
            much as none.
            """)

    /// The options in force.
    public let configuration: NoConfiguration

    /// An operator without options.
    public init(_ configuration: NoConfiguration) { self.configuration = configuration }

    /// Rows of scores that are materialised together: eight register tiles, enough to pay for packing the keys.
    private static let tilesPerBlock = 16

    /// One task for each head and block of queries.
    public func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        var sizes = sizes(problem, context)
        if problem.dtype == .float64 {
            return AttentionPlan(
                problem: problem, queryTile: sizes.rows, keyTile: sizes.keys, tasks: problem.batch * problem.heads,
                workspaceBytes: DenseReference.workingBytes(problem, precision: .double), isa: context.isa,
                threads: context.threads)
        }
        return .fitting(context, rows: sizes.rows, unit: context.kernels.tileRows) { rows, context in
            sizes.rows = rows
            return .tiled(
                problem, sizes: sizes, sharing: false, scratchFloats: layout(problem, sizes, context).total,
                context: context)
        }
    }

    /// Shares of the keys, some pairs of sequence and key head at a time; in Double one head's scores.
    public func gradientPlan(_ problem: AttentionProblem, context: ComputeContext) -> GradientPlan? {
        guard problem.dtype == .float64 else { return TiledBackward.plan(problem, context: context) }
        return GradientPlan(
            threads: context.threads, pairsAtOnce: 1,
            workspaceBytes: DenseReference.workingBytesOfGradients(problem, precision: .double),
            resultBytes: problem.gradientBytes)
    }

    /// Runs the tasks.
    /// - Throws: ``AttentionCore/AttentionError`` when bias or mask do not broadcast.
    public func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        let problem = plan.problem
        if problem.dtype == .float64 { return try inDouble(inputs, problem) }
        let layout = layout(problem, TileSizes(rows: plan.queryTile, keys: plan.keyTile), context)
        let tiled = try TiledAttention(inputs, problem: problem, layout: layout, context: context)
        let blocks = RowBlock.cut(problem, rows: plan.queryTile, sharing: false)
        let writer = OutputWriter(problem, sinks: inputs.sinks)
        context.parallel(blocks.count, scratchFloats: layout.total) { index, scratch in
            materialise(blocks[index], tiled, scratch)
            writer.write(blocks[index], layout.state(scratch), kernels: context.kernels)
        }
        return writer.result
    }

    /// Computes scores again from the log-sum-exp, block by block.
    /// - Throws: ``AttentionCore/AttentionError`` when the output has no log-sum-exp or operands do not broadcast.
    public func backward(
        _ inputs: AttentionInputs, output: AttentionOutput, gradient: OutputGradient, plan: AttentionPlan,
        context: ComputeContext
    ) throws(AttentionError) -> AttentionGradients {
        if plan.problem.dtype == .float64 {
            return try DenseReference.backward(
                inputs, gradient: gradient, options: plan.problem.options, precision: .double)
        }
        return try TiledBackward(
            inputs, output: output, gradient: gradient, problem: plan.problem, context: context
        ).run()
    }

    /// Double has no microkernels: the definition itself, one head's scores at a time.
    private func inDouble(
        _ inputs: AttentionInputs, _ problem: AttentionProblem
    ) throws(AttentionError) -> AttentionOutput {
        var result = try DenseReference.forward(inputs, options: problem.options, precision: .double)
        result.logSumExp = result.logSumExp?.converted(to: .float32)
        return result
    }

    private func materialise(_ rows: RowBlock, _ tiled: TiledAttention, _ scratch: UnsafeMutablePointer<Float>) {
        let layout = tiled.layout
        let kernels = tiled.context.kernels
        let geometry = tiled.problem.geometry(rows.batch)
        let band = tiled.problem.options.mask.band(geometry)
        // Nothing after the last key that any of these rows sees is worth a score.
        let keys = 0..<tiled.visibleKeys(rows).upperBound
        let state = layout.state(scratch)
        state.reset(rows: rows.rows)
        let coverage = tiled.modifiers.coverage(rows, keys: keys, band: band, geometry)
        if coverage == .empty { return }
        tiled.packQueries(rows, scratch)
        let block = tiled.packKeys(rows, keys: keys, needed: keys, scratch)
        let modifiers = tiled.modifiers.make(
            rows, keys: keys, coverage: coverage, band: band, geometry, scratch: scratch, layout: layout)
        kernels.scores(
            rows: rows.rows, keys: keys.count, headDim: tiled.problem.headDim, queryTiles: scratch + layout.queryTiles,
            keyPanels: scratch + layout.keyPanels, scores: scratch + layout.scores, stride: layout.keys,
            modifiers: modifiers)
        kernels.softmax(scratch + layout.scores, stride: layout.keys, rows: rows.rows, keys: keys.count, state: state)
        kernels.drop(
            scratch + layout.scores, stride: layout.keys, rows: rows.rows, keys: keys.count, modifiers: modifiers)
        kernels.weigh(
            scratch + layout.scores, stride: layout.keys, rows: rows.rows, valueDim: tiled.problem.valueDim,
            block: block, state: state)
    }

    private func sizes(_ problem: AttentionProblem, _ context: ComputeContext) -> TileSizes {
        TileSizes(
            rows: Self.tilesPerBlock * context.kernels.tileRows,
            keys: max(1, problem.keyLength).roundedUp(to: context.kernels.panelWidth))
    }

    private func layout(
        _ problem: AttentionProblem, _ sizes: TileSizes, _ context: ComputeContext
    ) -> BlockScratch {
        BlockScratch(
            problem, sizes: sizes, sharesHeads: false, context: context, scoreFloats: sizes.rows * sizes.keys)
    }
}
