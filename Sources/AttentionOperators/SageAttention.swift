public import AttentionCore
public import Kernels

/// SageAttention (Zhang et al., 2024): both products of attention in bytes, softmax in Float.
///
/// Keys are rounded to bytes after their mean is taken away, values around the middle of each channel, weights with a
/// dither that keeps small ones right on average. Whole blocks of keys are rounded for the rows that see every key of
/// them; other blocks, blocks with numbers that are not finite, and sequences of few queries are computed in Float.
/// Cost: as ``FlashAttention``, with a quarter of its multiply-add instructions where the CPU multiplies bytes.
public struct SageAttention: TiledOperator {
    /// Options of the operator.
    public struct Configuration: OperatorConfiguration {
        /// Keys of a whole block: those that share a mean and scales.
        public var keyBlock: Int?
        /// Query rows of one task; `nil` takes what fits the caches.
        public var queryTile: Int?

        /// Blocks of 128 keys, tasks sized from the caches.
        public init() {}

        /// The options, for people.
        public static var options: [OptionDescription] {
            [
                OptionDescription(
                    "keyBlock", "keys that share a mean and scales, a multiple of 32 up to 512", default: "128"),
                OptionDescription("queryTile", "query rows of one task, from 1 up", default: "from the caches"),
            ]
        }
    }

    /// The largest error of the output, as a part of its largest magnitude and for each unit of the largest score more.
    ///
    /// Tests compare every case with it.
    static let error = 0.006

    /// Everything the tiled kernels honour but INT8 keys, whose scales are not those of a block.
    public static let capabilities: AttentionCapabilities = {
        var result = AttentionCapabilities.tiled(workingMemory: "O(1)", arithmetic: "O(L^2)")
        result.exactness = .quantised(error: error)
        result.features.remove(.int8Keys)
        // Which keys share a block matters, scores in bytes have a resolution, and so have values.
        result.traits.subtract([.keyOrderFree, .linearInValues, .anyScore])
        return result
    }()

    /// For people who choose.
    public static let guide = OperatorGuide(
        maths: """
            for each block j of keys, with its mean key k and the middle v of each channel of its values:
                S = scale · (sq ⊗ sk) (Q8 K8ᵀ) + scale · Q k,  modified    Q8 = round(Q / sq), K8 = round((K - k) / sk)
                m' = max(m, mⱼ),  mⱼ = max S;  P = exp(S - mⱼ)
                P8 = floor(255 P + dither)                                 V8 = round((V - v) / sv)
                O = exp(m - m') O + exp(mⱼ - m') (sv (P8 V8) / 255 + (Σ P) v)
                l = exp(m - m') l + exp(mⱼ - m') Σ P
            O = O / l;   L = m + log l
            """,
        choose: """
            For long sequences where an error of about one part in a hundred is harmless, as in serving models that were \
            trained in sixteen bits or fewer: about twice as fast as flash where the CPU multiplies bytes (avx512vnni). \
            On other instruction sets flash is as fast and exact; for training take flash.
            """,
        limits: """
            No Double. Rounding errors grow with the scores: look at the error on your own numbers (zoo advise, zoo bench) \
            before you rely on it. Only blocks that a row sees whole are rounded, so narrow windows and scattered masks \
            are computed in Float, at the speed of flash; so are up to 16 query rows. A score function that hides cells \
            by itself is not seen to do so: keys hidden that way still take part in their block's mean and scales. \
            Gradients are those of exact attention, with the rounded log-sum-exp and output (straight-through).
            """)

    /// The options in force.
    public let configuration: Configuration

    /// Checks the sizes.
    /// - Throws: ``AttentionCore/AttentionError/invalidOption(name:expected:actual:)``.
    public init(_ configuration: Configuration) throws(AttentionError) {
        if let keys = configuration.keyBlock, !(32...TileSizes.maximumKeys).contains(keys) || keys % 32 != 0 {
            throw .invalidOption(
                name: "keyBlock", expected: "a multiple of 32 up to \(TileSizes.maximumKeys)", actual: "\(keys)")
        }
        if let rows = configuration.queryTile, !(1...4096).contains(rows) {
            throw .invalidOption(name: "queryTile", expected: "from 1 to 4096", actual: "\(rows)")
        }
        self.configuration = configuration
    }

    /// One task for each key head and block of queries.
    public func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        var sizes = sizes(problem, context)
        let unit = context.kernels.tileRows.roundedUp(to: max(1, problem.group))
        return .fitting(context, rows: sizes.rows, unit: unit) { rows, context in
            sizes.rows = rows
            let scratch = SageScratch(problem, sizes: sizes, sharing: true, context: context)
            return .tiled(problem, sizes: sizes, sharing: true, scratchFloats: scratch.total, context: context)
        }
    }

    /// Runs the tasks.
    /// - Throws: ``AttentionCore/AttentionError`` when bias or mask do not broadcast.
    public func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        let problem = plan.problem
        let sizes = TileSizes(rows: plan.queryTile, keys: plan.keyTile)
        let scratch = SageScratch(problem, sizes: sizes, sharing: true, context: context)
        let tiled = try TiledAttention(inputs, problem: problem, layout: scratch.layout, context: context)
        return SageRun(tiled: tiled, scratch: scratch)
            .run(RowBlock.cut(problem, rows: sizes.rows, sharing: true), sinks: inputs.sinks)
    }

    /// Each task rounds every key again, so tasks have as many rows as half the second-level cache holds, and those of a
    /// sequence are of one size; threads still get several each.
    private func sizes(_ problem: AttentionProblem, _ context: ComputeContext) -> TileSizes {
        let kernels = context.kernels
        let keys = configuration.keyBlock ?? 128
        if let rows = configuration.queryTile {
            return TileSizes(rows: max(rows / problem.group, 1) * problem.group, keys: keys)
        }
        let floats = problem.headDim + problem.valueDim.roundedUp(to: kernels.panelWidth) + (problem.headDim + 3) / 4
        let fitting = CPUFacts.current.l2Bytes / 2 / (4 * floats)
        let rows = problem.queryLength * problem.group
        let share = problem.batch * problem.kvHeads * rows / (4 * context.threads)
        let most = max(8 * kernels.tileRows, min(1024, fitting, share))
        let tasks = (rows + most - 1) / most
        let even = ((rows + tasks - 1) / max(tasks, 1)).roundedUp(to: kernels.tileRows)
        return TileSizes(rows: max(even / problem.group, 1) * problem.group, keys: keys)
    }
}
