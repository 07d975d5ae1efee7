/// What cuts a text into words.
public indirect enum PreTokenizer: Sendable {
    /// BERT's: at white space and around punctuation.
    case bert(BertPreTokenizer)
    /// Bytes as visible characters.
    case byteLevel(ByteLevel)
    /// At the matches of a pattern, or, inverted, at all else.
    case split(TextPattern, SplitBehavior, isInverted: Bool)
    /// SentencePiece's blanks.
    case metaspace(Metaspace)
    /// Runs of word characters, and runs of what is neither these nor white space.
    case whitespace
    /// At white space only.
    case whitespaceSplit
    /// Around digits: each alone, or runs of them.
    case digits(individually: Bool)
    /// At punctuation.
    case punctuation(SplitBehavior)
    /// One after the other.
    case sequence([PreTokenizer])

    /// The words of a text, as this stage writes them.
    ///
    /// Cost: O(length) for each stage.
    /// - Throws: ``TokenizerError/tooCostly(pattern:steps:)``.
    public func split(_ text: String) throws(TokenizerError) -> [String] {
        var list = WordList(Array(text.unicodeScalars), startsText: true)
        try apply(&list)
        return list.words.map { word in
            var view = String.UnicodeScalarView()
            view.append(contentsOf: list.scalars[word])
            return String(view)
        }
    }

    func apply(_ list: inout WordList) throws(TokenizerError) {
        switch self {
        case .bert:
            try list.split(.removed, where: UnicodeRules.isWhitespace)
            try list.split(.isolated, where: UnicodeRules.isPunctuation)
        case .byteLevel(let stage): try stage.apply(&list)
        case .split(let pattern, let behavior, let isInverted):
            try list.split(behavior, isInverted: isInverted) { (text) throws(TokenizerError) in
                try pattern.matches(text)
            }
        case .metaspace(let stage): try stage.apply(&list)
        case .whitespace:
            try list.split(.removed, where: UnicodeRules.isWhitespace)
            // What is left is word characters and others; runs of either are words.
            try list.split(.contiguous, where: UnicodeRules.isWord)
        case .whitespaceSplit: try list.split(.removed, where: UnicodeRules.isWhitespace)
        case .digits(let individually):
            try list.split(individually ? .isolated : .contiguous, where: UnicodeRules.isNumeric)
        case .punctuation(let behavior): try list.split(behavior, where: UnicodeRules.isPunctuation)
        case .sequence(let stages): for stage in stages { try stage.apply(&list) }
        }
    }
}
