/// BERT's normaliser: cleans, sets ideographs apart, strips accents, lowercases, in this order (`BertNormalizer`).
public struct BertNormalizer: Sendable, Hashable {
    /// Whether control characters are removed and white space becomes a blank.
    public var cleanText: Bool
    /// Whether ideographs get a blank on either side.
    public var handleChineseCharacters: Bool
    /// Whether accents are removed; `nil` means as ``lowercase`` says.
    public var stripAccents: Bool?
    /// Whether each scalar is replaced by its lowercase mapping.
    public var lowercase: Bool

    /// A normaliser; the defaults are those of uncased BERT.
    public init(
        cleanText: Bool = true, handleChineseCharacters: Bool = true, stripAccents: Bool? = nil, lowercase: Bool = true
    ) {
        self.cleanText = cleanText
        self.handleChineseCharacters = handleChineseCharacters
        self.stripAccents = stripAccents
        self.lowercase = lowercase
    }

    /// The normalised text.
    ///
    /// Cost: O(length).
    public func normalize(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        result.append(contentsOf: normalize(Array(text.unicodeScalars)))
        return String(result)
    }

    func normalize(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
        var text = scalars
        if cleanText {
            text = text.compactMap { scalar in
                if UnicodeRules.isRemoved(scalar) { return nil }
                return UnicodeRules.isWhitespace(scalar) ? " " : scalar
            }
        }
        if handleChineseCharacters, text.contains(where: UnicodeRules.isIdeograph) {
            text = text.flatMap { UnicodeRules.isIdeograph($0) ? [" ", $0, " "] : [$0] }
        }
        if stripAccents ?? lowercase {
            text = UnicodeRules.decomposed(text)
            text.removeAll(where: UnicodeRules.isNonspacingMark)
        }
        return lowercase ? UnicodeRules.lowercased(text) : text
    }
}
