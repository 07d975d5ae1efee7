extension JinjaValue {
    /// What is written for this value: Python's `str`.
    var text: String {
        switch self {
        case .undefined: ""
        case .string(let value): value
        default: representation
        }
    }

    /// Python's `repr`.
    var representation: String {
        switch self {
        case .undefined: return "Undefined"
        case .null: return "None"
        case .bool(let value): return value ? "True" : "False"
        case .integer(let value): return "\(value)"
        case .float(let value): return Self.text(of: value)
        case .string(let value): return Self.quoted(value)
        case .list(let list):
            let items = list.items.map(\.representation).joined(separator: ", ")
            return list.isTuple ? "(\(items)\(list.items.count == 1 ? "," : ""))" : "[\(items)]"
        case .dictionary(let dictionary):
            let fields = dictionary.entries.map { "\($0.key.representation): \($0.value.representation)" }
            return "{" + fields.joined(separator: ", ") + "}"
        case .namespace: return "<Namespace>"
        case .method(let name): return "<method \(name)>"
        case .macro(let closure): return "<Macro '\(closure.macro.name)'>"
        case .loop(let loop): return "<LoopContext \(loop.index + 1)/\(loop.items.count)>"
        }
    }

    /// A float as Python writes it; both languages write the shortest digits that read back.
    private static func text(of value: Double) -> String {
        if value.isNaN { return "nan" }
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        return "\(value)"
    }

    private static func quoted(_ text: String) -> String {
        let quote: Unicode.Scalar =
            text.unicodeScalars.contains("'") && !text.unicodeScalars.contains("\"") ? "\"" : "'"
        var result = String(quote)
        for scalar in text.unicodeScalars {
            switch scalar {
            case quote, "\\": result += "\\" + String(scalar)
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case " ": result += " "
            default:
                if isPrintable(scalar) {
                    result.unicodeScalars.append(scalar)
                } else if scalar.value < 0x100 {
                    result += "\\x" + hex(scalar.value, digits: 2)
                } else if scalar.value < 0x10000 {
                    result += "\\u" + hex(scalar.value, digits: 4)
                } else {
                    result += "\\U" + hex(scalar.value, digits: 8)
                }
            }
        }
        return result + String(quote)
    }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
            .spaceSeparator:
            false
        default: true
        }
    }

    private static func hex(_ value: UInt32, digits: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }

    /// How `tojson` writes.
    struct JSONStyle {
        var indent: Int?
        var itemSeparator = ", "
        var keySeparator = ": "
        var sortsKeys = false
        var isASCII = false
    }

    /// JSON as Python's `json.dumps` writes it, or the name of a type that JSON does not have.
    func json(_ style: JSONStyle, depth: Int = 0) throws(JinjaTypeMismatch) -> String {
        switch self {
        case .null: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .integer(let value): return "\(value)"
        case .float(let value):
            if value.isNaN { return "NaN" }
            return value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : Self.text(of: value)
        case .string(let value): return value.jsonQuoted(isASCII: style.isASCII)
        case .list(let list):
            var parts: [String] = []
            for item in list.items { parts.append(try item.json(style, depth: depth + 1)) }
            return Self.wrapped(parts, "[", "]", style, depth)
        case .dictionary(let dictionary):
            var fields: [(key: String, value: JinjaValue)] = []
            for (key, value) in dictionary.entries { fields.append((try key.jsonKey(), value)) }
            if style.sortsKeys {
                fields.sort { $0.key.unicodeScalars.lexicographicallyPrecedes($1.key.unicodeScalars) }
            }
            var parts: [String] = []
            for (key, value) in fields {
                let name = key.jsonQuoted(isASCII: style.isASCII)
                parts.append(name + style.keySeparator + (try value.json(style, depth: depth + 1)))
            }
            return Self.wrapped(parts, "{", "}", style, depth)
        case .undefined, .namespace, .macro, .loop, .method: throw JinjaTypeMismatch(typeName: typeName)
        }
    }

    private func jsonKey() throws(JinjaTypeMismatch) -> String {
        if case .string(let text) = self { return text }
        guard number != nil || equal(.null) else { throw JinjaTypeMismatch(typeName: typeName) }
        return try json(JSONStyle())
    }

    private func equal(_ other: JinjaValue) -> Bool { JinjaValue.equal(self, other) }

    private static func wrapped(
        _ parts: [String], _ open: String, _ close: String, _ style: JSONStyle, _ depth: Int
    ) -> String {
        guard let indent = style.indent, !parts.isEmpty else {
            return open + parts.joined(separator: style.itemSeparator) + close
        }
        let inner = "\n" + String(repeating: " ", count: indent * (depth + 1))
        let outer = "\n" + String(repeating: " ", count: indent * depth)
        return open + inner + parts.joined(separator: style.itemSeparator + inner) + outer + close
    }
}

/// A value of a type that cannot be used here.
struct JinjaTypeMismatch: Error {
    let typeName: String
}
