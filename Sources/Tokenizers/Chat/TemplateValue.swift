/// A value that a chat template can use: JSON with fields in order.
public indirect enum TemplateValue: Sendable, Hashable {
    /// A field of an object.
    public struct Field: Sendable, Hashable {
        /// Its name.
        public var name: String
        /// Its value.
        public var value: TemplateValue

        /// A field.
        public init(_ name: String, _ value: TemplateValue) {
            self.name = name
            self.value = value
        }
    }

    /// Nothing: JSON's null, Python's `None`.
    case null
    /// A truth value.
    case bool(Bool)
    /// A whole number.
    case integer(Int)
    /// Another number.
    case number(Double)
    /// A text.
    case string(String)
    /// A list.
    case array([TemplateValue])
    /// Named values in order.
    case object([Field])

    /// Reads JSON.
    ///
    /// Cost: O(bytes).
    /// - Throws: ``TokenizerError/malformedJSON(file:byte:reason:)``.
    public init(json: [UInt8], name: String = "JSON") throws(TokenizerError) {
        self.init(try JSONValue(json, file: name))
    }

    init(_ value: JSONValue) {
        switch value {
        case .null: self = .null
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .integer(value)
        case .number(let value): self = .number(value)
        case .string(let value): self = .string(value)
        case .array(let items): self = .array(items.map(TemplateValue.init))
        case .object(let fields): self = .object(fields.map { Field($0.key, TemplateValue($0.value)) })
        }
    }
}

extension TemplateValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    /// A text.
    public init(stringLiteral value: String) { self = .string(value) }

    /// A truth value.
    public init(booleanLiteral value: Bool) { self = .bool(value) }

    /// A whole number.
    public init(integerLiteral value: Int) { self = .integer(value) }

    /// A list.
    public init(arrayLiteral elements: TemplateValue...) { self = .array(elements) }

    /// Named values in order.
    public init(dictionaryLiteral elements: (String, TemplateValue)...) {
        self = .object(elements.map { Field($0.0, $0.1) })
    }

    /// Nothing.
    public init(nilLiteral: ()) { self = .null }
}
