public import AttentionCore
import TensorCore

/// Compares gradients with those of an operator's reference, in Double and in Float.
///
/// What is allowed is ``AttentionCore/ErrorLimit``, as for outputs: twice the error of the Float reference's gradients, and
/// a floor.
public struct GradientCheck: Sendable {
    /// The comparison of one operand's gradient.
    public struct Verdict: Sendable, Hashable, Codable {
        /// The operand, for example `query` or `parameter key-projection`.
        public var operand: String
        /// The largest absolute difference from the Double reference.
        public var maxError: Double
        /// The same of the Float reference.
        public var floatError: Double
        /// What is allowed.
        public var tolerance: Double

        /// Whether the error is within its tolerance; a NaN is not.
        public var passed: Bool { maxError <= tolerance }
        /// The error as a part of what is allowed.
        public var part: Double { tolerance > 0 ? maxError / tolerance : maxError == 0 ? 0 : .infinity }
    }

    private let truth: AttentionGradients
    private let plain: AttentionGradients
    private let scores: Double

    /// Computes both references.
    ///
    /// Cost: two materialised gradients.
    /// - Throws: ``AttentionCore/AttentionError`` when the operands do not fit each other, or no gradients exist.
    public init(
        _ configured: ConfiguredOperator, _ inputs: AttentionInputs, gradient: OutputGradient, options: AttentionOptions
    ) throws(AttentionError) {
        truth = try configured.referenceGradients(inputs, gradient: gradient, options: options, precision: .double)
        plain = try configured.referenceGradients(inputs, gradient: gradient, options: options, precision: .float)
        let output = try configured.reference(inputs, options: options, precision: .double)
        scores = output.logSumExp.map(Self.magnitude) ?? 0
    }

    /// Compares gradients: a verdict for each operand of either side; one that is missing on a side, or has another shape,
    /// is infinitely wrong.
    public func verdicts(on result: AttentionGradients) -> [Verdict] {
        let ours = Dictionary(uniqueKeysWithValues: result.named.map { ($0.name, $0.tensor) })
        let floats = Dictionary(uniqueKeysWithValues: plain.named.map { ($0.name, $0.tensor) })
        var verdicts = truth.named.map { name, expected in
            guard let own = ours[name], let float = floats[name],
                let error = try? own.maxAbsoluteDifference(expected),
                let floatError = try? float.maxAbsoluteDifference(expected)
            else { return Verdict(operand: name, maxError: .infinity, floatError: 0, tolerance: 0) }
            return Verdict(
                operand: name, maxError: error, floatError: floatError,
                tolerance: ErrorLimit.allowed(
                    floatError: floatError, magnitude: Self.magnitude(expected), scores: scores, stored: own.dtype))
        }
        let known = Set(truth.named.map(\.name))
        for name in ours.keys.sorted() where !known.contains(name) {
            verdicts.append(Verdict(operand: name, maxError: .infinity, floatError: 0, tolerance: 0))
        }
        return verdicts
    }

    /// The largest finite magnitude.
    private static func magnitude(_ tensor: Tensor) -> Double {
        tensor.doubles().reduce(0) { $1.isFinite ? max($0, abs($1)) : $0 }
    }
}
