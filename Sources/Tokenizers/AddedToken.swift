/// A token that is found in the text before anything else happens to it, for example `[SEP]`.
public struct AddedToken: Sendable, Hashable {
    /// Its number.
    public let id: Int
    /// Its text.
    public let content: String
    /// Whether decoding may leave it out.
    public let isSpecial: Bool
    /// Whether it only counts when no word character stands beside it.
    public let singleWord: Bool
    /// Whether it swallows the white space before it.
    public let stripsLeft: Bool
    /// Whether it swallows the white space after it.
    public let stripsRight: Bool
    /// Whether it is looked for in the normalised text instead of the raw one.
    public let isNormalized: Bool

    /// An added token.
    public init(
        id: Int, content: String, isSpecial: Bool = true, singleWord: Bool = false, stripsLeft: Bool = false,
        stripsRight: Bool = false, isNormalized: Bool = false
    ) {
        self.id = id
        self.content = content
        self.isSpecial = isSpecial
        self.singleWord = singleWord
        self.stripsLeft = stripsLeft
        self.stripsRight = stripsRight
        self.isNormalized = isNormalized
    }
}

/// Finds added tokens in a text: leftmost first, then longest.
struct AddedTokenMatcher: Sendable {
    /// A piece of text, or a token that was found.
    enum Piece: Equatable {
        case text(Range<Int>)
        case token(Int)
    }

    private struct Pattern: Sendable {
        let scalars: [Unicode.Scalar]
        let token: AddedToken
    }

    /// Patterns by first scalar, longest first.
    private var patterns: [Unicode.Scalar: [Pattern]] = [:]
    /// Which ASCII characters patterns begin with: most text needs no look into the table.
    private var startsASCII = Array(repeating: false, count: 128)

    /// A matcher for tokens as a normaliser writes them.
    init(_ tokens: [AddedToken], normalizer: Normalizer?) throws(TokenizerError) {
        for token in tokens {
            let raw = Array(token.content.unicodeScalars)
            let scalars = try normalizer?.normalize(raw) ?? raw
            guard let first = scalars.first else { continue }
            patterns[first, default: []].append(Pattern(scalars: scalars, token: token))
            if first.value < 128 { startsASCII[Int(first.value)] = true }
        }
        for key in patterns.keys { patterns[key]?.sort { $0.scalars.count > $1.scalars.count } }
    }

    /// Cuts a text.
    ///
    /// Cost: O(length · patterns that begin alike).
    func split(_ text: [Unicode.Scalar]) -> [Piece] {
        guard !patterns.isEmpty else { return text.isEmpty ? [] : [.text(0..<text.count)] }
        var pieces: [Piece] = []
        var done = 0
        var position = 0
        while position < text.count {
            guard let match = match(text, at: position) else {
                position += 1
                continue
            }
            var start = position
            var end = position + match.scalars.count
            position = end
            let token = match.token
            if token.singleWord {
                let wordBefore = start > 0 && UnicodeRules.isWord(text[start - 1])
                let wordAfter = end < text.count && UnicodeRules.isWord(text[end])
                if wordBefore || wordAfter { continue }
            }
            if token.stripsLeft {
                while start > done, UnicodeRules.isWhitespace(text[start - 1]) { start -= 1 }
            }
            if token.stripsRight {
                while end < text.count, UnicodeRules.isWhitespace(text[end]) { end += 1 }
            }
            if done < start { pieces.append(.text(done..<start)) }
            pieces.append(.token(token.id))
            done = end
        }
        if done < text.count { pieces.append(.text(done..<text.count)) }
        return pieces
    }

    private func match(_ text: [Unicode.Scalar], at position: Int) -> Pattern? {
        let first = text[position]
        if first.value < 128, !startsASCII[Int(first.value)] { return nil }
        return patterns[first]?.first { text[position...].starts(with: $0.scalars) }
    }
}
