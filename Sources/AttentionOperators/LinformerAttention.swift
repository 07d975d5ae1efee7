public import AttentionCore
import Kernels
import TensorCore

/// Linformer (Wang et al., 2020, equation 7): `softmax(scale · Q (E K)ᵀ) (F V)` with learned projections of the sequence.
///
/// `E` and `F` `[rank, keyLength]`, shared by all heads, turn the keys and values of a sequence into `rank` of each. A
/// shorter sequence uses their first columns alone, so padding never enters.
/// Cost: 4 · heads · (queryLength + keyLength) · rank · headDim operations; memory O(queryLength · rank) for each thread.
public struct LinformerAttention: DenseOperator {
    /// Options of the operator.
    public struct Configuration: OperatorConfiguration {
        /// Rows of the projections.
        public var rank: Int?

        /// 128 projected keys.
        public init() {}

        /// The options, for people.
        public static var options: [OptionDescription] {
            [OptionDescription("rank", "projected keys and values, from 1 up", default: "128")]
        }
    }

    /// Facts.
    public static let capabilities = AttentionCapabilities.dense(
        limit: "rank = key length with E = F = identity", workingMemory: "O(L)", arithmetic: "O(L)",
        traits: [.rowIndependent, .anyScore, .seesEveryKey, .linearInValues])

    /// For people who choose.
    public static let guide = OperatorGuide(
        maths: """
            K' = E K                              E [r, n], shared by all heads
            V' = F V                              F [r, n]
            O  = softmax(scale · Q K'ᵀ) V'        [L, r] scores instead of [L, n]
            """,
        choose: """
            For encoders whose sequences have one length, trained with the projections: time and memory are linear in \
            the length, and the products are as regular as those of full attention. An untrained projection averages \
            segments of the sequence, which blurs. For decoders take favor or local, for lengths that vary nystrom.
            """,
        limits: """
            The projections belong to a key length: a model made for n keys runs shorter sequences with their first \
            columns, never longer ones. No mask can be honoured, not even a causal one, since each projected key mixes \
            keys from the whole sequence. There is no log-sum-exp: the denominator runs over projected keys.
            """)

    /// The options in force.
    public let configuration: Configuration

    /// Checks the rank.
    /// - Throws: ``AttentionCore/AttentionError/invalidOption(name:expected:actual:)``.
    public init(_ configuration: Configuration) throws(AttentionError) {
        if let rank = configuration.rank, rank < 1 {
            throw .invalidOption(name: "rank", expected: "from 1 up", actual: "\(rank)")
        }
        self.configuration = configuration
    }

    private var rank: Int { configuration.rank ?? 128 }

    /// The declared facts, with the reason why nothing can be causal.
    public func unsupportedReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        capabilities.unsupportedReasons(for: problem)
            .explaining(.causal, "cannot be honoured: each projected key mixes keys from the whole sequence")
    }

    /// The two projections.
    public func parameters(for problem: AttentionProblem) -> [OperatorParameter] {
        let shape = Shape([rank, problem.keyLength])
        return [
            OperatorParameter(
                "key-projection", shape: shape, initial: .segmentMeans, summary: "E: projected keys from keys"),
            OperatorParameter(
                "value-projection", shape: shape, initial: .segmentMeans, summary: "F: projected values from values"),
        ]
    }

    func build<Number: DenseScalar>(_ task: DenseTask<Number>) -> DenseNode<Number> {
        let tape = task.tape
        let columns = 0..<task.keys
        let keys = tape.multiply(tape.part(task.parameter("key-projection"), columns: columns), task.key)
        let values = tape.multiply(tape.part(task.parameter("value-projection"), columns: columns), task.value)
        let scores = tape.multiply(task.query, keys, transposeB: true, alpha: task.scale)
        return tape.multiply(tape.rowSoftmax(scores), values)
    }
}
