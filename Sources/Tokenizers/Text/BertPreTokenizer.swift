/// Splits normalised text into words: at white space, which goes, and around punctuation, which stays
/// (`BertPreTokenizer`).
public struct BertPreTokenizer: Sendable, Hashable {
    /// The only value.
    public init() {}

    /// The words of a text.
    ///
    /// Cost: O(length).
    public func split(_ text: String) -> [String] {
        let scalars = Array(text.unicodeScalars)
        return words(scalars).map { range in
            var view = String.UnicodeScalarView()
            view.append(contentsOf: scalars[range])
            return String(view)
        }
    }

    func words(_ scalars: [Unicode.Scalar]) -> [Range<Int>] {
        var words: [Range<Int>] = []
        var start = 0
        for (index, scalar) in scalars.enumerated() {
            let isPunctuation = UnicodeRules.isPunctuation(scalar)
            guard isPunctuation || UnicodeRules.isWhitespace(scalar) else { continue }
            if start < index { words.append(start..<index) }
            if isPunctuation { words.append(index..<index + 1) }
            start = index + 1
        }
        if start < scalars.count { words.append(start..<scalars.count) }
        return words
    }
}
