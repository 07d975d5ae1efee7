import Foundation

/// A message of a conversation.
public struct ChatMessage: Sendable, Hashable {
    /// Who speaks: `system`, `user`, `assistant`, `tool`.
    public var role: String
    /// What is said: a text, for some models a list of parts, or null beside tool calls.
    public var content: TemplateValue
    /// Further fields, such as `tool_calls`.
    public var fields: [TemplateValue.Field]

    /// A message.
    public init(role: String, content: TemplateValue, fields: [TemplateValue.Field] = []) {
        self.role = role
        self.content = content
        self.fields = fields
    }

    /// What a template sees, as transformers prepares it: without fields that are null, and with what the model thought
    /// under each of the names in use.
    var value: TemplateValue {
        var seen = [TemplateValue.Field("role", .string(role)), .init("content", content)] + fields
        seen.removeAll { $0.value == .null }
        let names = ["reasoning_content", "thinking", "reasoning"]
        if let thought = names.lazy.compactMap({ name in seen.first { $0.name == name } }).first?.value {
            for name in names.prefix(2) where !seen.contains(where: { $0.name == name }) {
                seen.append(.init(name, thought))
            }
        }
        return .object(seen)
    }
}

/// What writes a conversation as a model was trained to read it: a Jinja template, run as transformers runs it.
///
/// The part of Jinja that chat templates use is built here: output, `if`, `for`, `set`, `macro`, `generation`, white
/// space control, Python's methods that change nothing, most filters and tests. What is not built is refused when the
/// template is read. A run is bounded in steps, bytes and depth.
public struct ChatTemplate: Sendable {
    /// The template.
    public let source: String
    /// The name of the template, for complaints.
    public let name: String
    private let statements: [JinjaStatement]

    /// Reads a template.
    ///
    /// Cost: O(length).
    /// - Throws: ``ChatTemplateError/syntax(template:line:reason:)``,
    ///   ``ChatTemplateError/unsupported(template:line:construct:)``.
    public init(_ source: String, name: String = "chat_template") throws(ChatTemplateError) {
        self.source = source
        self.name = name
        do {
            statements = try JinjaParser.parse(source)
        } catch {
            throw error.error(template: name)
        }
    }

    /// Writes a conversation.
    ///
    /// Cost: what the template does; at most some seconds.
    /// - Parameters:
    ///   - addGenerationPrompt: whether the template begins the assistant's next message.
    ///   - tools: functions that the model may call, as JSON schemas, or null.
    ///   - variables: further values, such as `bos_token`.
    ///   - secondsSince1970: the time of `strftime_now`; `nil` is now.
    /// - Throws: ``ChatTemplateError``: the template refuses the messages, cannot use them or does too much.
    public func render(
        messages: [ChatMessage], addGenerationPrompt: Bool = true, tools: TemplateValue = .null,
        variables: [TemplateValue.Field] = [], secondsSince1970: Double? = nil
    ) throws(ChatTemplateError) -> String {
        let scope = JinjaScope(outer: nil)
        scope.set("messages", JinjaValue(.array(messages.map(\.value))))
        scope.set("tools", JinjaValue(tools))
        scope.set("documents", .null)
        scope.set("add_generation_prompt", .bool(addGenerationPrompt))
        for variable in variables { scope.set(variable.name, JinjaValue(variable.value)) }
        let run = JinjaInterpreter(secondsSince1970: secondsSince1970 ?? Date().timeIntervalSince1970)
        do {
            return try run.render(statements, scope)
        } catch {
            throw error.error(template: name)
        }
    }
}
