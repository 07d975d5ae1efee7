import TensorCore

extension ConfigurationValue {
    /// The value as JSON on one line, keys sorted.
    ///
    /// Numbers that JSON does not have are written as text.
    public var jsonText: String {
        switch self {
        case .null: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .integer(let value): return "\(value)"
        case .number(let value): return value.isFinite ? "\(value)" : "\(value)".quotedAsJSON
        case .string(let value): return value.quotedAsJSON
        case .array(let values): return "[" + values.map(\.jsonText).joined(separator: ", ") + "]"
        case .object(let fields):
            let pairs = fields.sorted { $0.key < $1.key }.map { "\($0.key.quotedAsJSON): \($0.value.jsonText)" }
            return "{" + pairs.joined(separator: ", ") + "}"
        }
    }
}
