import TensorCore

/// Sequences for calibration, taken from the tokens of a text.
public enum CalibrationText {
    /// Stretches of a text at places that a seed picks, as the GPTQ paper takes them.
    ///
    /// A text that is shorter than what was asked for in all gives stretches that overlap.
    /// - Parameters:
    ///   - count: how many; 1 or more.
    ///   - length: tokens of each; 1 or more.
    /// - Throws: ``ModelError/invalidInput(operand:expected:actual:)`` when the text is shorter than one stretch.
    public static func sequences(
        of tokens: [Int], count: Int, length: Int, seed: UInt64
    ) throws(ModelError) -> [[Int]] {
        guard count >= 1, length >= 1 else {
            throw .invalidInput(
                operand: "the calibration", expected: "one sequence or more, of one token or more",
                actual: "\(count) of \(length)")
        }
        guard tokens.count >= length else {
            throw .invalidInput(
                operand: "the calibration text", expected: "at least the \(length) tokens of one sequence",
                actual: "\(tokens.count) tokens long")
        }
        let places = UInt64(tokens.count - length + 1)
        return (0..<count).map { index in
            let start = Int(CounterRandom.value(seed: seed, index: UInt64(index)) % places)
            return Array(tokens[start..<start + length])
        }
    }
}
