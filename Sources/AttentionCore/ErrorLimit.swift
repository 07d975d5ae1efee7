public import TensorCore

/// How far from the truth a result may be.
///
/// The rule of FlashAttention's tests, `|ours - Double| <= 2 · |Float reference - Double|` in the largest norm, plus a
/// rounding floor: a reference on a tiny problem can be right by luck, and no implementation must be lucky too. The floor
/// is eight units in the last place of the largest magnitude, and for an output four more for each unit of the largest
/// score: a score of 100 is known to 100 units, and an output moves with its scores. Storage in sixteen bits adds half a
/// unit of its own last place. An approximation reaches its result through longer chains of operations, whose numbers may
/// be larger than the result (exponents of features, a pseudo-inverse): its floor is four times as high. An operator that
/// rounds its operands to a few bits declares what that costs, and is allowed as much and no more.
public enum ErrorLimit {
    /// The largest error that is allowed.
    /// - Parameters:
    ///   - floatError: the largest error of the Float reference.
    ///   - magnitude: the largest finite magnitude of the truth.
    ///   - scores: for an output, the largest finite magnitude of its log-sum-exp, which is that of its scores.
    ///   - stored: the element type of the result.
    ///   - exactness: of the operator.
    public static func allowed(
        floatError: Double, magnitude: Double, scores: Double = 0, stored: DType, exactness: Exactness = .exact
    ) -> Double {
        let storage: Double =
            switch stored {
            case .float16: 0x1p-11
            case .bfloat16: 0x1p-8
            default: 0
            }
        let units: Double = if case .approximate = exactness { 32 } else { 8 }
        var allowed = 2 * floatError + (units + 4 * scores) * 0x1p-24 * max(1, magnitude) + storage * magnitude
        if case .quantised(let error) = exactness { allowed += error * (1 + scores) * max(1, magnitude) }
        return allowed
    }
}
