/// What can be wrong with a chat template or its use.
public enum ChatTemplateError: Error, Sendable, Hashable {
    /// The template is not Jinja.
    case syntax(template: String, line: Int, reason: String)
    /// The template uses a part of Jinja that is not built.
    case unsupported(template: String, line: Int, construct: String)
    /// The template does what cannot be done with these messages.
    case evaluation(template: String, line: Int, reason: String)
    /// The template refuses these messages (`raise_exception`).
    case raised(template: String, line: Int, message: String)
    /// The template does more work, nests deeper or writes more than is allowed.
    case tooCostly(template: String, line: Int, limit: String)
}

extension ChatTemplateError: CustomStringConvertible {
    /// One sentence: the place, and what is wrong there.
    public var description: String {
        switch self {
        case .syntax(let template, let line, let reason): "\(template), line \(line): \(reason)"
        case .unsupported(let template, let line, let construct):
            "\(template), line \(line): \(construct) is not supported"
        case .evaluation(let template, let line, let reason): "\(template), line \(line): \(reason)"
        case .raised(let template, let line, let message):
            "\(template), line \(line): the template refuses: \(message)"
        case .tooCostly(let template, let line, let limit): "\(template), line \(line): more than \(limit)"
        }
    }
}

/// What went wrong and where, before the template's name is known.
struct JinjaFailure: Error {
    enum Kind {
        case syntax(String)
        case unsupported(String)
        case evaluation(String)
        case raised(String)
        case tooCostly(String)
    }

    let kind: Kind
    let line: Int

    init(_ kind: Kind, line: Int) {
        self.kind = kind
        self.line = line
    }

    func error(template: String) -> ChatTemplateError {
        switch kind {
        case .syntax(let reason): .syntax(template: template, line: line, reason: reason)
        case .unsupported(let construct): .unsupported(template: template, line: line, construct: construct)
        case .evaluation(let reason): .evaluation(template: template, line: line, reason: reason)
        case .raised(let message): .raised(template: template, line: line, message: message)
        case .tooCostly(let limit): .tooCostly(template: template, line: line, limit: limit)
        }
    }
}
