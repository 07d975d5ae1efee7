import TensorCore

/// A JSON value whose objects keep the order of their keys: rules for modules apply in the order in which they stand.
indirect enum OrderedJSON {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case array([OrderedJSON])
    case object([(key: String, value: OrderedJSON)])

    /// The value of a key; `nil` when there is none, or when this is no object.
    subscript(key: String) -> OrderedJSON? {
        guard case .object(let fields) = self else { return nil }
        return fields.first { $0.key == key }?.value
    }

    /// JSON text on one line.
    var text: String {
        switch self {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .string(let value): value.quotedAsJSON
        case .array(let values): "[" + values.map(\.text).joined(separator: ", ") + "]"
        case .object(let fields):
            "{" + fields.map { $0.key.quotedAsJSON + ": " + $0.value.text }.joined(separator: ", ") + "}"
        }
    }

    /// Reads JSON text (RFC 8259): whole, in UTF-8, no key twice in an object, at most 64 levels deep.
    /// - Throws: ``CheckpointFormatError`` with the file and the byte.
    static func parse(_ bytes: [UInt8], file: String) throws(CheckpointFormatError) -> OrderedJSON {
        var reader = Reader(bytes: bytes, file: file)
        let value = try reader.value(depth: 0)
        reader.skipSpace()
        guard reader.position == bytes.count else { throw reader.failure("the end of the text") }
        return value
    }

    private struct Reader {
        let bytes: [UInt8]
        let file: String
        var position = 0

        var next: UInt8? { position < bytes.count ? bytes[position] : nil }

        func failure(_ expected: String) -> CheckpointFormatError {
            let actual = next.map { "byte \($0 < 0x7f && $0 > 0x20 ? String(UnicodeScalar($0)) : String($0))" }
            return CheckpointFormatError(
                place: file, field: "JSON", expected: "\(expected) at byte \(position)", actual: actual ?? "its end")
        }

        mutating func skipSpace() {
            while let byte = next, [0x20, 0x09, 0x0a, 0x0d].contains(byte) { position += 1 }
        }

        mutating func take(_ text: StaticString) -> Bool {
            let count = text.utf8CodeUnitCount
            guard position + count <= bytes.count else { return false }
            let wanted = UnsafeBufferPointer(start: text.utf8Start, count: count)
            guard bytes[position..<(position + count)].elementsEqual(wanted) else { return false }
            position += count
            return true
        }

        mutating func value(depth: Int) throws(CheckpointFormatError) -> OrderedJSON {
            guard depth < 64 else { throw failure("at most 64 levels") }
            skipSpace()
            if take("null") { return .null }
            if take("true") { return .bool(true) }
            if take("false") { return .bool(false) }
            switch next {
            case UInt8(ascii: "\""): return .string(try string())
            case UInt8(ascii: "["): return .array(try array(depth: depth))
            case UInt8(ascii: "{"): return .object(try object(depth: depth))
            default: return try number()
            }
        }

        mutating func array(depth: Int) throws(CheckpointFormatError) -> [OrderedJSON] {
            position += 1
            var values: [OrderedJSON] = []
            skipSpace()
            if take("]") { return values }
            while true {
                values.append(try value(depth: depth + 1))
                skipSpace()
                if take("]") { return values }
                guard take(",") else { throw failure("\",\" or \"]\"") }
            }
        }

        mutating func object(depth: Int) throws(CheckpointFormatError) -> [(key: String, value: OrderedJSON)] {
            position += 1
            var fields: [(key: String, value: OrderedJSON)] = []
            var keys: Set<String> = []
            skipSpace()
            if take("}") { return fields }
            while true {
                skipSpace()
                guard next == UInt8(ascii: "\"") else { throw failure("a key") }
                let key = try string()
                guard keys.insert(key).inserted else { throw failure("a key other than \"\(key)\" again before") }
                skipSpace()
                guard take(":") else { throw failure("\":\"") }
                fields.append((key, try value(depth: depth + 1)))
                skipSpace()
                if take("}") { return fields }
                guard take(",") else { throw failure("\",\" or \"}\"") }
            }
        }

        mutating func number() throws(CheckpointFormatError) -> OrderedJSON {
            let start = position
            let digits = Set("+-.0123456789eE".utf8)
            while let byte = next, digits.contains(byte) { position += 1 }
            let text = String(decoding: bytes[start..<position], as: UTF8.self)
            if let value = Int(text), !text.hasPrefix("+") { return .integer(value) }
            if let value = Double(text), value.isFinite, !text.hasPrefix("+") { return .number(value) }
            position = start
            throw failure("a value")
        }

        mutating func string() throws(CheckpointFormatError) -> String {
            position += 1
            var result: [UInt8] = []
            while let byte = next {
                position += 1
                switch byte {
                case UInt8(ascii: "\""):
                    guard let text = String(validating: result, as: UTF8.self) else {
                        throw failure("UTF-8 in the text before")
                    }
                    return text
                case UInt8(ascii: "\\"): result.append(contentsOf: try escape())
                case 0..<0x20:
                    position -= 1
                    throw failure("an escape for a control character")
                default: result.append(byte)
                }
            }
            throw failure("\"\\\"\"")
        }

        mutating func escape() throws(CheckpointFormatError) -> [UInt8] {
            guard let byte = next else { throw failure("an escape") }
            position += 1
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
            case UInt8(ascii: "b"): return [0x08]
            case UInt8(ascii: "f"): return [0x0c]
            case UInt8(ascii: "n"): return [0x0a]
            case UInt8(ascii: "r"): return [0x0d]
            case UInt8(ascii: "t"): return [0x09]
            case UInt8(ascii: "u"):
                var units = [try unit()]
                if UTF16.isLeadSurrogate(units[0]), take("\\u") { units.append(try unit()) }
                guard let text = String(validating: units, as: UTF16.self) else {
                    throw failure("a pair of surrogates before")
                }
                return Array(text.utf8)
            default: throw failure("an escape")
            }
        }

        mutating func unit() throws(CheckpointFormatError) -> UInt16 {
            guard position + 4 <= bytes.count else { throw failure("four hexadecimal digits") }
            var result: UInt16 = 0
            for _ in 0..<4 {
                guard let digit = Character(UnicodeScalar(bytes[position])).hexDigitValue else {
                    throw failure("a hexadecimal digit")
                }
                result = result << 4 | UInt16(digit)
                position += 1
            }
            return result
        }
    }
}
