import Foundation

/// What stands beside a tokenizer: `tokenizer_config.json`, `special_tokens_map.json` and `chat_template.jinja`.
///
/// Of `add_bos_token` and `add_eos_token` the tokenizer takes no notice, as transformers does not: when there is a
/// `tokenizer.json`, its post-processor decides.
public struct TokenizerConfiguration: Sendable, Hashable {
    /// The token that begins a text, or `nil`.
    public var beginToken: String?
    /// The token that ends a text, or `nil`.
    public var endToken: String?
    /// The token that fills up, or `nil`.
    public var padToken: String?
    /// The token for what cannot be spelt, or `nil`.
    public var unknownToken: String?
    /// Whether the file asks for the first token before every text; `nil` when it does not say.
    public var addsBeginToken: Bool?
    /// Whether the file asks for the last token after every text; `nil` when it does not say.
    public var addsEndToken: Bool?
    /// Chat templates by name; one without a name is `default`.
    public var chatTemplates: [String: String] = [:]
    private var file = "chat_template"

    /// Nothing configured.
    public init() {}

    /// Reads the files of a directory; those that are not there leave their part empty.
    ///
    /// A file `chat_template.jinja` comes before the templates in `tokenizer_config.json`, and the tokens of the latter
    /// before those of `special_tokens_map.json`.
    ///
    /// Cost: O(bytes).
    /// - Throws: ``TokenizerError``: a malformed file or field.
    public init(directory: String) throws(TokenizerError) {
        let files = FileManager.default
        for name in ["special_tokens_map.json", "tokenizer_config.json"]
        where files.fileExists(atPath: directory + "/" + name) {
            try merge(try JSONCursor(path: directory + "/" + name))
        }
        let template = directory + "/chat_template.jinja"
        guard files.fileExists(atPath: template) else { return }
        guard let text = String(validating: try JSONCursor.bytes(template), as: UTF8.self) else {
            throw .invalidField(file: template, field: "the document", expected: "UTF-8", actual: "other bytes")
        }
        chatTemplates["default"] = text
        file = template
    }

    /// Reads a `tokenizer_config.json` that is in memory.
    ///
    /// Cost: O(bytes).
    /// - Throws: ``TokenizerError``: a malformed document or field.
    public init(json: [UInt8]) throws(TokenizerError) {
        try merge(try JSONCursor(json: json, name: "tokenizer_config.json"))
    }

    private mutating func merge(_ cursor: JSONCursor) throws(TokenizerError) {
        file = cursor.file
        beginToken = try Self.token("bos_token", cursor) ?? beginToken
        endToken = try Self.token("eos_token", cursor) ?? endToken
        padToken = try Self.token("pad_token", cursor) ?? padToken
        unknownToken = try Self.token("unk_token", cursor) ?? unknownToken
        addsBeginToken = try cursor.optional("add_bos_token")?.bool ?? addsBeginToken
        addsEndToken = try cursor.optional("add_eos_token")?.bool ?? addsEndToken
        guard let templates = try cursor.optional("chat_template") else { return }
        if case .string(let text) = templates.value {
            chatTemplates["default"] = text
            return
        }
        for item in try templates.items {
            chatTemplates[try item.field("name").string] = try item.field("template").string
        }
    }

    /// A token, given as its text or as an object with its `content`.
    private static func token(_ role: String, _ cursor: JSONCursor) throws(TokenizerError) -> String? {
        guard let entry = try cursor.optional(role) else { return nil }
        if case .object = entry.value { return try entry.field("content").string }
        return try entry.string
    }

    /// A chat template, or `nil` when there is none of this name.
    ///
    /// With tools, a template named `tool_use` comes before the one named `default`, as in transformers.
    /// - Parameter name: `nil` chooses.
    /// - Throws: ``ChatTemplateError``: the template is not understood.
    public func chatTemplate(_ name: String? = nil, withTools: Bool = false) throws(ChatTemplateError) -> ChatTemplate?
    {
        let chosen = name ?? (withTools && chatTemplates["tool_use"] != nil ? "tool_use" : "default")
        guard let source = chatTemplates[chosen] else { return nil }
        return try ChatTemplate(source, name: chosen == "default" ? file : "\(file) (\(chosen))")
    }

    /// The tokens as a chat template sees them: `bos_token`, `eos_token`, `pad_token`, `unk_token`.
    public var templateVariables: [TemplateValue.Field] {
        let tokens = [
            ("bos_token", beginToken), ("eos_token", endToken), ("pad_token", padToken), ("unk_token", unknownToken),
        ]
        return tokens.compactMap { name, token in token.map { .init(name, .string($0)) } }
    }
}
