public import TensorCore

/// Everything that can be wrong with a request for attention.
///
/// Each case names what came and what was expected.
public enum AttentionError: Error, Sendable, Hashable {
    /// An operand has the wrong extents.
    case invalidShape(operand: String, expected: String, actual: Shape)
    /// An operand has the wrong element type.
    case invalidDType(operand: String, expected: [DType], actual: DType)
    /// An operand has a value that cannot be honoured.
    case invalidValue(operand: String, expected: String, actual: String)
    /// An operand that is needed is missing.
    case missingOperand(operand: String, expected: String)
    /// The operator cannot run this problem.
    case unsupported(name: String, problem: String, reasons: [UnsupportedReason])
    /// No operator has this name.
    case unknownOperator(name: String, suggestions: [String], known: [String])
    /// No option has this name.
    case unknownOption(name: String, owner: String, suggestions: [String], known: [String])
    /// An option has a value that it cannot take.
    case invalidOption(name: String, expected: String, actual: String)
    /// Two operators claim the same name.
    case duplicateOperator(name: String, existing: String, added: String)
    /// The environment asks for something that this machine cannot do.
    case environment(variable: String, expected: String, actual: String)
    /// A tensor could not be used as asked.
    case tensor(operand: String, reason: String)
    /// An operator of a plugin did not do what it was asked.
    case operatorFailed(name: String, message: String)
}

extension AttentionError: CustomStringConvertible {
    /// One paragraph: what is wrong, what was expected, what to do next.
    public var description: String {
        switch self {
        case .invalidShape(let operand, let expected, let actual):
            return "\(operand) has shape \(actual); expected \(expected)"
        case .invalidDType(let operand, let expected, let actual):
            let names = expected.map(\.rawValue).joined(separator: ", ")
            return "\(operand) holds \(actual.rawValue) elements; expected \(names)"
        case .invalidValue(let operand, let expected, let actual):
            return "\(operand) is \(actual); expected \(expected)"
        case .missingOperand(let operand, let expected):
            return "\(operand) is missing; expected \(expected)"
        case .unsupported(let name, let problem, let reasons):
            let lines = reasons.map { "  - \($0.description)" }.joined(separator: "\n")
            return "\(name) cannot run \(problem):\n\(lines)"
        case .unknownOperator(let name, let suggestions, let known):
            return "no operator is called '\(name)'" + Self.hint(suggestions, known)
        case .unknownOption(let name, let owner, let suggestions, let known):
            return "\(owner) has no option '\(name)'" + Self.hint(suggestions, known)
        case .invalidOption(let name, let expected, let actual):
            return "option '\(name)' is \(actual); expected \(expected)"
        case .duplicateOperator(let name, let existing, let added):
            return "the name '\(name)' is taken by \(existing), so \(added) cannot have it"
        case .environment(let variable, let expected, let actual):
            return "the environment variable \(variable) is '\(actual)'; expected \(expected)"
        case .tensor(let operand, let reason):
            return "\(operand): \(reason)"
        case .operatorFailed(let name, let message):
            return "\(name) failed: \(message)"
        }
    }

    private static func hint(_ suggestions: [String], _ known: [String]) -> String {
        if suggestions.isEmpty && known.isEmpty { return "; there are none" }
        if suggestions.isEmpty { return "; known: \(known.joined(separator: ", "))" }
        return "; did you mean \(suggestions.map { "'\($0)'" }.joined(separator: " or "))?"
    }
}
