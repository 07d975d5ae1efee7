/// What turns tokens into text again.
public indirect enum TokenDecoder: Sendable {
    /// Visible characters become bytes, bytes text; what is no UTF-8 becomes U+FFFD.
    case byteLevel
    /// Replacements become blanks, but for those of the first token.
    case metaspace(Metaspace)
    /// Runs of `<0x00>` to `<0xFF>` become text, or U+FFFD each when they are no UTF-8.
    case byteFallback
    /// All tokens become one, for the stages after this.
    case fuse
    /// A scalar goes from the ends of each token, at most so many times.
    case strip(Unicode.Scalar, start: Int, stop: Int)
    /// A string is replaced in each token.
    case replace(String, with: String)
    /// Continuations are joined, other tokens set apart.
    case wordPiece(WordPieceDecoder)
    /// One after the other.
    case sequence([TokenDecoder])

    /// Appends the stages that do this; `isFused` tells whether what comes in is one token in parts.
    func appendStages(to stages: inout [any DecodingStage], isFused: inout Bool) {
        if isFused, !worksInParts {
            stages.append(WholeStage(decoder: self))
            return
        }
        switch self {
        case .byteLevel:
            stages.append(ByteLevelStage())
            isFused = true
        case .metaspace(let metaspace): stages.append(MetaspaceStage(metaspace, isFused: isFused))
        case .byteFallback: stages.append(ByteFallbackStage())
        case .fuse: isFused = true
        case .strip(let scalar, let start, let stop):
            stages.append(StripStage(scalar, start: start, stop: stop, isFused: isFused))
        case .replace(let text, let content):
            stages.append(ReplaceStage(pattern: TextPattern(literal: text), content: Array(content.unicodeScalars)))
        case .wordPiece(let decoder): stages.append(WordPieceStage(decoder: decoder))
        case .sequence(let decoders):
            for decoder in decoders { decoder.appendStages(to: &stages, isFused: &isFused) }
        }
    }

    /// Whether one token may come in parts.
    private var worksInParts: Bool {
        switch self {
        case .metaspace, .fuse, .strip, .sequence: true
        case .replace(let text, _): text.unicodeScalars.count == 1
        case .byteLevel, .byteFallback, .wordPiece: false
        }
    }
}

/// A step from tokens to text that works token by token, keeping no more than what later tokens may change.
protocol DecodingStage: Sendable {
    /// Takes the next token, as UTF-8, and hands on what is settled.
    mutating func take(_ token: [UInt8], to next: inout [[UInt8]])

    /// Hands on what is left.
    mutating func finish(to next: inout [[UInt8]])
}

extension DecodingStage {
    mutating func finish(to next: inout [[UInt8]]) {}
}

/// The stages of a decoder, each feeding the next.
struct DecodingPipeline: Sendable {
    private var stages: [any DecodingStage] = []

    /// `nil` puts blanks between tokens.
    init(_ decoder: TokenDecoder?) {
        guard let decoder else {
            stages = [JoinStage()]
            return
        }
        var isFused = false
        decoder.appendStages(to: &stages, isFused: &isFused)
    }

    /// The text that a token settles.
    mutating func take(_ token: [UInt8]) -> [UInt8] { pass([token], from: 0) }

    /// The text that is left.
    mutating func finish() -> [UInt8] {
        var text: [UInt8] = []
        for index in stages.indices {
            var left: [[UInt8]] = []
            stages[index].finish(to: &left)
            text += pass(left, from: index + 1)
        }
        return text
    }

    private mutating func pass(_ tokens: [[UInt8]], from first: Int) -> [UInt8] {
        var tokens = tokens
        for index in stages.indices.dropFirst(first) {
            guard !tokens.isEmpty else { return [] }
            var next: [[UInt8]] = []
            for token in tokens { stages[index].take(token, to: &next) }
            tokens = next
        }
        return tokens.count == 1 ? tokens[0] : tokens.flatMap { $0 }
    }
}
