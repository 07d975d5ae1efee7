/// A mistake of the kinds that gradient code makes.
enum GradientFault: String, CaseIterable, Codable, Sendable {
    case none
    // Softmax and scores.
    case scaleForgotten, rowSumForgotten, weightsWithoutSink, logSumExpIgnored, softcapSlopeForgotten
    case scoreSlopeForgotten, causalOffByOne, gradientClipped
    // Sums.
    case groupOverwritten, wrongKeyHead, biasNotSummed, biasOfFirstHead, sinkSignFlipped, lastRowDropped
    // Dropout.
    case dropoutIgnored, dropoutOfAnotherSeed, dropoutWithoutScale
    // Hidden cells.
    case hiddenNaNLeaks, hiddenBiasLeaks, paddingRead, emptyRowIsNaN
    // Determinism.
    case threadsChangeBits, repeatsDiffer, stridesChangeBits
    // Form.
    case gradientMissing, gradientOfAnotherShape, gradientInDouble, throwsOtherReasons, claimsNothing
    // The reference itself.
    case referenceScaled, referenceForgetsSinks

    /// What reports the comparison with the reference.
    static let standardCases = "the standard cases"
    /// What reports the differences.
    static let differences = "differences"

    /// Which checks must notice the mistake: laws by the beginnings of their names, ``standardCases`` or ``differences``.
    ///
    /// Others may notice it as well.
    var watchers: [String] {
        switch self {
        case .none: []
        case .scaleForgotten, .softcapSlopeForgotten, .scoreSlopeForgotten, .biasOfFirstHead: [Self.standardCases]
        case .rowSumForgotten:
            [Self.standardCases, "a constant added to a row of scores changes the log-sum-exp alone"]
        case .weightsWithoutSink, .sinkSignFlipped:
            [Self.standardCases, "sinks and rows share the derivative of the log-sum-exp"]
        case .logSumExpIgnored:
            [Self.standardCases, "a constant added to a row of scores changes the log-sum-exp alone"]
        case .causalOffByOne: [Self.standardCases, "a key that a row may not see has no part in its gradient"]
        case .gradientClipped: ["gradients are linear in those of the results"]
        case .groupOverwritten, .wrongKeyHead:
            [Self.standardCases, "grouped heads sum the gradients of repeated key heads"]
        case .biasNotSummed:
            [Self.standardCases, "a bias has the sum of its gradients over every axis it is repeated along"]
        case .lastRowDropped: [Self.standardCases, "dropout drops the same weights forward and backward"]
        case .dropoutIgnored, .dropoutOfAnotherSeed, .dropoutWithoutScale:
            [Self.standardCases, "dropout drops the same weights forward and backward"]
        case .hiddenNaNLeaks:
            [
                "NaN in a key reaches no row that may not see it",
                "NaN in keys that nobody sees never reaches a gradient",
            ]
        case .hiddenBiasLeaks: ["NaN in a hidden cell of the bias never reaches a gradient"]
        case .paddingRead: [Self.standardCases, "padding has no gradient and reaches none, even as NaN"]
        case .emptyRowIsNaN: [Self.standardCases, "a row that sees no key has no gradient"]
        case .threadsChangeBits: ["the number of threads does not change a bit of a gradient"]
        case .repeatsDiffer:
            [
                "repeating a gradient does not change a bit, nor its operands",
                "a given output changes no gradient",
            ]
        case .stridesChangeBits: ["strides do not change a bit of a gradient"]
        case .gradientMissing, .gradientOfAnotherShape, .gradientInDouble, .throwsOtherReasons, .claimsNothing:
            [Self.standardCases]
        case .referenceScaled, .referenceForgetsSinks: [Self.differences]
        }
    }
}
