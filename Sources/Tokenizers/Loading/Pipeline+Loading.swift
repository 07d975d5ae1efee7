extension Normalizer {
    /// Reads a `normalizer`.
    init(_ cursor: JSONCursor) throws(TokenizerError) {
        switch try cursor.field("type").string {
        case "BertNormalizer":
            self = .bert(
                BertNormalizer(
                    cleanText: try cursor.optional("clean_text")?.bool ?? true,
                    handleChineseCharacters: try cursor.optional("handle_chinese_chars")?.bool ?? true,
                    stripAccents: try cursor.optional("strip_accents")?.bool,
                    lowercase: try cursor.optional("lowercase")?.bool ?? true))
        case "NFC": self = .nfc
        case "NFD": self = .nfd
        case "NFKC": self = .nfkc
        case "NFKD": self = .nfkd
        case "Lowercase": self = .lowercase
        case "Strip":
            self = .strip(left: try cursor.field("strip_left").bool, right: try cursor.field("strip_right").bool)
        case "StripAccents": self = .stripAccents
        case "Prepend": self = .prepend(try cursor.field("prepend").string)
        case "Replace":
            self = .replace(try TextPattern(cursor.field("pattern")), try cursor.field("content").string)
        case "Sequence":
            self = .sequence(
                try cursor.field("normalizers").list { (item) throws(TokenizerError) in try Normalizer(item) })
        case let other:
            throw cursor.unsupported(
                "normalizer", other,
                supported: [
                    "BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Prepend", "Replace", "Sequence",
                    "Strip", "StripAccents",
                ])
        }
    }
}

extension TextPattern {
    /// Reads a `pattern`: `{"String": …}` or `{"Regex": …}`.
    init(_ cursor: JSONCursor) throws(TokenizerError) {
        if let text = try cursor.optional("String") {
            self.init(literal: try text.string)
            return
        }
        guard let regex = try cursor.optional("Regex") else {
            throw cursor.expected("{\"String\": …} or {\"Regex\": …}")
        }
        do {
            try self.init(regex: try regex.string)
        } catch {
            guard case .invalidPattern(_, let construct, let offset) = error else { throw error }
            throw regex.expected("a pattern without, at \(offset), \(construct)")
        }
    }
}

extension SplitBehavior {
    /// Reads a `behavior`.
    fileprivate init(_ cursor: JSONCursor) throws(TokenizerError) {
        guard let behavior = SplitBehavior(rawValue: try cursor.string) else {
            throw cursor.expected("one of \(Self.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        self = behavior
    }
}

extension Metaspace {
    /// Reads the fields of a `Metaspace`; old files say `add_prefix_space` instead of `prepend_scheme`.
    init(_ cursor: JSONCursor) throws(TokenizerError) {
        let symbol = try cursor.field("replacement")
        guard let replacement = try symbol.oneScalar else { throw symbol.expected("one character") }
        var scheme = PrependScheme.always
        let given = try cursor.optional("prepend_scheme")
        if let given {
            guard let named = PrependScheme(rawValue: try given.string) else {
                throw given.expected("one of \(PrependScheme.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            scheme = named
        }
        if let adds = try cursor.optional("add_prefix_space"), try !adds.bool {
            if let given, scheme != .never { throw given.expected("'never', as add_prefix_space is false") }
            scheme = .never
        }
        self.init(
            replacement: replacement, prependScheme: scheme, splits: try cursor.optional("split")?.bool ?? true)
    }
}

extension PreTokenizer {
    /// Reads a `pre_tokenizer`.
    init(_ cursor: JSONCursor) throws(TokenizerError) {
        switch try cursor.field("type").string {
        case "BertPreTokenizer": self = .bert(BertPreTokenizer())
        case "ByteLevel":
            self = .byteLevel(
                ByteLevel(
                    addsPrefixSpace: try cursor.optional("add_prefix_space")?.bool ?? true,
                    usesRegex: try cursor.optional("use_regex")?.bool ?? true))
        case "Split":
            self = .split(
                try TextPattern(cursor.field("pattern")), try SplitBehavior(cursor.field("behavior")),
                isInverted: try cursor.optional("invert")?.bool ?? false)
        case "Metaspace": self = .metaspace(try Metaspace(cursor))
        case "Whitespace": self = .whitespace
        case "WhitespaceSplit": self = .whitespaceSplit
        case "Digits": self = .digits(individually: try cursor.optional("individual_digits")?.bool ?? false)
        case "Punctuation":
            self = .punctuation(
                try cursor.optional("behavior").map { (item) throws(TokenizerError) in
                    try SplitBehavior(item)
                } ?? .isolated)
        case "Sequence":
            self = .sequence(
                try cursor.field("pretokenizers").list { (item) throws(TokenizerError) in try PreTokenizer(item) })
        case let other:
            throw cursor.unsupported(
                "pre-tokenizer", other,
                supported: [
                    "BertPreTokenizer", "ByteLevel", "Digits", "Metaspace", "Punctuation", "Sequence", "Split",
                    "Whitespace", "WhitespaceSplit",
                ])
        }
    }
}

extension TokenDecoder {
    /// Reads a `decoder`.
    init(_ cursor: JSONCursor) throws(TokenizerError) {
        switch try cursor.field("type").string {
        case "ByteLevel": self = .byteLevel
        case "ByteFallback": self = .byteFallback
        case "Fuse": self = .fuse
        case "Metaspace": self = .metaspace(try Metaspace(cursor))
        case "Replace":
            let pattern = try cursor.field("pattern")
            guard let text = try pattern.optional("String") else { throw pattern.expected("{\"String\": …}") }
            self = .replace(try text.string, with: try cursor.field("content").string)
        case "Strip":
            let content = try cursor.field("content")
            guard let scalar = try content.oneScalar else { throw content.expected("one character") }
            self = .strip(scalar, start: try cursor.field("start").natural, stop: try cursor.field("stop").natural)
        case "WordPiece":
            self = .wordPiece(
                WordPieceDecoder(
                    prefix: try cursor.optional("prefix")?.string ?? "##",
                    cleansUp: try cursor.optional("cleanup")?.bool ?? true))
        case "Sequence":
            self = .sequence(
                try cursor.field("decoders").list { (item) throws(TokenizerError) in try TokenDecoder(item) })
        case let other:
            throw cursor.unsupported(
                "decoder", other,
                supported: [
                    "ByteFallback", "ByteLevel", "Fuse", "Metaspace", "Replace", "Sequence", "Strip", "WordPiece",
                ])
        }
    }
}
