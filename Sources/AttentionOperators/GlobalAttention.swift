public import AttentionCore
import Kernels

/// Global attention (Beltagy et al., Longformer, 2020, section 3.1, without the window; xFormers' `global`): a few tokens
/// see everything and are seen by everyone.
///
/// Operands [batch, length, heads, headDim] of any lengths. Blocks without a global query or key are never computed.
/// Cost: O(tokens · L) and whole blocks of 64 around the tokens; working memory O(1) for each thread beside the list of
/// blocks.
public struct GlobalAttention: PatternedOperator {
    /// Options of the operator.
    public struct Configuration: OperatorConfiguration {
        /// Positions of global tokens; `nil` takes the first ``count``.
        public var tokens: [Int]?
        /// How many of the first positions are global; `nil` is 1 unless ``tokens`` is given.
        public var count: Int?
        /// Whether every query also sees its own place.
        public var own = false

        /// The first token.
        public init() {}

        /// Options.
        public init(tokens: [Int]? = nil, count: Int? = nil, own: Bool = false) {
            self.tokens = tokens
            self.count = count
            self.own = own
        }

        /// The options, for people.
        public static var options: [OptionDescription] {
            [
                OptionDescription("tokens", "positions of global tokens, from 0 up", default: "the first `count`"),
                OptionDescription("count", "how many of the first positions are global", default: "1"),
                OptionDescription("own", "whether every query also sees its own place", default: "false"),
            ]
        }
    }

    /// Everything the tiled kernels honour.
    public static let capabilities = AttentionCapabilities.patterned(
        workingMemory: "O(L)", arithmetic: "O(tokens · L)")

    /// The page of the operator.
    public static let guide = OperatorGuide(
        maths: """
            G is the set of global positions; p_t is the place of query t among the keys.
            o_t = sum_j softmax_j(q_t · k_j / sqrt(d)) v_j  over every j if p_t is in G, else over j in G.
            """,
        choose: """
            Choose it beside another operator, or for the part that summary tokens play. Alone it carries information only
            through the global tokens. `block-sparse` with the pattern longformer or bigbird joins it with a window.
            """,
        limits: """
            Other queries see the global keys and nothing else, not even their own place unless own is true. A mask narrows
            the pattern: under a causal mask a query before the first global token sees nothing and comes out 0.
            """)

    /// The options in force.
    public let configuration: Configuration
    private let tokens: [Int]

    /// Checks the options.
    /// - Throws: ``AttentionCore/AttentionError/invalidOption(name:expected:actual:)``.
    public init(_ configuration: Configuration) throws(AttentionError) {
        if configuration.tokens != nil, configuration.count != nil {
            throw .invalidOption(name: "count", expected: "tokens or a count, not both", actual: "both")
        }
        if let bad = configuration.tokens?.first(where: { $0 < 0 }) {
            throw .invalidOption(name: "tokens", expected: "positions from 0 up", actual: "\(bad)")
        }
        guard (0...1 << 20).contains(configuration.count ?? 1) else {
            throw .invalidOption(
                name: "count", expected: "from 0 to \(1 << 20)", actual: "\(configuration.count ?? 1)")
        }
        self.configuration = configuration
        tokens = configuration.tokens.map { Set($0).sorted() } ?? Array(0..<(configuration.count ?? 1))
    }

    /// Pairs with a global query or a global key.
    public func pattern(for problem: AttentionProblem) -> AttentionMask {
        TokenPattern.global(tokens: tokens, own: configuration.own).mask
    }

    /// The part of all pairs that queries see, from 0 to 1.
    ///
    /// Cost: O(queryLength · keyLength).
    public func density(for problem: AttentionProblem) -> Double { run(problem).density }

    func run(_ problem: AttentionProblem) -> PatternedRun {
        PatternedRun(problem, pattern: pattern(for: problem))
    }
}
