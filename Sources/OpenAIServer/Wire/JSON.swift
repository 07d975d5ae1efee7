package import Tokenizers

/// JSON with fields in order, as requests and responses are read and written.
package typealias JSON = TemplateValue

extension TemplateValue {
    /// The value as JSON on one line; numbers that JSON does not have are null.
    package var jsonText: String {
        var text = ""
        write(to: &text)
        return text
    }

    private func write(to text: inout String) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .integer(let value): text += "\(value)"
        case .number(let value): text += value.isFinite ? "\(value)" : "null"
        case .string(let value): text += value.jsonQuoted()
        case .array(let items):
            text += "["
            for (index, item) in items.enumerated() {
                if index > 0 { text += "," }
                item.write(to: &text)
            }
            text += "]"
        case .object(let fields):
            text += "{"
            for (index, field) in fields.enumerated() {
                if index > 0 { text += "," }
                text += field.name.jsonQuoted()
                text += ":"
                field.value.write(to: &text)
            }
            text += "}"
        }
    }

    /// A word for what a value is, in complaints.
    var kind: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .string(let value): value.count <= 40 ? "'\(value)'" : "a text of \(value.count) characters"
        case .array(let items): "an array of \(items.count)"
        case .object: "an object"
        }
    }

    /// Adds a field to an object.
    mutating func append(_ name: String, _ value: TemplateValue) {
        guard case .object(let fields) = self else { return }
        self = .object(fields + [Field(name, value)])
    }

    /// A value, or null.
    init<Value>(_ value: Value?, _ make: (Value) -> TemplateValue) {
        self = value.map(make) ?? .null
    }
}
