public import AttentionCore
import TensorCore

/// How far gradients may be from the truth, and how far they are.
///
/// What is allowed is ``AttentionCore/ErrorLimit``, as for outputs: twice the error of the Float reference's gradients, and
/// a floor.
public struct GradientTolerance: Sendable {
    /// The Double reference's gradients.
    public let truth: AttentionGradients
    /// The Float reference's gradients.
    public let plain: AttentionGradients
    /// The largest magnitude of a log-sum-exp, which is that of the scores.
    private let scores: Double
    private let exactness: Exactness

    /// Computes both references.
    ///
    /// Cost: two materialised gradients.
    /// - Throws: ``AttentionCore/AttentionError`` when the operands do not fit each other, or no gradients exist.
    public init(
        _ configured: ConfiguredOperator, _ inputs: AttentionInputs, gradient: OutputGradient, options: AttentionOptions
    ) throws(AttentionError) {
        exactness = configured.capabilities.exactness
        truth = try configured.referenceGradients(inputs, gradient: gradient, options: options, precision: .double)
        plain = try configured.referenceGradients(inputs, gradient: gradient, options: options, precision: .float)
        let others = try Tolerance.scores(configured, inputs, options)
        let output = try configured.reference(inputs, options: options, precision: .double)
        scores = output.logSumExp.map(Self.magnitude) ?? others
    }

    /// The errors of gradients, one for each operand; infinite where one is missing, unasked for or of another shape.
    public func errors(of result: AttentionGradients) -> [Tolerance.Excess] {
        var others = result.named
        var excesses: [Tolerance.Excess] = []
        for (expected, float) in zip(truth.named, plain.named) {
            guard let place = others.firstIndex(where: { $0.name == expected.name }) else {
                excesses.append(.init(operand: "the missing gradient of \(expected.name)", error: .infinity, limit: 0))
                continue
            }
            let ours = others.remove(at: place).tensor
            guard let error = try? ours.maxAbsoluteDifference(expected.tensor),
                let rounding = try? float.tensor.maxAbsoluteDifference(expected.tensor)
            else {
                excesses.append(
                    .init(operand: "the shape of the gradient of \(expected.name)", error: .infinity, limit: 0))
                continue
            }
            excesses.append(
                .init(
                    operand: "gradient of \(expected.name)", error: error,
                    limit: ErrorLimit.allowed(
                        floatError: rounding, magnitude: Self.magnitude(expected.tensor), scores: scores,
                        stored: ours.dtype, exactness: exactness)))
        }
        return excesses
            + others.map {
                .init(operand: "the gradient of \($0.name), which is no operand", error: .infinity, limit: 0)
            }
    }

    /// The largest finite magnitude.
    private static func magnitude(_ tensor: Tensor) -> Double {
        tensor.doubles().reduce(0) { $1.isFinite ? max($0, abs($1)) : $0 }
    }
}
