public import AttentionCore

/// What can stop a benchmark before it has a result.
public enum BenchError: Error, Sendable, Hashable {
    /// An operator or an operand was refused.
    case attention(AttentionError)
    /// A file of operands cannot be used.
    case unreadable(path: String, reason: String)
    /// A report cannot be written.
    case unwritable(path: String, reason: String)
    /// No preset has this name.
    case unknownPreset(name: String, suggestions: [String], known: [String])
}

extension BenchError: CustomStringConvertible {
    /// What is wrong and what was expected.
    public var description: String {
        switch self {
        case .attention(let error):
            return error.description
        case .unreadable(let path, let reason):
            return "the operands in '\(path)' cannot be read: \(reason)"
        case .unwritable(let path, let reason):
            return "the report '\(path)' cannot be written: \(reason)"
        case .unknownPreset(let name, let suggestions, let known):
            let hint =
                suggestions.isEmpty
                ? "; known: \(known.joined(separator: ", "))"
                : "; did you mean \(suggestions.map { "'\($0)'" }.joined(separator: " or "))?"
            return "no preset is called '\(name)'\(hint)"
        }
    }
}
