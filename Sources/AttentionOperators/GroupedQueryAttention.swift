public import AttentionCore
public import Kernels

/// Grouped-query attention (Ainslie et al., 2023): multi-head, grouped and multi-query attention in one.
///
/// All query heads that share a key head form one task, so a key and a value are packed and read once for the group.
/// With few queries and many keys (decoding) the keys are cut into fixed ranges that run side by side and are merged in
/// order by their log-sum-exp; the cut depends on the sequence alone, so results do not change with threads or batch.
/// Cost: 4 · heads · visible pairs · headDim operations; working memory O(1) for each thread, and O(keys) partial
/// results when keys are cut.
public struct GroupedQueryAttention: TiledOperator {
    /// Options of the operator.
    public struct Configuration: OperatorConfiguration {
        /// Keys of one range when few queries meet many keys.
        public var keySplit: Int

        /// Ranges of 2048 keys.
        public init() { keySplit = 2048 }

        /// Decodes, with the default for an absent key.
        public init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            keySplit = try container.decodeIfPresent(Int.self, forKey: .keySplit) ?? Configuration().keySplit
        }

        /// The options, for people.
        public static var options: [OptionDescription] {
            [
                OptionDescription(
                    "keySplit", "keys of one range when at most 64 query rows share a key head, from 64 up",
                    default: "2048")
            ]
        }
    }

    /// Everything the tiled kernels honour.
    public static let capabilities = AttentionCapabilities.tiled(workingMemory: "O(1)", arithmetic: "O(L^2)")

    /// For people who choose.
    public static let guide = OperatorGuide(
        maths: """
            G = heads / kvHeads query heads share a key head:
            O[h] = softmax(scale · Q[h] K[h / G]ᵀ) V[h / G]
            few queries, many keys: ranges r of keys apart, then  L = log Σ exp Lᵣ;   O = Σ exp(Lᵣ - L) Oᵣ
            """,
        choose: """
            For models with fewer key heads than query heads (GQA, MQA), and for decoding: a key and a value are read \
            once for the whole group, and with few queries the keys are cut so that every core has work. With as many \
            key heads as query heads flash does the same.
            """,
        limits: """
            No Double. The cut of the keys is fixed by the sequence alone, so that results never depend on threads or \
            batch; more threads than ranges find no work when a single query is decoded.
            """)

    /// The options in force.
    public let configuration: Configuration

    /// Query rows of a group up to which its keys are cut: more rows keep the cores busy by themselves.
    private static let splitRows = 64

    /// Checks the split.
    /// - Throws: ``AttentionCore/AttentionError/invalidOption(name:expected:actual:)``.
    public init(_ configuration: Configuration) throws(AttentionError) {
        guard configuration.keySplit >= 64 else {
            throw .invalidOption(name: "keySplit", expected: "64 or more keys", actual: "\(configuration.keySplit)")
        }
        self.configuration = configuration
    }

    /// One task for each key head and block of queries.
    public func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        .sharing(problem, context: context) { sizes, layout in
            split(keyTile: sizes.keys).partialResults(
                problem, layout, RowBlock.cut(problem, rows: sizes.rows, sharing: true))
        }
    }

    /// Runs the tasks.
    /// - Throws: ``AttentionCore/AttentionError`` when bias or mask do not broadcast.
    public func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        let tiled = try TiledAttention(inputs, plan: plan, sharesHeads: true, context: context)
        let blocks = RowBlock.cut(plan.problem, rows: plan.queryTile, sharing: true)
        return split(keyTile: plan.keyTile).run(tiled, blocks, sinks: inputs.sinks)
    }

    private func split(keyTile: Int) -> SplitKeys {
        SplitKeys(keys: configuration.keySplit.roundedUp(to: keyTile), rows: Self.splitRows)
    }
}
