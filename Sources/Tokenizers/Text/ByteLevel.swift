/// Writes every byte of a text as a visible character, so that a vocabulary of 256 characters spells anything
/// (Radford et al., 2019).
public struct ByteLevel: Sendable, Hashable {
    /// Whether a text that does not begin with a blank gets one.
    public var addsPrefixSpace: Bool
    /// Whether the text is cut into words first, by GPT-2's expression.
    public var usesRegex: Bool

    /// A stage.
    public init(addsPrefixSpace: Bool = true, usesRegex: Bool = true) {
        self.addsPrefixSpace = addsPrefixSpace
        self.usesRegex = usesRegex
    }

    /// The character of each byte: itself when it is visible in Latin-1, else the next one from U+0100 on.
    static let characters: [Unicode.Scalar] = {
        var next: UInt32 = 0x100
        return (UInt32(0)..<256).map { byte in
            switch byte {
            case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return Unicode.Scalar(UInt8(byte))
            default:
                defer { next += 1 }
                return Unicode.Scalar(next) ?? " "
            }
        }
    }()

    /// The byte of each of ``characters``, by scalar value; those between are no bytes.
    static let bytes: [UInt8?] = {
        var table: [UInt8?] = Array(repeating: nil, count: 0x144)
        for (byte, scalar) in characters.enumerated() { table[Int(scalar.value)] = UInt8(byte) }
        return table
    }()

    /// GPT-2's words: contractions, letters, digits and other characters, each with the blank before, and white space.
    static let words = try? RegularExpression(
        #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#)

    func apply(_ list: inout WordList) throws(TokenizerError) {
        if addsPrefixSpace {
            list.rewrite { word, _, result in
                if word.first != " " { result.append(" ") }
                result.append(contentsOf: word)
            }
        }
        if usesRegex, let words = Self.words {
            try list.split(.isolated) { (text) throws(TokenizerError) in try words.matches(text) }
        }
        list.rewrite { word, _, result in
            for scalar in word {
                if scalar.value < 0x80 {
                    result.append(Self.characters[Int(scalar.value)])
                } else {
                    for byte in UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter {
                        result.append(Self.characters[Int(byte)])
                    }
                }
            }
        }
    }
}
