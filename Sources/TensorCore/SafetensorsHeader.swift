/// The header of a safetensors file: a JSON object of fixed depth.
///
/// Own code, because the format needs what general parsers do not promise: duplicate keys refused, integers exact, no
/// recursion that hostile nesting could exhaust.
struct SafetensorsHeader {
    /// One tensor's entry, not yet checked against the data.
    struct Entry {
        let name: String
        let dtype: DType
        let shape: [Int]
        let begin: Int
        let end: Int
    }

    private(set) var entries: [Entry] = []
    private(set) var metadata: [String: String] = [:]

    /// Parses the bytes of a header.
    init(_ bytes: UnsafeRawBufferPointer) throws(SafetensorsError) {
        var scanner = JSONScanner(bytes)
        var names: Set<String> = []
        try scanner.expect(UInt8(ascii: "{"))
        if try !scanner.consume(UInt8(ascii: "}")) {
            repeat {
                let name = try scanner.string()
                guard names.insert(name).inserted else { throw .duplicateName(name) }
                try scanner.expect(UInt8(ascii: ":"))
                if name == "__metadata__" {
                    metadata = try Self.metadata(&scanner)
                } else {
                    entries.append(try Self.entry(name, &scanner))
                }
            } while try scanner.consume(UInt8(ascii: ","))
            try scanner.expect(UInt8(ascii: "}"))
        }
        try scanner.expectEnd()
    }

    private static func metadata(_ scanner: inout JSONScanner) throws(SafetensorsError) -> [String: String] {
        var result: [String: String] = [:]
        try scanner.expect(UInt8(ascii: "{"))
        if try scanner.consume(UInt8(ascii: "}")) { return result }
        repeat {
            let key = try scanner.string()
            try scanner.expect(UInt8(ascii: ":"))
            guard result.updateValue(try scanner.string(), forKey: key) == nil else { throw .duplicateName(key) }
        } while try scanner.consume(UInt8(ascii: ","))
        try scanner.expect(UInt8(ascii: "}"))
        return result
    }

    private static func entry(_ name: String, _ scanner: inout JSONScanner) throws(SafetensorsError) -> Entry {
        var dtype: DType?
        var shape: [Int]?
        var offsets: [Int]?
        try scanner.expect(UInt8(ascii: "{"))
        repeat {
            let field = try scanner.string()
            try scanner.expect(UInt8(ascii: ":"))
            switch field {
            case "dtype" where dtype == nil:
                let text = try scanner.string()
                guard let known = DType(rawValue: text) else { throw .unknownDType(tensor: name, dtype: text) }
                dtype = known
            case "shape" where shape == nil: shape = try scanner.integers()
            case "data_offsets" where offsets == nil: offsets = try scanner.integers()
            case "dtype", "shape", "data_offsets": throw .duplicateName("\(name).\(field)")
            default: throw .invalidField(tensor: name, field: field, expected: "absent")
            }
        } while try scanner.consume(UInt8(ascii: ","))
        try scanner.expect(UInt8(ascii: "}"))
        guard let dtype else { throw .invalidField(tensor: name, field: "dtype", expected: "present") }
        guard let shape else { throw .invalidField(tensor: name, field: "shape", expected: "present") }
        guard let offsets, offsets.count == 2 else {
            throw .invalidField(tensor: name, field: "data_offsets", expected: "[begin, end]")
        }
        return Entry(name: name, dtype: dtype, shape: shape, begin: offsets[0], end: offsets[1])
    }
}

/// Reads the few JSON values that a header holds, front to back.
private struct JSONScanner {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    private func failure(_ reason: String) -> SafetensorsError { .malformedHeader(reason: reason, byte: position) }

    private mutating func skipSpace() {
        while position < bytes.count, [0x20, 0x0a, 0x0d, 0x09].contains(bytes[position]) { position += 1 }
    }

    mutating func consume(_ byte: UInt8) throws(SafetensorsError) -> Bool {
        skipSpace()
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    mutating func expect(_ byte: UInt8) throws(SafetensorsError) {
        guard try consume(byte) else { throw failure("expected '\(Character(UnicodeScalar(byte)))'") }
    }

    mutating func expectEnd() throws(SafetensorsError) {
        skipSpace()
        guard position == bytes.count else { throw failure("expected the header to end") }
    }

    mutating func integers() throws(SafetensorsError) -> [Int] {
        var result: [Int] = []
        try expect(UInt8(ascii: "["))
        if try consume(UInt8(ascii: "]")) { return result }
        repeat { result.append(try integer()) } while try consume(UInt8(ascii: ","))
        try expect(UInt8(ascii: "]"))
        return result
    }

    private mutating func integer() throws(SafetensorsError) -> Int {
        skipSpace()
        let start = position
        var value = 0
        while position < bytes.count, (0x30...0x39).contains(bytes[position]) {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(Int(bytes[position]) - 0x30)
            if overflow || carry { throw failure("a number is too large") }
            value = sum
            position += 1
        }
        guard position > start else { throw failure("expected a whole number from 0 up") }
        if bytes[start] == 0x30 && position > start + 1 { throw failure("a number has a leading zero") }
        return value
    }

    mutating func string() throws(SafetensorsError) -> String {
        try expect(UInt8(ascii: "\""))
        var content: [UInt8] = []
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: content, as: UTF8.self) else {
                    throw failure("a string is not UTF-8")
                }
                return text
            case UInt8(ascii: "\\"): try escape(&content)
            case ..<0x20: throw failure("a string holds a control character")
            default: content.append(byte)
            }
        }
        throw failure("a string does not end")
    }

    private mutating func escape(_ content: inout [UInt8]) throws(SafetensorsError) {
        guard position < bytes.count else { throw failure("a string does not end") }
        let byte = bytes[position]
        position += 1
        let simple: [UInt8: UInt8] = [
            0x22: 0x22, 0x5c: 0x5c, 0x2f: 0x2f, 0x62: 0x08, 0x66: 0x0c, 0x6e: 0x0a, 0x72: 0x0d, 0x74: 0x09,
        ]
        if let plain = simple[byte] {
            content.append(plain)
            return
        }
        guard byte == UInt8(ascii: "u") else { throw failure("an escape is unknown") }
        var code = try hexadecimal()
        if (0xd800...0xdbff).contains(code) {
            // A character beyond the first plane is written as two escapes.
            guard position + 1 < bytes.count, bytes[position] == 0x5c, bytes[position + 1] == UInt8(ascii: "u") else {
                throw failure("a surrogate stands alone")
            }
            position += 2
            let low = try hexadecimal()
            guard (0xdc00...0xdfff).contains(low) else { throw failure("a surrogate stands alone") }
            code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
        }
        guard let scalar = UnicodeScalar(code) else { throw failure("an escape is not a character") }
        content.append(contentsOf: Array(String(scalar).utf8))
    }

    private mutating func hexadecimal() throws(SafetensorsError) -> UInt32 {
        guard position + 4 <= bytes.count,
            let text = String(validating: bytes[position..<position + 4], as: UTF8.self),
            text.allSatisfy(\.isHexDigit), let code = UInt32(text, radix: 16)
        else { throw failure("an escape needs four hexadecimal digits") }
        position += 4
        return code
    }
}
