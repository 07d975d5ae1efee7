public import AttentionCore
public import Kernels

/// FlashAttention-2 (Dao, 2023, algorithm 1): blocks of keys and values stream past resident queries.
///
/// Each task keeps a block of queries of one head, their accumulators, running maxima and denominators in the caches.
/// No object grows with `queryLength · keyLength`. Tile sizes come from the caches; hidden tiles are skipped.
/// Cost: 4 · heads · visible pairs · headDim operations; working memory O(1) for each thread.
public struct FlashAttention: TiledOperator {
    /// Options of the operator.
    public struct Configuration: OperatorConfiguration {
        /// Keys of one step; `nil` takes what fits the caches.
        public var keyTile: Int?
        /// Query rows of one task; `nil` takes what fits the caches.
        public var queryTile: Int?

        /// Tiles sized from the caches.
        public init() {}

        /// The options, for people.
        public static var options: [OptionDescription] {
            [
                OptionDescription("keyTile", "keys of one step, from 1 to 512", default: "from the caches"),
                OptionDescription("queryTile", "query rows of one task, from 1 up", default: "from the caches"),
            ]
        }
    }

    /// Everything the tiled kernels honour.
    public static let capabilities = AttentionCapabilities.tiled(workingMemory: "O(1)", arithmetic: "O(L^2)")

    /// For people who choose.
    public static let guide = OperatorGuide(
        maths: """
            for each block of queries, resident, and each block j of keys:
                S = scale · Q Kⱼᵀ, modified;   m' = max(m, max S);   P = exp(S - m')
                l = exp(m - m') l + Σ P;       O = exp(m - m') O + P Vⱼ;   m = m'
            O = O / l;   L = m + log l
            """,
        choose: """
            By default: the quickest exact operator for one query head to each key head, with working memory that does \
            not grow. For query heads that share key heads, decoding above all, take grouped-query; for a window alone \
            local is the same machinery and says what it needs; for Double take full.
            """,
        limits: """
            No Double. Blocks that the mask hides are skipped, single hidden cells within a block are not: masks with \
            scattered holes cost what the blocks around them cost. Cost stays quadratic in the length.
            """)

    /// The options in force.
    public let configuration: Configuration

    /// Checks the tile sizes.
    /// - Throws: ``AttentionCore/AttentionError/invalidOption(name:expected:actual:)``.
    public init(_ configuration: Configuration) throws(AttentionError) {
        if let keys = configuration.keyTile, !(1...TileSizes.maximumKeys).contains(keys) {
            throw .invalidOption(name: "keyTile", expected: "from 1 to \(TileSizes.maximumKeys)", actual: "\(keys)")
        }
        if let rows = configuration.queryTile, !(1...4096).contains(rows) {
            throw .invalidOption(name: "queryTile", expected: "from 1 to 4096", actual: "\(rows)")
        }
        self.configuration = configuration
    }

    /// One task for each head and block of queries.
    public func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        .fitting(context, rows: rows(problem, context), unit: context.kernels.tileRows) { rows, context in
            plan(problem, rows: rows, context: context)
        }
    }

    /// The rows of a task where memory is not short.
    func rows(_ problem: AttentionProblem, _ context: ComputeContext) -> Int { sizes(problem, context).rows }

    /// The plan with tasks of so many rows.
    func plan(_ problem: AttentionProblem, rows: Int, context: ComputeContext) -> AttentionPlan {
        var sizes = sizes(problem, context)
        sizes.rows = rows
        let layout = BlockScratch(problem, sizes: sizes, sharesHeads: false, context: context)
        return .tiled(
            problem, sizes: sizes, sharing: false, scratchFloats: layout.total, context: context, packsOnce: true)
    }

    /// Runs the tasks.
    /// - Throws: ``AttentionCore/AttentionError`` when bias or mask do not broadcast.
    public func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        let tiled = try TiledAttention(inputs, plan: plan, sharesHeads: false, context: context)
        return tiled.run(RowBlock.cut(plan.problem, rows: plan.queryTile, sharing: false), sinks: inputs.sinks)
    }

    private func sizes(_ problem: AttentionProblem, _ context: ComputeContext) -> TileSizes {
        var sizes = TileSizes.tasks(problem, sharing: false, context: context)
        if let keys = configuration.keyTile {
            sizes.keys = keys.roundedUp(to: context.kernels.panelWidth)
            sizes.tunedKind = nil
        }
        if let rows = configuration.queryTile {
            sizes.rows = rows
            sizes.tunedKind = nil
        }
        return sizes
    }
}
