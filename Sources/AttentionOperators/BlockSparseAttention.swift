public import AttentionCore
import Kernels

/// Block-sparse attention (Child et al., Generating Long Sequences with Sparse Transformers, 2019, section 5.5): softmax
/// attention over kept blocks of the score matrix.
///
/// Operands [batch, length, heads, headDim] of any lengths; the last blocks may be cut. A layout says which blocks each
/// block of queries sees, for all heads or for each; inside kept blocks the problem's mask still applies. Each task takes
/// a block of queries, lists its key blocks and computes several of them as one, neighbours or not.
/// Cost: 4 · heads · density · queryLength · keyLength · headDim operations; working memory O(1) for each thread beside
/// the list of kept blocks and at most 16 MiB, or one head's keys and values, of packed operands.
public struct BlockSparseAttention: PatternedOperator {
    /// Options of the operator.
    public struct Configuration: OperatorConfiguration {
        /// Positions of a block along each side.
        public var blockSize = 64
        /// A named rule; `nil` leaves the blocks to ``layout`` or to the mask.
        public var pattern: BlockPattern?
        /// Kept blocks, cell by cell; `nil` leaves them to ``pattern`` or to the mask.
        public var layout: BlockCells?

        /// Blocks of 64, kept as the problem's mask has it.
        public init() {}

        /// Options.
        public init(blockSize: Int = 64, pattern: BlockPattern? = nil, layout: BlockCells? = nil) {
            self.blockSize = blockSize
            self.pattern = pattern
            self.layout = layout
        }

        /// The options, for people.
        public static var options: [OptionDescription] {
            [
                OptionDescription("blockSize", "positions of a block, from 16 to 128", default: "64"),
                OptionDescription(
                    "pattern",
                    "a rule for the kept blocks, such as `{\"name\": \"bigbird\", \"windowBlocks\": 1}`; names: "
                        + BlockPattern.names.joined(separator: ", ") + "; draws by the common option `seed`",
                    default: "blocks that the mask lets through"),
                OptionDescription(
                    "layout", "kept blocks as 0 and 1, `[query blocks][key blocks]` or one such matrix for each head",
                    default: "none"),
            ]
        }
    }

    /// Everything the tiled kernels honour but INT8 keys.
    public static let capabilities: AttentionCapabilities = {
        var result = AttentionCapabilities.tiled(workingMemory: "O(L)", arithmetic: "O(density · L^2)")
        result.features.remove(.int8Keys)
        return result
    }()

    /// The page of the operator.
    public static let guide = OperatorGuide(
        maths: """
            Positions are cut into blocks of b. S_i is the set of key blocks that query block i keeps.
            For a query q_t of block i:  o_t = sum_j softmax_j(q_t · k_j / sqrt(d)) v_j  over the keys j of the blocks in
            S_i that the mask allows. density = sum_i |S_i| / (query blocks · key blocks); a row without a key is 0.
            """,
        choose: """
            Choose it for long sequences when a sparse layout is known: from training (BigBird, Longformer, Sparse
            Transformer), from the data (images, documents) or from pruning. It computes what full attention computes when
            all blocks are kept. For one window around the diagonal `local` does the same; for patterns that are not made
            of blocks see `factorized`, `random` and `global`.
            """,
        limits: """
            Whole blocks are computed: a pattern by token pays for every block that it touches. Blocks below 64 leave
            register tiles partly empty and read keys more often. A literal layout must have exactly the blocks of the
            problem, and a grid exactly its positions.
            """)

    /// The options in force.
    public let configuration: Configuration

    /// Checks the options.
    /// - Throws: ``AttentionCore/AttentionError/invalidOption(name:expected:actual:)``.
    public init(_ configuration: Configuration) throws(AttentionError) {
        guard (16...128).contains(configuration.blockSize) else {
            throw .invalidOption(name: "blockSize", expected: "from 16 to 128", actual: "\(configuration.blockSize)")
        }
        if configuration.pattern != nil, configuration.layout != nil {
            throw .invalidOption(name: "layout", expected: "a pattern or a layout, not both", actual: "both")
        }
        try configuration.pattern?.validate()
        self.configuration = configuration
    }

    /// What the kernels cannot do, and layouts and grids that do not fit the problem.
    public func unsupportedReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        var reasons = Self.capabilities.unsupportedReasons(for: problem)
        if let layout = configuration.layout {
            let blocks = (count(problem.queryLength), count(problem.keyLength))
            if layout.queryBlocks != blocks.0 || layout.keyBlocks != blocks.1 {
                reasons.append(
                    .init(
                        .configuration, "layout has [\(layout.queryBlocks), \(layout.keyBlocks)] blocks",
                        remedy: "give [\(blocks.0), \(blocks.1)] blocks of \(configuration.blockSize)"))
            }
            if layout.heads != 1, layout.heads != problem.heads {
                reasons.append(
                    .init(
                        .configuration, "layout has \(layout.heads) heads", remedy: "give 1 or \(problem.heads) heads"))
            }
        }
        if let grid = configuration.pattern?.grid,
            grid.height * grid.width != problem.queryLength || problem.queryLength != problem.keyLength
        {
            reasons.append(
                .init(
                    .configuration,
                    "grid of \(grid.height) by \(grid.width) does not hold \(problem.queryLength) queries and "
                        + "\(problem.keyLength) keys",
                    remedy: "give a grid of as many positions as queries and keys"))
        }
        return reasons
    }

    /// The kept blocks of the pattern or the layout; the full mask when the problem's mask alone decides.
    public func pattern(for problem: AttentionProblem) -> AttentionMask {
        if let layout = configuration.layout {
            return (try? layout.layout(blockSize: configuration.blockSize)).map { .blocks($0) } ?? .full
        }
        guard let pattern = configuration.pattern else { return .full }
        // The parameters were checked when the operator was made.
        let layout = try? pattern.layout(
            blockSize: configuration.blockSize, queryLength: problem.queryLength, keyLength: problem.keyLength,
            heads: problem.heads, seed: problem.options.seed)
        return layout.map { .blocks($0) } ?? .full
    }

    /// The part of all blocks that some query of a sequence sees, from 0 to 1: the layout's and the mask's together.
    ///
    /// Cost: O(blocks of the score matrix · heads) at most.
    public func density(for problem: AttentionProblem, sequence: Int = 0) -> Double {
        let whole = problem.narrowed(by: pattern(for: problem))
        return KeyBlockIndex(whole.options.mask, blockSize: blockSize(for: problem))
            .density(problem.geometry(sequence), heads: problem.heads)
    }

    func run(_ problem: AttentionProblem) -> PatternedRun {
        PatternedRun(problem, pattern: pattern(for: problem), blockSize: blockSize(for: problem))
    }

    /// The blocks of a layout in the problem's mask where the operator has none of its own.
    private func blockSize(for problem: AttentionProblem) -> Int {
        guard configuration.pattern == nil, configuration.layout == nil, let size = problem.options.mask.blockSize,
            (16...128).contains(size)
        else { return configuration.blockSize }
        return size
    }

    private func count(_ length: Int) -> Int { (length + configuration.blockSize - 1) / configuration.blockSize }
}
