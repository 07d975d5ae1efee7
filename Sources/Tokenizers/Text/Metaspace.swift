/// SentencePiece's words: a visible character in the place of each blank, and one before the text.
public struct Metaspace: Sendable, Hashable {
    /// Where the character is put though there is no blank.
    public enum PrependScheme: String, Sendable, Hashable, CaseIterable {
        /// Before every piece between added tokens.
        case always
        /// Before the whole text only.
        case first
        /// Nowhere.
        case never
    }

    /// What stands for a blank.
    public var replacement: Unicode.Scalar
    /// Where one is put though there is no blank.
    public var prependScheme: PrependScheme
    /// Whether each replacement begins a word.
    public var splits: Bool

    /// A stage.
    public init(replacement: Unicode.Scalar = "▁", prependScheme: PrependScheme = .always, splits: Bool = true) {
        self.replacement = replacement
        self.prependScheme = prependScheme
        self.splits = splits
    }

    func apply(_ list: inout WordList) throws(TokenizerError) {
        list.rewrite { word, isFirst, result in
            let prepends = prependScheme == .always || prependScheme == .first && isFirst
            if prepends, word.first != " ", word.first != replacement { result.append(replacement) }
            for scalar in word { result.append(scalar == " " ? replacement : scalar) }
        }
        if splits { try list.split(.mergedWithNext) { $0 == replacement } }
    }
}
