/// Reads a `model`.
enum ModelLoading {
    static func model(_ cursor: JSONCursor) throws(TokenizerError) -> any TokenizerModel {
        // Files of old versions leave the type out: only BPE has merges, only WordPiece a word length.
        let hasMerges = try cursor.optional("merges") != nil
        let hasWordLength = try cursor.optional("max_input_chars_per_word") != nil
        var type = hasMerges ? "BPE" : "WordPiece"
        if try cursor.optional("type") != nil || !hasMerges && !hasWordLength {
            type = try cursor.field("type").string
        }
        switch type {
        case "BPE": return try BPEModel(cursor)
        case "WordPiece": return try WordPieceModel(cursor)
        case let other: throw cursor.unsupported("model", other, supported: ["BPE", "WordPiece"])
        }
    }
}

extension Vocabulary {
    /// Reads a `vocab`: an object of tokens and numbers.
    fileprivate init(_ cursor: JSONCursor) throws(TokenizerError) {
        self.init()
        for (token, id) in try cursor.fields { insert(token, id: try id.natural) }
    }
}

extension WordPieceModel {
    fileprivate init(_ cursor: JSONCursor) throws(TokenizerError) {
        try self.init(
            try Vocabulary(try cursor.field("vocab")),
            unknownToken: try cursor.optional("unk_token")?.string ?? "[UNK]",
            continuingPrefix: try cursor.optional("continuing_subword_prefix")?.string ?? "##",
            maximumWordLength: try cursor.optional("max_input_chars_per_word")?.natural ?? 100, file: cursor.file)
    }
}

extension BPEModel {
    fileprivate init(_ cursor: JSONCursor) throws(TokenizerError) {
        if let dropout = try cursor.optional("dropout"), try dropout.number != 0 {
            throw dropout.expected("null or 0: merges are not left out at random")
        }
        var options = Options()
        options.unknownToken = try cursor.optional("unk_token")?.string
        options.fusesUnknown = try cursor.optional("fuse_unk")?.bool ?? false
        options.byteFallback = try cursor.optional("byte_fallback")?.bool ?? false
        options.ignoresMerges = try cursor.optional("ignore_merges")?.bool ?? false
        options.continuingPrefix = try cursor.optional("continuing_subword_prefix")?.string ?? ""
        options.wordSuffix = try cursor.optional("end_of_word_suffix")?.string ?? ""
        let merges = try cursor.field("merges").list { (item) throws(TokenizerError) in try Self.merge(item) }
        try self.init(
            try Vocabulary(try cursor.field("vocab")), merges: merges, options: options, file: cursor.file)
    }

    /// A merge: a pair, or in old files a string with one blank.
    private static func merge(_ cursor: JSONCursor) throws(TokenizerError) -> (left: String, right: String) {
        if case .string(let text) = cursor.value {
            let sides = text.utf8.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            guard sides.count == 2 else { throw cursor.expected("two tokens with a blank between them") }
            return (String(decoding: sides[0], as: UTF8.self), String(decoding: sides[1], as: UTF8.self))
        }
        let sides = try cursor.items
        guard sides.count == 2 else { throw cursor.expected("two tokens") }
        return (try sides[0].string, try sides[1].string)
    }
}
