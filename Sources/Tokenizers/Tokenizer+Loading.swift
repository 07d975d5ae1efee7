import Foundation

extension Tokenizer {
    /// Opens the tokenizer of a Hugging Face directory: `tokenizer.json`, or else `vocab.txt` with
    /// `tokenizer_config.json`.
    ///
    /// The padding that a `tokenizer.json` may ask for is not done: batches here are ragged.
    /// - Throws: ``TokenizerError``: a missing or malformed file, or a part of a kind that is not built.
    public init(directory: String) throws(TokenizerError) {
        let full = directory + "/tokenizer.json"
        let vocabulary = directory + "/vocab.txt"
        if FileManager.default.fileExists(atPath: full) {
            try self.init(tokenizerFile: full)
        } else if FileManager.default.fileExists(atPath: vocabulary) {
            let configuration = directory + "/tokenizer_config.json"
            try self.init(
                vocabularyFile: vocabulary,
                configurationFile: FileManager.default.fileExists(atPath: configuration) ? configuration : nil)
        } else {
            throw .unreadable(path: directory, reason: "holds neither tokenizer.json nor vocab.txt")
        }
    }

    /// Opens a `tokenizer.json`.
    ///
    /// Cost: O(bytes).
    /// - Throws: ``TokenizerError``.
    public init(tokenizerFile path: String) throws(TokenizerError) {
        try self.init(JSONCursor(path: path))
    }

    /// Reads a `tokenizer.json` that is in memory.
    ///
    /// Cost: O(bytes).
    /// - Throws: ``TokenizerError``.
    public init(json: [UInt8]) throws(TokenizerError) {
        try self.init(JSONCursor(json: json, name: "tokenizer.json"))
    }

    private init(_ root: JSONCursor) throws(TokenizerError) {
        self.init(
            model: try WordPieceModel(try root.field("model")),
            normalizer: try root.optional("normalizer").map { (cursor) throws(TokenizerError) in
                try BertNormalizer(cursor)
            },
            preTokenizer: try root.optional("pre_tokenizer").map { (cursor) throws(TokenizerError) in
                try cursor.require(type: "BertPreTokenizer", component: "pre-tokenizer")
                return BertPreTokenizer()
            },
            postProcessor: try root.optional("post_processor").map { (cursor) throws(TokenizerError) in
                try PostProcessor(cursor)
            } ?? .none,
            decoder: try root.optional("decoder").map { (cursor) throws(TokenizerError) in
                try WordPieceDecoder(cursor)
            },
            addedTokens: try AddedToken.list(try root.optional("added_tokens")),
            truncation: try root.optional("truncation").map { (cursor) throws(TokenizerError) in
                try Truncation(cursor)
            })
    }
}

extension JSONCursor {
    /// Checks the `type` of a part of the pipeline.
    func require(type: String, component: String) throws(TokenizerError) {
        let actual = try field("type").string
        guard actual == type else { throw unsupported(component, actual, supported: [type]) }
    }
}

extension WordPieceModel {
    fileprivate init(_ cursor: JSONCursor) throws(TokenizerError) {
        // Files of old versions leave the type out; only WordPiece has a word length.
        let hasType = try cursor.optional("type") != nil
        let hasWordLength = try cursor.optional("max_input_chars_per_word") != nil
        if hasType || !hasWordLength { try cursor.require(type: "WordPiece", component: "model") }
        var vocabulary = Vocabulary()
        for (token, id) in try cursor.field("vocab").fields { vocabulary.insert(token, id: try id.natural) }
        try self.init(
            vocabulary, unknownToken: try cursor.optional("unk_token")?.string ?? "[UNK]",
            continuingPrefix: try cursor.optional("continuing_subword_prefix")?.string ?? "##",
            maximumWordLength: try cursor.optional("max_input_chars_per_word")?.natural ?? 100, file: cursor.file)
    }
}

extension BertNormalizer {
    fileprivate init(_ cursor: JSONCursor) throws(TokenizerError) {
        try cursor.require(type: "BertNormalizer", component: "normalizer")
        self.init(
            cleanText: try cursor.optional("clean_text")?.bool ?? true,
            handleChineseCharacters: try cursor.optional("handle_chinese_chars")?.bool ?? true,
            stripAccents: try cursor.optional("strip_accents")?.bool,
            lowercase: try cursor.optional("lowercase")?.bool ?? true)
    }
}

extension WordPieceDecoder {
    fileprivate init(_ cursor: JSONCursor) throws(TokenizerError) {
        try cursor.require(type: "WordPiece", component: "decoder")
        self.init(
            prefix: try cursor.optional("prefix")?.string ?? "##",
            cleansUp: try cursor.optional("cleanup")?.bool ?? true)
    }
}

extension Truncation {
    fileprivate init(_ cursor: JSONCursor) throws(TokenizerError) {
        let strategy = try cursor.optional("strategy")?.string ?? "LongestFirst"
        guard ["LongestFirst", "OnlyFirst"].contains(strategy) else {
            throw cursor.unsupported("truncation strategy", strategy, supported: ["LongestFirst", "OnlyFirst"])
        }
        let side = try cursor.optional("direction")?.string ?? Direction.right.rawValue
        guard let direction = Direction(rawValue: side) else {
            throw cursor.unsupported("truncation direction", side, supported: Direction.allCases.map(\.rawValue))
        }
        self.init(maximumLength: try cursor.field("max_length").natural, direction: direction)
    }
}

extension AddedToken {
    fileprivate static func list(_ cursor: JSONCursor?) throws(TokenizerError) -> [AddedToken] {
        var tokens: [AddedToken] = []
        for item in try cursor?.items ?? [] {
            tokens.append(
                AddedToken(
                    id: try item.field("id").natural, content: try item.field("content").string,
                    isSpecial: try item.optional("special")?.bool ?? false,
                    singleWord: try item.optional("single_word")?.bool ?? false,
                    stripsLeft: try item.optional("lstrip")?.bool ?? false,
                    stripsRight: try item.optional("rstrip")?.bool ?? false,
                    isNormalized: try item.optional("normalized")?.bool ?? true))
        }
        return tokens
    }
}

extension PostProcessor {
    fileprivate init(_ cursor: JSONCursor) throws(TokenizerError) {
        switch try cursor.field("type").string {
        case "BertProcessing":
            self = .bert(
                classification: try Self.pair(cursor.field("cls")), separator: try Self.pair(cursor.field("sep")))
        case "TemplateProcessing":
            var special: [String: [Int]] = [:]
            for (name, entry) in try cursor.field("special_tokens").fields {
                var ids: [Int] = []
                for id in try entry.field("ids").items { ids.append(try id.natural) }
                special[name] = ids
            }
            let template = try cursor.field("single")
            var parts: [Part] = []
            for item in try template.items { parts.append(try Self.part(item, special)) }
            guard parts.count(where: { if case .sequence = $0 { true } else { false } }) == 1 else {
                throw template.expected("a template with the sequence A once")
            }
            self.init(parts)
        case let other:
            throw cursor.unsupported("post-processor", other, supported: ["BertProcessing", "TemplateProcessing"])
        }
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
