/// A JSON document as written: keys keep their order and are never merged.
///
/// Foundation's decoders put objects into dictionaries of `String`, whose equality is canonical equivalence: a
/// vocabulary that holds both "é" and "e" + accent would lose one of them. So vocabularies are read here.
enum JSONValue {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([(key: String, value: JSONValue)])

    /// Parses a whole document.
    ///
    /// Cost: O(bytes).
    /// - Throws: ``TokenizerError/malformedJSON(file:byte:reason:)``.
    init(_ bytes: [UInt8], file: String) throws(TokenizerError) {
        var parser = JSONParser(bytes: bytes, file: file)
        self = try parser.document()
    }

    /// For messages.
    var summary: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .string(let value): "'\(value)'"
        case .array(let items): "an array of \(items.count)"
        case .object(let fields): "an object of \(fields.count) fields"
        }
    }
}

/// Recursive descent over UTF-8 (RFC 8259).
private struct JSONParser {
    let bytes: [UInt8]
    let file: String
    var position = 0

    /// Deeper nesting than any tokenizer file has; keeps hostile files from exhausting the stack.
    static let maximumDepth = 128

    init(bytes: [UInt8], file: String) {
        self.bytes = bytes
        self.file = file
    }

    mutating func document() throws(TokenizerError) -> JSONValue {
        let value = try value(depth: 0)
        skipSpace()
        guard position == bytes.count else { throw failure("text after the end of the document") }
        return value
    }

    private func failure(_ reason: String) -> TokenizerError {
        .malformedJSON(file: file, byte: position, reason: reason)
    }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private mutating func take(_ character: Character) throws(TokenizerError) {
        guard current == character.asciiValue else { throw failure("expected '\(character)'") }
        position += 1
    }

    private mutating func value(depth: Int) throws(TokenizerError) -> JSONValue {
        guard depth < Self.maximumDepth else { throw failure("nested deeper than \(Self.maximumDepth)") }
        skipSpace()
        switch current {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        case nil: throw failure("the document ends too early")
        default: return try number()
        }
    }

    private mutating func literal(_ word: String, _ value: JSONValue) throws(TokenizerError) -> JSONValue {
        guard bytes[position...].starts(with: word.utf8) else { throw failure("expected a value") }
        position += word.utf8.count
        return value
    }

    private mutating func object(depth: Int) throws(TokenizerError) -> JSONValue {
        position += 1
        var fields: [(key: String, value: JSONValue)] = []
        skipSpace()
        if current == UInt8(ascii: "}") {
            position += 1
            return .object(fields)
        }
        while true {
            skipSpace()
            guard current == UInt8(ascii: "\"") else { throw failure("expected a key") }
            let key = try string()
            skipSpace()
            try take(":")
            fields.append((key, try value(depth: depth + 1)))
            skipSpace()
            if current == UInt8(ascii: ",") {
                position += 1
                continue
            }
            try take("}")
            return .object(fields)
        }
    }

    private mutating func array(depth: Int) throws(TokenizerError) -> JSONValue {
        position += 1
        var items: [JSONValue] = []
        skipSpace()
        if current == UInt8(ascii: "]") {
            position += 1
            return .array(items)
        }
        while true {
            items.append(try value(depth: depth + 1))
            skipSpace()
            if current == UInt8(ascii: ",") {
                position += 1
                continue
            }
            try take("]")
            return .array(items)
        }
    }

    private mutating func number() throws(TokenizerError) -> JSONValue {
        let start = position
        while let byte = current, byte >= 0x2B && byte <= 0x39 && byte != 0x2C && byte != 0x2F || byte | 0x20 == 0x65 {
            position += 1
        }
        guard Self.isNumber(bytes[start..<position]) else {
            position = start
            throw failure("expected a value")
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if let integer = Int(text) { return .integer(integer) }
        guard let number = Double(text), number.isFinite else {
            position = start
            throw failure("expected a value")
        }
        return .number(number)
    }

    /// Whether text is a number of JSON: no plus sign before it, no zero before another digit, digits around a point.
    private static func isNumber(_ text: ArraySlice<UInt8>) -> Bool {
        func isDigit(_ byte: UInt8?) -> Bool { byte.map { (0x30...0x39).contains($0) } ?? false }
        let digits = text.first == UInt8(ascii: "-") ? text.dropFirst() : text
        guard isDigit(digits.first), isDigit(digits.last) else { return false }
        if digits.first == UInt8(ascii: "0"), isDigit(digits.dropFirst().first) { return false }
        guard let point = digits.firstIndex(of: UInt8(ascii: ".")) else { return true }
        return isDigit(digits[point + 1])
    }

    private mutating func string() throws(TokenizerError) -> String {
        position += 1
        var text: [UInt8] = []
        while let byte = current {
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let result = String(validating: text, as: UTF8.self) else { throw failure("invalid UTF-8") }
                return result
            case UInt8(ascii: "\\"): text.append(contentsOf: try escape())
            case 0..<0x20: throw failure("a control character inside a string")
            default: text.append(byte)
            }
        }
        throw failure("a string without end")
    }

    private mutating func escape() throws(TokenizerError) -> [UInt8] {
        guard let byte = current else { throw failure("a string without end") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"):
            var code = UInt32(try hexQuad())
            if code & 0xFC00 == 0xD800 {
                try take("\\")
                try take("u")
                let low = UInt32(try hexQuad())
                guard low & 0xFC00 == 0xDC00 else { throw failure("half of a surrogate pair") }
                code = 0x10000 + (code & 0x3FF) << 10 + (low & 0x3FF)
            }
            guard let scalar = Unicode.Scalar(code) else { throw failure("half of a surrogate pair") }
            return Array(UTF8.encode(scalar)!)
        default: throw failure("an unknown escape")
        }
    }

    private mutating func hexQuad() throws(TokenizerError) -> UInt16 {
        guard position + 4 <= bytes.count else { throw failure("a string without end") }
        var code: UInt16 = 0
        for byte in bytes[position..<position + 4] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw failure("expected four hex digits")
            }
            code = code << 4 | UInt16(digit)
        }
        position += 4
        return code
    }
}
