/// Why an operator cannot run a problem, as data.
public struct UnsupportedReason: Sendable, Hashable, Codable, CustomStringConvertible {
    /// The part of the problem that stands in the way.
    public let aspect: AttentionFeature
    /// What the operator needs, and what came.
    public let explanation: String
    /// The nearest change of the problem that would make it run, where there is one.
    public let remedy: String?
    /// The bytes in question, where it is ``AttentionFeature/memory`` that stands in the way.
    public let shortage: MemoryShortage?

    /// A reason.
    public init(
        _ aspect: AttentionFeature, _ explanation: String, remedy: String? = nil, shortage: MemoryShortage? = nil
    ) {
        self.aspect = aspect
        self.explanation = explanation
        self.remedy = remedy
        self.shortage = shortage
    }

    /// For example `window: left is unlimited; set window to [255, 0]`.
    public var description: String {
        "\(aspect.rawValue): \(explanation)" + (remedy.map { "; \($0)" } ?? "")
    }
}

/// The parts of a problem that an operator may or may not be able to honour.
public enum AttentionFeature: String, Sendable, Hashable, Codable, CaseIterable {
    /// The element type of query, key and value.
    case dtype
    /// The extent of a head.
    case headDim = "head-dim"
    /// A value head that is not as wide as a query head.
    case valueDim = "value-dim"
    /// Fewer key heads than query heads.
    case groupedQuery = "grouped-query"
    /// A causal mask, either corner.
    case causal
    /// A window around the diagonal.
    case window
    /// A mask expression that is not a band of diagonals.
    case maskAlgebra = "mask-algebra"
    /// A Bool mask tensor.
    case denseMask = "dense-mask"
    /// Padded keys: a true key length per sequence.
    case keyLengths = "key-lengths"
    /// Padded queries: a true query length per sequence.
    case queryLengths = "query-lengths"
    /// A tensor added to the scores.
    case bias
    /// Scores squashed by `softcap · tanh(score / softcap)`.
    case softcap
    /// A penalty linear in distance, one slope per head.
    case alibi
    /// One extra score per head that only enters the denominator.
    case sinks
    /// Randomly dropped probabilities.
    case dropout
    /// The logarithm of each row's denominator as a second output.
    case logSumExp = "log-sum-exp"
    /// The operator's own options.
    case configuration
    /// Different numbers of queries and keys.
    case crossLength = "cross-length"
    /// Documents packed into one sequence.
    case documents
    /// A tree of guesses behind a context.
    case treeMask = "tree-mask"
    /// A mask of kept blocks.
    case blockLayout = "block-layout"
    /// A mask written in Swift.
    case maskFunction = "mask-function"
    /// A change of scores written in Swift.
    case scoreFunction = "score-function"
    /// INT8 keys and values with a scale for each key and head.
    case int8Keys = "int8-keys"
    /// Keys and values in pages.
    case pages
    /// Derivatives of a loss by the operands.
    case gradients
    /// The bytes that a call may hold at its peak.
    case memory
}

extension AttentionFeature {
    /// What a problem with the feature asks for, in a few words.
    public var summary: String {
        switch self {
        case .dtype: "element types"
        case .headDim: "extents of a head"
        case .valueDim: "value heads of another extent than query heads"
        case .groupedQuery: "fewer key heads than query heads (GQA, MQA)"
        case .causal: "causal mask, either corner"
        case .window: "window around the diagonal"
        case .maskAlgebra: "prefixes, shifts, and masks joined by or and not"
        case .denseMask: "Bool mask tensor"
        case .keyLengths: "padded keys"
        case .queryLengths: "padded queries"
        case .bias: "additive bias"
        case .softcap: "softcap on the scores"
        case .alibi: "ALiBi slopes"
        case .sinks: "attention sinks"
        case .dropout: "dropout"
        case .logSumExp: "log-sum-exp as a second output"
        case .configuration: "options of its own"
        case .crossLength: "different numbers of queries and keys"
        case .documents: "documents packed into one sequence"
        case .treeMask: "tree of guesses behind a context"
        case .blockLayout: "mask of kept blocks"
        case .maskFunction: "mask written in Swift"
        case .scoreFunction: "change of scores written in Swift"
        case .int8Keys: "INT8 keys and values with a scale for each key and head"
        case .pages: "keys and values in pages"
        case .gradients: "gradients"
        case .memory: "bytes at the peak"
        }
    }
}
