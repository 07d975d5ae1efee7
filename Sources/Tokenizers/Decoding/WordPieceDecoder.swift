import Foundation

/// Joins tokens to a text again (`WordPiece` decoder).
public struct WordPieceDecoder: Sendable, Hashable {
    /// What tokens inside a word begin with; it is taken off.
    public let prefix: String
    /// Whether blanks before punctuation and English contractions go.
    public let cleansUp: Bool

    /// A decoder.
    public init(prefix: String = "##", cleansUp: Bool = true) {
        self.prefix = prefix
        self.cleansUp = cleansUp
    }

    /// The text of tokens.
    ///
    /// Cost: O(length).
    public func decode(_ tokens: [String]) -> String {
        tokens.enumerated().map { text(of: $0.element, isFirst: $0.offset == 0) }.joined()
    }

    /// The text that one token adds.
    func text(of token: String, isFirst: Bool) -> String {
        var piece = token
        if !isFirst {
            // By bytes: a combining accent after the prefix must not hide it.
            piece =
                token.utf8.starts(with: prefix.utf8)
                ? String(decoding: token.utf8.dropFirst(prefix.utf8.count), as: UTF8.self) : " " + token
        }
        return cleansUp ? Self.cleaned(piece) : piece
    }

    /// The replacements of the library, in its order.
    private static let replacements = [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
        (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ]

    private static func cleaned(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: " ")) else { return text }
        return replacements.reduce(text) {
            $0.replacingOccurrences(of: $1.0, with: $1.1, options: .literal)
        }
    }
}
