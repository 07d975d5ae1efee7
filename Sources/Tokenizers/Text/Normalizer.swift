/// What is done to a text before it is cut into words.
public indirect enum Normalizer: Sendable {
    /// BERT's.
    case bert(BertNormalizer)
    /// Canonical decomposition, then composition.
    case nfc
    /// Canonical decomposition.
    case nfd
    /// Compatibility decomposition, then composition.
    case nfkc
    /// Compatibility decomposition.
    case nfkd
    /// Each scalar's lowercase mapping.
    case lowercase
    /// White space goes from the ends.
    case strip(left: Bool, right: Bool)
    /// Combining marks go; only what is decomposed has them.
    case stripAccents
    /// Something is put before a text that is not empty.
    case prepend(String)
    /// Every match is replaced.
    case replace(TextPattern, String)
    /// One after the other.
    case sequence([Normalizer])

    /// Whether a text's uppercase letters are lost.
    public var lowercases: Bool {
        switch self {
        case .bert(let normalizer): normalizer.lowercase
        case .lowercase: true
        case .sequence(let stages): stages.contains(where: \.lowercases)
        default: false
        }
    }

    /// The normalised text.
    ///
    /// Cost: O(length) for each stage.
    /// - Throws: ``TokenizerError/tooCostly(pattern:steps:)``, ``TokenizerError/tooLong(stage:limit:)``.
    public func normalize(_ text: String) throws(TokenizerError) -> String {
        var result = String.UnicodeScalarView()
        result.append(contentsOf: try normalize(Array(text.unicodeScalars)))
        return String(result)
    }

    func normalize(_ text: [Unicode.Scalar]) throws(TokenizerError) -> [Unicode.Scalar] {
        switch self {
        case .bert(let normalizer): return normalizer.normalize(text)
        case .nfc: return UnicodeNormalization.normalize(text, .composed)
        case .nfd: return UnicodeNormalization.normalize(text, .decomposed)
        case .nfkc: return UnicodeNormalization.normalize(text, .compatibilityComposed)
        case .nfkd: return UnicodeNormalization.normalize(text, .compatibilityDecomposed)
        case .lowercase: return UnicodeRules.lowercased(text)
        case .strip(let left, let right):
            var slice = left ? text.drop(while: UnicodeRules.isWhitespace) : text[...]
            while right, let last = slice.last, UnicodeRules.isWhitespace(last) { slice.removeLast() }
            return Array(slice)
        case .stripAccents: return text.filter { !UnicodeRules.isCombiningMark($0) }
        case .prepend(let prefix): return text.isEmpty ? text : Array(prefix.unicodeScalars) + text
        case .replace(let pattern, let content):
            return try pattern.replacing(text, with: Array(content.unicodeScalars))
        case .sequence(let stages):
            var result = text
            for stage in stages { result = try stage.normalize(result) }
            return result
        }
    }
}
