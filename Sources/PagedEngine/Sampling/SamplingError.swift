/// What can be wrong with the parameters of sampling or with the logits to sample from.
public enum SamplingError: Error, Sendable, Hashable {
    /// A parameter has a value that cannot be honoured.
    case invalidParameter(name: String, expected: String, actual: String)
    /// A row of logits does not have one number for each token of the vocabulary.
    case logitsCount(expected: Int, actual: Int)
    /// A logit is NaN or +infinity: the model is broken, and no token would be an honest answer.
    case invalidLogit(token: Int, value: String)
    /// Every token of the vocabulary is forbidden.
    case noCandidate(vocabulary: Int)
    /// A token of the prompt, of the output or of a question is not in the vocabulary.
    case tokenOutOfRange(operand: String, token: Int, vocabulary: Int)
}

extension SamplingError: CustomStringConvertible {
    /// One sentence: the place, what is there, what was expected.
    public var description: String {
        switch self {
        case .invalidParameter(let name, let expected, let actual):
            return "\(name) is \(actual); expected \(expected)"
        case .logitsCount(let expected, let actual):
            return "a row has \(actual) logits; expected \(expected), one for each token of the vocabulary"
        case .invalidLogit(let token, let value):
            return "the logit of token \(token) is \(value); expected a finite number or -infinity"
        case .noCandidate(let vocabulary):
            return "none of the \(vocabulary) tokens may be sampled: every logit is -infinity after masks and biases"
        case .tokenOutOfRange(let operand, let token, let vocabulary):
            return "\(operand) has token \(token); expected a token from 0 to below \(vocabulary)"
        }
    }
}
