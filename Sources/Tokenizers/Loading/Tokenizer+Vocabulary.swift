extension Tokenizer {
    /// Builds BERT's tokenizer from a `vocab.txt`, one token a line, and a `tokenizer_config.json`.
    ///
    /// Without the second file, or a field of it, BERT's defaults hold: lowercase, ideographs apart, the usual names.
    /// - Throws: ``TokenizerError``: a special token is not in the vocabulary, or a field asks for what is not built.
    public init(vocabularyFile: String, configurationFile: String?) throws(TokenizerError) {
        let tokens = try Self.lines(vocabularyFile)
        let configuration = try configurationFile.map { (path) throws(TokenizerError) in try JSONCursor(path: path) }
        try Self.checkBasicTokenizer(configuration)
        let vocabulary = Vocabulary(tokens)
        var ids: [String: Int] = [:]
        var added: [AddedToken] = []
        for role in ["pad_token", "unk_token", "cls_token", "sep_token", "mask_token"] {
            let content = try Self.specialToken(role, configuration)
            guard let id = vocabulary.id(of: content) else {
                // Padding and masking are no part of encoding a text.
                if role == "pad_token" || role == "mask_token" { continue }
                throw .missingToken(file: vocabularyFile, role: role, token: content)
            }
            ids[role] = id
            added.append(AddedToken(id: id, content: content))
        }
        let unknown = try Self.specialToken("unk_token", configuration)
        try self.init(
            model: try WordPieceModel(vocabulary, unknownToken: unknown, file: vocabularyFile),
            normalizer: .bert(
                BertNormalizer(
                    handleChineseCharacters: try configuration?.optional("tokenize_chinese_chars")?.bool ?? true,
                    stripAccents: try configuration?.optional("strip_accents")?.bool,
                    lowercase: try configuration?.optional("do_lower_case")?.bool ?? true)),
            postProcessor: .bert(classification: ids["cls_token"] ?? 0, separator: ids["sep_token"] ?? 0),
            addedTokens: added)
    }

    /// The lines of a file in UTF-8.
    static func lines(_ path: String) throws(TokenizerError) -> [String] {
        let bytes = try JSONCursor.bytes(path)
        var tokens: [String] = []
        for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            let end = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            guard let token = String(validating: end, as: UTF8.self) else {
                throw .invalidField(
                    file: path, field: "line \(tokens.count + 1)", expected: "UTF-8", actual: "other bytes")
            }
            tokens.append(token)
        }
        if tokens.last == "" { tokens.removeLast() }
        return tokens
    }

    private static func specialToken(_ role: String, _ configuration: JSONCursor?) throws(TokenizerError) -> String {
        guard let entry = try configuration?.optional(role) else {
            return "[" + role.prefix { $0 != "_" }.uppercased() + "]"
        }
        if case .object = entry.value { return try entry.field("content").string }
        return try entry.string
    }

    private static func checkBasicTokenizer(_ configuration: JSONCursor?) throws(TokenizerError) {
        guard let configuration else { return }
        let known = ["BertTokenizer", "BertTokenizerFast"]
        if let kind = try configuration.optional("tokenizer_class"), !known.contains(try kind.string) {
            throw configuration.unsupported("tokenizer_class", try kind.string, supported: known)
        }
        if let basic = try configuration.optional("do_basic_tokenize"), try !basic.bool {
            throw basic.expected("true")
        }
        if let kept = try configuration.optional("never_split"), try !kept.items.isEmpty {
            throw kept.expected("null or an empty list")
        }
    }
}
