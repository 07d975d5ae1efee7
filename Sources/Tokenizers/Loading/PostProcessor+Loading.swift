extension PostProcessor {
    /// Reads a `post_processor`.
    init(_ cursor: JSONCursor) throws(TokenizerError) {
        switch try cursor.field("type").string {
        case "BertProcessing", "RobertaProcessing":
            self = .bert(
                classification: try Self.pair(cursor.field("cls")), separator: try Self.pair(cursor.field("sep")))
        case "TemplateProcessing": self = try Self.template(cursor)
        // It only moves offsets, which are not kept here.
        case "ByteLevel": self = .none
        case "Sequence":
            let processors = try cursor.field("processors").list { (item) throws(TokenizerError) in
                try PostProcessor(item)
            }.filter { $0 != .none }
            guard processors.count <= 1 else {
                throw try cursor.field("processors").expected("at most one that adds tokens")
            }
            self = processors.first ?? .none
        case let other:
            throw cursor.unsupported(
                "post-processor", other,
                supported: ["BertProcessing", "ByteLevel", "RobertaProcessing", "Sequence", "TemplateProcessing"])
        }
    }

    private static func template(_ cursor: JSONCursor) throws(TokenizerError) -> PostProcessor {
        var special: [String: [Int]] = [:]
        for (name, entry) in try cursor.field("special_tokens").fields {
            special[name] = try entry.field("ids").list { (id) throws(TokenizerError) in try id.natural }
        }
        let template = try cursor.field("single")
        let parts = try template.list { (item) throws(TokenizerError) in try part(item, special) }
        guard parts.count(where: { if case .sequence = $0 { true } else { false } }) == 1 else {
            throw template.expected("a template with the sequence A once")
        }
        return PostProcessor(parts)
    }

    private static func pair(_ cursor: JSONCursor) throws(TokenizerError) -> Int {
        let items = try cursor.items
        guard items.count == 2 else { throw cursor.expected("a token and its number") }
        return try items[1].natural
    }

    private static func part(_ item: JSONCursor, _ special: [String: [Int]]) throws(TokenizerError) -> Part {
        if let token = try item.optional("SpecialToken") {
            let name = try token.field("id")
            guard let ids = special[try name.string] else { throw name.expected("a key of special_tokens") }
            return .special(ids: ids, typeId: try token.optional("type_id")?.natural ?? 0)
        }
        let sequence = try item.field("Sequence")
        let name = try sequence.field("id")
        guard try name.string == "A" else { throw name.expected("'A'") }
        return .sequence(typeId: try sequence.optional("type_id")?.natural ?? 0)
    }
}
