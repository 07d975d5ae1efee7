import Foundation

extension Tokenizer {
    /// Opens the tokenizer of a Hugging Face directory: `tokenizer.json`, or else `vocab.json` with `merges.txt`
    /// (GPT-2, OPT), or else `vocab.txt` (BERT), these with `tokenizer_config.json`.
    ///
    /// The padding that a `tokenizer.json` may ask for is not done: batches here are ragged.
    /// - Throws: ``TokenizerError``: a missing or malformed file, or a part of a kind that is not built.
    public init(directory: String) throws(TokenizerError) {
        let full = directory + "/tokenizer.json"
        let vocabulary = directory + "/vocab.txt"
        if FileManager.default.fileExists(atPath: full) {
            try self.init(tokenizerFile: full)
        } else if FileManager.default.fileExists(atPath: directory + "/merges.txt") {
            try self.init(mergesDirectory: directory)
        } else if FileManager.default.fileExists(atPath: vocabulary) {
            let configuration = directory + "/tokenizer_config.json"
            try self.init(
                vocabularyFile: vocabulary,
                configurationFile: FileManager.default.fileExists(atPath: configuration) ? configuration : nil)
        } else {
            throw .unreadable(path: directory, reason: "holds neither tokenizer.json nor merges.txt nor vocab.txt")
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
        try self.init(
            model: try ModelLoading.model(try root.field("model")),
            normalizer: try root.optional("normalizer").map { (cursor) throws(TokenizerError) in
                try Normalizer(cursor)
            },
            preTokenizer: try root.optional("pre_tokenizer").map { (cursor) throws(TokenizerError) in
                try PreTokenizer(cursor)
            },
            postProcessor: try root.optional("post_processor").map { (cursor) throws(TokenizerError) in
                try PostProcessor(cursor)
            } ?? .none,
            decoder: try root.optional("decoder").map { (cursor) throws(TokenizerError) in
                try TokenDecoder(cursor)
            },
            addedTokens: try AddedToken.list(try root.optional("added_tokens")),
            truncation: try root.optional("truncation").map { (cursor) throws(TokenizerError) in
                try Truncation(cursor)
            })
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
