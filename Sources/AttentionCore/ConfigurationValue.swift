import Foundation

/// A value of a configuration file, JSON or YAML, before an operator gives it a type.
///
/// `2` and `2.0` are equal, because a JSON file cannot keep them apart.
public enum ConfigurationValue: Sendable {
    /// Nothing.
    case null
    /// true or false.
    case bool(Bool)
    /// A whole number.
    case integer(Int)
    /// Any other number.
    case number(Double)
    /// Text.
    case string(String)
    /// A list.
    case array([ConfigurationValue])
    /// Named values.
    case object([String: ConfigurationValue])

    /// The number, whole or not.
    public var asDouble: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    /// The whole number.
    public var asInteger: Int? {
        switch self {
        case .integer(let value): value
        case .number(let value): Int(exactly: value)
        default: nil
        }
    }

    /// The shortest decimal number that a Float reads back as itself.
    public init(_ value: Float) {
        let short = Double("\(value)") ?? Double(value)
        let double = Float(short) == value ? short : Double(value)
        self = Int(exactly: double).map { .integer($0) } ?? .number(double)
    }

    /// Reads JSON text.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)`` when the text is not JSON.
    public init(json: String) throws(AttentionError) {
        do {
            self = try JSONDecoder().decode(ConfigurationValue.self, from: Data(json.utf8))
        } catch {
            throw .invalidOption(name: "configuration", expected: "JSON", actual: "'\(json.prefix(80))'")
        }
    }
}

extension ConfigurationValue: Hashable {
    /// Whether two values are the same, numbers by what they count.
    public static func == (left: ConfigurationValue, right: ConfigurationValue) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let left), .bool(let right)): left == right
        case (.string(let left), .string(let right)): left == right
        case (.array(let left), .array(let right)): left == right
        case (.object(let left), .object(let right)): left == right
        case (.number(let left), .number(let right)): left == right
        case (.integer, .integer), (.integer, .number), (.number, .integer): left.asInteger == right.asInteger
        default: false
        }
    }

    /// Feeds what ``==(_:_:)`` compares.
    public func hash(into hasher: inout Hasher) {
        switch self {
        case .null: hasher.combine(0)
        case .bool(let value): hasher.combine(value)
        case .string(let value): hasher.combine(value)
        case .array(let value): hasher.combine(value)
        case .object(let value): hasher.combine(value)
        case .integer(let value): hasher.combine(value)
        case .number(let value):
            if let whole = asInteger { hasher.combine(whole) } else { hasher.combine(value) }
        }
    }
}

extension ConfigurationValue: Codable {
    /// Decodes whatever is there, trying the narrowest type first.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([ConfigurationValue].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: ConfigurationValue].self))
        }
    }

    /// Encodes the plain value.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }
}

extension ConfigurationValue: ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    /// true or false.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// A whole number.
    public init(integerLiteral value: Int) { self = .integer(value) }
    /// A number.
    public init(floatLiteral value: Double) { self = .number(value) }
    /// Text.
    public init(stringLiteral value: String) { self = .string(value) }
    /// A list.
    public init(arrayLiteral elements: ConfigurationValue...) { self = .array(elements) }
    /// Named values; of a name that comes twice the last value counts.
    public init(dictionaryLiteral elements: (String, ConfigurationValue)...) {
        self = .object(Dictionary(elements, uniquingKeysWith: { $1 }))
    }
}
