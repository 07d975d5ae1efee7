public import AttentionCore
import Kernels

/// Random attention (xFormers' `random`): softmax attention over pairs drawn at random.
///
/// Operands [batch, length, heads, headDim] of any lengths. Each pair is kept with probability `density` by a counter-based
/// hash of seed, head, query and key, so nothing is stored and the same seed gives the same pairs whatever the batch, the
/// tiles or the threads; a query's own place is always kept, so that no row is empty. With `blockSize` whole blocks are
/// drawn, and the others are never computed.
/// Cost: O(L^2) by token, O(density · L^2) by blocks; working memory O(1) for each thread beside the list of blocks.
public struct RandomAttention: PatternedOperator {
    /// Options of the operator.
    public struct Configuration: OperatorConfiguration {
        /// The probability of keeping a pair.
        public var density = 0.1
        /// Positions of a block; `nil` draws pair by pair.
        public var blockSize: Int?

        /// A tenth of the pairs, drawn one by one.
        public init() {}

        /// Options.
        public init(density: Double = 0.1, blockSize: Int? = nil) {
            self.density = density
            self.blockSize = blockSize
        }

        /// The options, for people.
        public static var options: [OptionDescription] {
            [
                OptionDescription("density", "probability of keeping a pair, from 0 to 1", default: "0.1"),
                OptionDescription(
                    "blockSize", "positions of the blocks that are drawn, from 16 to 128", default: "pair by pair"),
            ]
        }
    }

    /// Everything the tiled kernels honour.
    public static let capabilities = AttentionCapabilities.patterned(
        workingMemory: "O(L)", arithmetic: "O(L^2), O(density · L^2) by blocks")

    /// The page of the operator.
    public static let guide = OperatorGuide(
        maths: """
            R = {(t, j) : u(seed, head, t, j) < density} and every (t, t);  u is uniform and a function of its arguments.
            o_t = sum_j softmax_j(q_t · k_j / sqrt(d)) v_j  over j with (t, j) in R that the mask allows.
            """,
        choose: """
            Choose it as the baseline that any designed pattern must beat, and for tests of what attention needs to see.
            With blockSize it is as fast as its density; `block-sparse` joins random blocks with windows and global
            tokens (BigBird), which is what models are trained with.
            """,
        limits: """
            Pair by pair nearly every block holds some kept pair, so nothing is saved. The pattern is drawn by the common
            option seed, which dropout shares. A row may keep no pair that a causal mask allows but its own place.
            """)

    /// The options in force.
    public let configuration: Configuration

    /// Checks the options.
    /// - Throws: ``AttentionCore/AttentionError/invalidOption(name:expected:actual:)``.
    public init(_ configuration: Configuration) throws(AttentionError) {
        guard configuration.density >= 0, configuration.density <= 1 else {
            throw .invalidOption(name: "density", expected: "from 0 to 1", actual: "\(configuration.density)")
        }
        if let size = configuration.blockSize, !(16...128).contains(size) {
            throw .invalidOption(name: "blockSize", expected: "from 16 to 128", actual: "\(size)")
        }
        self.configuration = configuration
    }

    /// The pairs, or blocks, that the seed draws.
    public func pattern(for problem: AttentionProblem) -> AttentionMask {
        guard let blockSize = configuration.blockSize else {
            return TokenPattern.random(density: configuration.density, seed: problem.options.seed).mask
        }
        // The parameters were checked when the operator was made.
        let layout = try? BlockPattern.random(density: configuration.density, perHead: true).layout(
            blockSize: blockSize, queryLength: problem.queryLength, keyLength: problem.keyLength, heads: problem.heads,
            seed: problem.options.seed)
        return layout.map { .blocks($0) } ?? .full
    }

    /// The part of all pairs that queries see, from 0 to 1.
    ///
    /// Cost: O(heads · queryLength · keyLength).
    public func density(for problem: AttentionProblem) -> Double { run(problem).density }

    func run(_ problem: AttentionProblem) -> PatternedRun {
        PatternedRun(problem, pattern: pattern(for: problem), blockSize: configuration.blockSize ?? 64)
    }
}
