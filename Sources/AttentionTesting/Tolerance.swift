public import AttentionCore
import TensorCore

/// How far a result may be from the truth, and how far it is.
///
/// What is allowed is ``AttentionCore/ErrorLimit``: twice the error of a plain Float implementation, and a floor.
public struct Tolerance: Sendable {
    /// The Double reference.
    public let truth: AttentionOutput
    /// The Float reference.
    public let plain: AttentionOutput
    private let exactness: Exactness
    /// The largest magnitude of the scores, where the operator has no log-sum-exp that tells.
    private let otherScores: Double

    /// The largest error of an operand against its limit.
    public struct Excess: Sendable, Hashable {
        /// `output` or `logSumExp`.
        public let operand: String
        /// The largest absolute difference from the Double reference.
        public let error: Double
        /// What is allowed.
        public let limit: Double
        /// ``error`` as a part of ``limit``; above 1 is a failure.
        public var ratio: Double { limit == 0 ? (error == 0 ? 0 : .infinity) : error / limit }
    }

    /// Computes both references.
    ///
    /// Cost: two materialised attentions.
    /// - Throws: ``AttentionCore/AttentionError`` when the operands do not fit each other.
    public init(_ inputs: AttentionInputs, options: AttentionOptions) throws(AttentionError) {
        exactness = .exact
        otherScores = 0
        truth = try DenseReference.forward(inputs, options: options, precision: .double)
        plain = try DenseReference.forward(inputs, options: options, precision: .float)
    }

    /// Computes both references of an operator.
    ///
    /// Cost: two materialised attentions.
    /// - Throws: ``AttentionCore/AttentionError`` when the operands do not fit each other.
    public init(
        _ configured: ConfiguredOperator, _ inputs: AttentionInputs, options: AttentionOptions
    ) throws(AttentionError) {
        exactness = configured.capabilities.exactness
        otherScores = try Self.scores(configured, inputs, options)
        truth = try configured.reference(inputs, options: options, precision: .double)
        plain = try configured.reference(inputs, options: options, precision: .float)
    }

    /// The magnitude of the scores of an operator without a log-sum-exp: that of softmax attention stands in.
    static func scores(
        _ configured: ConfiguredOperator, _ inputs: AttentionInputs, _ options: AttentionOptions
    ) throws(AttentionError) -> Double {
        if configured.capabilities.features.contains(.logSumExp) { return 0 }
        return try DenseReference.forward(inputs, options: options, precision: .double).logSumExp.map(magnitude) ?? 0
    }

    /// Tolerances around references that are at hand.
    public init(truth: AttentionOutput, plain: AttentionOutput) {
        exactness = .exact
        otherScores = 0
        self.truth = truth
        self.plain = plain
    }

    /// The errors of a result.
    public func errors(of result: AttentionOutput) -> [Excess] {
        let scores = truth.logSumExp.map(Self.magnitude) ?? otherScores
        var excesses = [compare("output", result.output, truth.output, plain.output, scores: scores)]
        if let ours = result.logSumExp, let expected = truth.logSumExp, let float = plain.logSumExp {
            excesses.append(compare("logSumExp", ours, expected, float, scores: 0))
        }
        return excesses
    }

    /// The largest finite magnitude.
    private static func magnitude(_ tensor: Tensor) -> Double {
        tensor.doubles().reduce(0) { $1.isFinite ? max($0, abs($1)) : $0 }
    }

    private func compare(
        _ operand: String, _ ours: Tensor, _ truth: Tensor, _ plain: Tensor, scores: Double
    ) -> Excess {
        guard let error = try? ours.maxAbsoluteDifference(truth), let float = try? plain.maxAbsoluteDifference(truth)
        else { return Excess(operand: operand, error: .infinity, limit: 0) }
        return Excess(
            operand: operand, error: error,
            limit: ErrorLimit.allowed(
                floatError: float, magnitude: Self.magnitude(truth), scores: scores, stored: ours.dtype,
                exactness: exactness))
    }
}
