/// Blanks between tokens.
struct JoinStage: DecodingStage {
    private var isFirst = true

    mutating func take(_ token: [UInt8], to next: inout [[UInt8]]) {
        next.append(isFirst ? token : [UInt8(ascii: " ")] + token)
        isFirst = false
    }
}

/// Bytes from visible characters; the beginning of a character waits for its end.
struct ByteLevelStage: DecodingStage {
    private var waiting: [UInt8] = []

    mutating func take(_ token: [UInt8], to next: inout [[UInt8]]) {
        let scalars = String(decoding: token, as: UTF8.self).unicodeScalars
        let start = waiting.count
        for scalar in scalars {
            guard scalar.value < ByteLevel.bytes.count, let byte = ByteLevel.bytes[Int(scalar.value)] else {
                // A token with other characters, as added tokens may be, is text as it stands.
                waiting.replaceSubrange(start..., with: token)
                break
            }
            waiting.append(byte)
        }
        let end = waiting.count - UTF8Repair.unfinished(waiting)
        guard end > 0 else { return }
        next.append(UTF8Repair.repaired(waiting[..<end]))
        waiting.removeSubrange(..<end)
    }

    mutating func finish(to next: inout [[UInt8]]) {
        guard !waiting.isEmpty else { return }
        next.append(UTF8Repair.repaired(waiting[...]))
        waiting = []
    }
}

/// Characters from bytes that a vocabulary without them fell back on.
///
/// One wrong byte makes all of its run U+FFFD, so a run waits for its end.
struct ByteFallbackStage: DecodingStage {
    private var run: [UInt8] = []

    mutating func take(_ token: [UInt8], to next: inout [[UInt8]]) {
        if let byte = Self.byte(token) {
            run.append(byte)
        } else {
            finish(to: &next)
            next.append(token)
        }
    }

    mutating func finish(to next: inout [[UInt8]]) {
        guard !run.isEmpty else { return }
        if String(validating: run, as: UTF8.self) != nil {
            next.append(run)
        } else {
            for _ in run { next.append(UTF8Repair.replacement) }
        }
        run = []
    }

    private static func byte(_ token: [UInt8]) -> UInt8? {
        guard token.count == 6, token.starts(with: "<0x".utf8), token[5] == UInt8(ascii: ">") else { return nil }
        return UInt8(String(decoding: token[3..<5], as: UTF8.self), radix: 16)
    }
}

/// Blanks from replacements.
struct MetaspaceStage: DecodingStage {
    private let replacement: Unicode.Scalar
    private let dropsFirst: Bool
    private let isFused: Bool
    private var isFirst = true

    init(_ metaspace: Metaspace, isFused: Bool) {
        replacement = metaspace.replacement
        dropsFirst = metaspace.prependScheme != .never
        self.isFused = isFused
    }

    mutating func take(_ token: [UInt8], to next: inout [[UInt8]]) {
        var text = String.UnicodeScalarView()
        for scalar in String(decoding: token, as: UTF8.self).unicodeScalars {
            guard scalar == replacement else {
                text.append(scalar)
                continue
            }
            if !(isFirst && dropsFirst) { text.append(" ") }
        }
        isFirst = isFused
        next.append(Array(String(text).utf8))
    }
}

/// A scalar off the ends.
struct StripStage: DecodingStage {
    private let scalar: [UInt8]
    private let start: Int
    private let stop: Int
    private let isFused: Bool
    /// How many may still go from the beginning.
    private var left: Int
    /// How many wait, lest the text end here.
    private var waiting = 0

    init(_ scalar: Unicode.Scalar, start: Int, stop: Int, isFused: Bool) {
        self.scalar = Array(String(scalar).utf8)
        self.start = start
        self.stop = stop
        self.isFused = isFused
        left = start
    }

    mutating func take(_ token: [UInt8], to next: inout [[UInt8]]) {
        var rest = token[...]
        while left > 0, rest.starts(with: scalar) {
            rest = rest.dropFirst(scalar.count)
            left -= 1
        }
        if !rest.isEmpty || !isFused { left = 0 }
        if rest.isEmpty, isFused { return }
        var text: [UInt8] = []
        for _ in 0..<waiting { text += scalar }
        text += rest
        waiting = 0
        while waiting < stop, text.count >= scalar.count, text.suffix(scalar.count).elementsEqual(scalar) {
            text.removeLast(scalar.count)
            waiting += 1
        }
        next.append(text)
        if !isFused {
            left = start
            waiting = 0
        }
    }
}

/// One string for another.
struct ReplaceStage: DecodingStage {
    let pattern: TextPattern
    let content: [Unicode.Scalar]

    mutating func take(_ token: [UInt8], to next: inout [[UInt8]]) {
        let scalars = Array(String(decoding: token, as: UTF8.self).unicodeScalars)
        // A literal has no cost limit that could be passed.
        guard let replaced = try? pattern.replacing(scalars, with: content) else { return next.append(token) }
        var text = String.UnicodeScalarView()
        text.append(contentsOf: replaced)
        next.append(Array(String(text).utf8))
    }
}

/// Words from pieces.
struct WordPieceStage: DecodingStage {
    let decoder: WordPieceDecoder
    private var isFirst = true

    init(decoder: WordPieceDecoder) { self.decoder = decoder }

    mutating func take(_ token: [UInt8], to next: inout [[UInt8]]) {
        next.append(Array(decoder.text(of: String(decoding: token, as: UTF8.self), isFirst: isFirst).utf8))
        isFirst = false
    }
}

/// Waits for all of a token that comes in parts.
struct WholeStage: DecodingStage {
    let decoder: TokenDecoder
    private var token: [UInt8] = []

    init(decoder: TokenDecoder) { self.decoder = decoder }

    mutating func take(_ token: [UInt8], to next: inout [[UInt8]]) { self.token += token }

    mutating func finish(to next: inout [[UInt8]]) {
        var pipeline = DecodingPipeline(decoder)
        next.append(pipeline.take(token))
        next.append(pipeline.finish())
    }
}

/// Bytes that may be no UTF-8.
enum UTF8Repair {
    /// U+FFFD.
    static let replacement: [UInt8] = [0xEF, 0xBF, 0xBD]

    /// The bytes with every maximal part of a broken character replaced (Unicode, section 3.9).
    static func repaired(_ bytes: ArraySlice<UInt8>) -> [UInt8] { Array(String(decoding: bytes, as: UTF8.self).utf8) }

    /// How many of the last bytes begin a character that may yet be completed: 0 to 3.
    static func unfinished(_ bytes: [UInt8]) -> Int {
        for length in 1...3 where length <= bytes.count {
            let lead = bytes[bytes.count - length]
            guard lead & 0xC0 != 0x80 else { continue }
            let needed =
                switch lead {
                case 0xC2...0xDF: 2
                case 0xE0...0xEF: 3
                case 0xF0...0xF4: 4
                default: 1
                }
            guard needed > length else { return 0 }
            guard length > 1 else { return 1 }
            let second = bytes[bytes.count - length + 1]
            let isPossible =
                switch lead {
                case 0xE0: second >= 0xA0
                case 0xED: second < 0xA0
                case 0xF0: second >= 0x90
                case 0xF4: second < 0x90
                default: true
                }
            return isPossible ? length : 0
        }
        return 0
    }
}
