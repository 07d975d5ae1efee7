import PagedEngine
package import Tokenizers

/// The body of `/v1/chat/completions`.
package struct ChatRequest: Sendable {
    package let fields: GenerationFields
    package let messages: [ChatMessage]
    /// Whether the template begins the assistant's message.
    package let addsGenerationPrompt: Bool
    /// Whether the tokenizer frames what the template has written.
    package let addsSpecialTokens: Bool

    /// - Throws: `APIError` that names the field.
    package init(_ body: FieldReader) throws(APIError) {
        try body.refuse(
            [
                "tools": "nothing calls them", "functions": "nothing calls them", "tool_choice": "nothing is called",
                "function_call": "nothing is called", "audio": "answers are text", "modalities": "answers are text",
                "logprobs_mode": "likelihoods are of the raw logits", "chat_template": "the model's own is used",
            ].filter { !Self.isHarmless($0.key, body[$0.key]) })
        try Self.refuseFormats(body)
        messages = try Self.messages(body["messages"])
        addsGenerationPrompt = try body.bool("add_generation_prompt") ?? true
        addsSpecialTokens = try body.bool("add_special_tokens") ?? false
        var fields = try GenerationFields(body, maxTokens: nil)
        let asks = try body.bool("logprobs") ?? false
        let top = try body.integer("top_logprobs", in: 0...20)
        guard asks || top == nil || top == 0 else {
            throw .invalid("top_logprobs", "top_logprobs is set; expected it only where logprobs is true")
        }
        fields.params.logprobs = asks ? top ?? 0 : nil
        guard fields.params.maxTokens != 0 else {
            throw .invalid("max_tokens", expected: "at least 1", actual: .integer(0))
        }
        self.fields = fields
    }

    /// What asks for nothing: `"tool_choice": "none"`, `"modalities": ["text"]`.
    private static func isHarmless(_ name: String, _ value: JSON?) -> Bool {
        switch (name, value) {
        case ("tool_choice", .string("none")), ("function_call", .string("none")): true
        case ("modalities", .array([.string("text")])): true
        default: false
        }
    }

    private static func refuseFormats(_ body: FieldReader) throws(APIError) {
        guard let format = body["response_format"] else { return }
        let type = try FieldReader(format, name: "response_format").string("type")
        guard type == "text" else {
            throw .invalid(
                "response_format",
                "response_format '\(type ?? "")' is not supported: answers are free text; "
                    + "expected 'text'", code: "unsupported")
        }
    }

    /// Reads messages.
    static func messages(_ value: JSON?) throws(APIError) -> [ChatMessage] {
        guard let value else {
            throw .invalid(
                "messages", "messages is missing; expected a list of messages", code: "missing_required_parameter")
        }
        guard case .array(let items) = value, !items.isEmpty else {
            throw .invalid("messages", expected: "a list of at least one message", actual: value)
        }
        var result: [ChatMessage] = []
        for (index, item) in items.enumerated() {
            guard case .object(let fields) = item else {
                throw .invalid("messages", "messages[\(index)] is \(item.kind); expected an object")
            }
            result.append(try message(fields, index))
        }
        return result
    }

    private static func message(_ fields: [JSON.Field], _ index: Int) throws(APIError) -> ChatMessage {
        var role: String?
        var content = JSON.null
        var rest: [JSON.Field] = []
        for field in fields {
            switch (field.name, field.value) {
            case ("role", .string(let text)): role = text
            case ("role", let value):
                throw .invalid("messages", "messages[\(index)].role is \(value.kind); expected a text")
            case ("content", let value): content = try text(of: value, index)
            default: rest.append(field)
            }
        }
        guard let role else {
            throw .invalid("messages", "messages[\(index)].role is missing; expected system, user or assistant")
        }
        return ChatMessage(role: role, content: content, fields: rest)
    }

    /// A content: a text, or its parts of type text one behind the other.
    private static func text(of value: JSON, _ index: Int) throws(APIError) -> JSON {
        switch value {
        case .string, .null: return value
        case .array(let parts):
            var texts: [String] = []
            for part in parts {
                guard case .object(let fields) = part,
                    fields.contains(where: { $0.name == "type" && $0.value == .string("text") }),
                    case .string(let text)? = fields.first(where: { $0.name == "text" })?.value
                else {
                    throw .invalid(
                        "messages",
                        "messages[\(index)].content has a part that is not text; expected parts like "
                            + "{\"type\": \"text\", \"text\": ...}", code: "unsupported")
                }
                texts.append(text)
            }
            return .string(texts.joined(separator: "\n"))
        default: throw .invalid("messages", "messages[\(index)].content is \(value.kind); expected a text or parts")
        }
    }
}
