/// What can be wrong with a tokenizer's files or with a request to it.
public enum TokenizerError: Error, Sendable, Hashable {
    /// A file is missing or cannot be read.
    case unreadable(path: String, reason: String)
    /// A file is not JSON.
    case malformedJSON(file: String, byte: Int, reason: String)
    /// A field is missing or has a value that is not understood.
    case invalidField(file: String, field: String, expected: String, actual: String)
    /// A part of the pipeline is of a kind that this library does not build.
    case unsupported(file: String, component: String, type: String, supported: [String])
    /// A token that the pipeline needs is not in the vocabulary.
    case missingToken(file: String, role: String, token: String)
    /// A regular expression has a construct that is not understood or not built.
    case invalidPattern(pattern: String, construct: String, offset: Int)
    /// A pattern needs too many steps on a text.
    case tooCostly(pattern: String, steps: Int)
    /// A stage makes a text longer than is allowed.
    case tooLong(stage: String, limit: Int)
    /// The length limit leaves no room for the tokens that are always added.
    case lengthTooSmall(limit: Int, minimum: Int)
}

extension TokenizerError: CustomStringConvertible {
    /// One sentence: the place, what was expected, what is there.
    public var description: String {
        switch self {
        case .unreadable(let path, let reason):
            return "\(path): \(reason)"
        case .malformedJSON(let file, let byte, let reason):
            return "\(file): not JSON at byte \(byte): \(reason)"
        case .invalidField(let file, let field, let expected, let actual):
            return "\(file): \(field) is \(actual); expected \(expected)"
        case .unsupported(let file, let component, let type, let supported):
            return "\(file): \(component) '\(type)' is not supported; supported: \(supported.joined(separator: ", "))"
        case .missingToken(let file, let role, let token):
            return "\(file): the vocabulary has no token '\(token)', which is needed as \(role)"
        case .invalidPattern(let pattern, let construct, let offset):
            return "the pattern '\(pattern)' has, at \(offset), \(construct), which is not supported"
        case .tooCostly(let pattern, let steps):
            return "the pattern '\(pattern)' needs more than \(steps) steps on this text"
        case .tooLong(let stage, let limit):
            return "\(stage) makes the text longer than \(limit) characters"
        case .lengthTooSmall(let limit, let minimum):
            return "a maximum length of \(limit) has no room for the \(minimum) tokens that are always added"
        }
    }
}
