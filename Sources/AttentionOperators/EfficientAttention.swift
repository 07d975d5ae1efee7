public import AttentionCore
import Kernels
import TensorCore

/// Efficient Attention (Shen et al., 2018, equation 4): `softmax_features(Q) (softmax_tokens(K)ᵀ V)`.
///
/// The keys and values of a sequence become one matrix `[headDim, valueDim]`, which every query reads: no scores. Under a
/// causal mask the softmax over tokens, its maximum and the matrix run along the sequence (``FastRecurrence``).
/// Cost: 4 · heads · length · headDim · valueDim operations; memory O(length · headDim) for each thread.
public struct EfficientAttention: DenseOperator {
    /// The operator has no options of its own.
    public typealias Configuration = NoConfiguration

    /// Facts.
    public static let capabilities = AttentionCapabilities.dense(
        adding: [.causal], limit: "keys that are all equal, where both are the mean of the values",
        workingMemory: "O(L)", arithmetic: "O(L)",
        traits: Set(AttentionTrait.allCases).subtracting([.softmax]))

    /// For people who choose.
    public static let guide = OperatorGuide(
        maths: """
            ρ(Q) = softmax of each row of Q, over its features
            ρ(K) = softmax of each column of K, over the tokens
            O    = ρ(Q) (ρ(K)ᵀ V)                 [headDim, valueDim] instead of [L, n]
            causal: row i takes the softmax of each column over the keys it sees
            """,
        choose: """
            For models trained with it, on sequences of any length: nothing is random or learned and time is linear, \
            causal too. It is no approximation of softmax attention for weights trained with that; for those take favor.
            """,
        limits: """
            Queries and keys meet only through features, so a query cannot single out one key. A scale has no meaning: \
            both pass a softmax of their own. Masks other than causal are refused. There is no log-sum-exp.
            """)

    /// The options in force.
    public let configuration: NoConfiguration

    /// An operator without options.
    public init(_ configuration: NoConfiguration) { self.configuration = configuration }

    /// The declared facts; a scale is refused.
    public func unsupportedReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        var reasons = capabilities.unsupportedReasons(for: problem)
        if problem.options.scale != nil {
            reasons.append(
                UnsupportedReason(
                    .configuration, "scale has no meaning: queries and keys pass a softmax of their own",
                    remedy: "leave scale out"))
        }
        return reasons
    }

    func build<Number: DenseScalar>(_ task: DenseTask<Number>) -> DenseNode<Number> {
        let tape = task.tape
        let weights = tape.rowSoftmax(task.query)
        if let ends = task.ends {
            return tape.causalMix(weights, logits: task.key, values: task.value, ends: ends)
        }
        let context = tape.multiply(tape.columnSoftmax(task.key).softmax, transposeA: true, task.value)
        return tape.multiply(weights, context)
    }
}
