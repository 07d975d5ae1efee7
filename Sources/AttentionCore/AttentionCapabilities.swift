public import TensorCore

/// Whether an operator computes softmax attention itself or something near it.
public enum Exactness: Sendable, Hashable, Codable {
    /// The same mathematics as the reference, up to rounding.
    case exact
    /// Another mathematics, which becomes the reference in the limit that is stated.
    case approximate(limit: String)
    /// The mathematics of the reference on operands that are rounded to a few bits: off by no more than `error` of the
    /// largest magnitude of the result, and as much again for each unit of the largest score.
    case quantised(error: Double)
}

/// A law of softmax attention that an operator may or may not keep.
///
/// Tests prove the declared ones. An exact operator keeps all of them.
public enum AttentionTrait: String, Sendable, Hashable, Codable, CaseIterable {
    /// Scores pass through one softmax: adding a constant to a row of scores changes only its log-sum-exp, parts of the
    /// keys merge by it, and a sink is one more key.
    case softmax
    /// A row of the output is a weighted mean of values: constant values come out unchanged.
    case weightedMean = "weighted-mean"
    /// The order of the keys does not matter where no mask looks at it.
    case keyOrderFree = "key-order-free"
    /// A row depends on its own query alone, not on the other queries of the call.
    case rowIndependent = "row-independent"
    /// Scores grow to any size without harm.
    case anyScore = "any-score"
    /// Keys that no mask hides matter, however far.
    case seesEveryKey = "sees-every-key"
    /// The output is linear in the values.
    case linearInValues = "linear-in-values"
}

/// What an operator can do, declared once.
///
/// Reasons, documentation and the conformance suite all read this record.
public struct AttentionCapabilities: Sendable, Hashable {
    /// Element types of query, key and value.
    public var dtypes: [DType]
    /// Allowed extents of a query head.
    public var headDims: ClosedRange<Int>
    /// Parts of a problem beyond plain attention that the operator honours.
    public var features: Set<AttentionFeature>
    /// Exact, or approximate with its limit.
    public var exactness: Exactness
    /// Working memory beyond the output, in the field's notation, with L the length: for example `O(sqrt L)`.
    public var workingMemory: String
    /// Arithmetic, in the same notation.
    public var arithmetic: String
    /// Whether gradients exist.
    public var hasGradients: Bool
    /// Laws of softmax attention that the operator's mathematics keeps.
    public var traits: Set<AttentionTrait>

    /// A record of facts.
    public init(
        dtypes: [DType], headDims: ClosedRange<Int>, features: Set<AttentionFeature>, exactness: Exactness,
        workingMemory: String, arithmetic: String, hasGradients: Bool = false,
        traits: Set<AttentionTrait> = Set(AttentionTrait.allCases)
    ) {
        self.dtypes = dtypes
        self.headDims = headDims
        self.features = features
        self.exactness = exactness
        self.workingMemory = workingMemory
        self.arithmetic = arithmetic
        self.hasGradients = hasGradients
        self.traits = traits
    }

    /// What a reason says when the operator has nothing to add.
    static let plainRefusal = "is not supported"

    /// What this record forbids in a problem: one reason for each feature that the problem uses and the record lacks.
    public func unsupportedReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        var reasons: [UnsupportedReason] = []
        if !dtypes.contains(problem.dtype) {
            let names = dtypes.map(\.rawValue).joined(separator: ", ")
            reasons.append(.init(.dtype, "holds \(problem.dtype.rawValue)", remedy: "convert to one of \(names)"))
        }
        if !headDims.contains(problem.headDim) {
            reasons.append(
                .init(
                    .headDim, "is \(problem.headDim)",
                    remedy: "use a head dimension from \(headDims.lowerBound) to \(headDims.upperBound)"))
        }
        for feature in problem.features.subtracting(features).sorted(by: { $0.rawValue < $1.rawValue }) {
            reasons.append(.init(feature, Self.plainRefusal, remedy: feature.remedy(in: problem)))
        }
        return reasons
    }
}

extension AttentionFeature {
    /// The nearest problem without the feature.
    fileprivate func remedy(in problem: AttentionProblem) -> String {
        switch self {
        case .groupedQuery: "use \(problem.heads) key heads"
        case .valueDim: "use a value head of \(problem.headDim)"
        case .crossLength: "use as many keys as queries"
        case .causal: "set causal to false"
        case .window: "leave window out"
        case .maskAlgebra: "use causal, window or both"
        case .denseMask: "leave the mask tensor out"
        case .keyLengths, .queryLengths: "run sequences of different lengths one by one"
        case .dropout: "set dropout to 0"
        case .documents: "run the documents one by one"
        case .treeMask, .blockLayout, .maskFunction: "use causal, window or both"
        case .scoreFunction: "leave the score function out"
        case .gradients: "leave gradients out"
        case .memory: "allow more bytes"
        case .int8Keys: "convert keys and values to \(problem.dtype.rawValue), multiplied by their scales"
        case .pages: "gather the keys and values of each sequence, or use paged"
        case .dtype, .headDim, .bias, .softcap, .alibi, .sinks, .logSumExp, .configuration: "leave \(rawValue) out"
        }
    }
}
