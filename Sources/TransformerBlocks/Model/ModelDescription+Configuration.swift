public import AttentionCore
import Foundation
import Yams

extension ModelDescription {
    /// Reads a configuration value.
    /// - Throws: ``ModelError`` with the place and, for an unknown field, the nearest names.
    public init(_ value: ConfigurationValue) throws(ModelError) {
        var reader = try FieldReader(value, place: "model")
        width = try reader.requiredInteger("width")
        var pattern = AttentionPattern()
        if let value = reader.value("attention") { pattern = try AttentionPattern(value, place: "attention") }
        let list = reader.value("layers")
        try reader.finish()
        guard let list else { throw reader.failure("layers", "a list of layers", nil) }
        layers = try LayerList.read(list, place: "layers", attention: &pattern)
    }

    /// Reads JSON text.
    /// - Throws: ``ModelError``.
    public init(json: String) throws(ModelError) {
        do {
            try self.init(ConfigurationValue(json: json))
        } catch let error as ModelError {
            throw error
        } catch {
            throw .invalidField(place: "model", field: "the text", expected: "JSON", actual: "'\(json.prefix(80))'")
        }
    }

    /// Reads YAML text.
    /// - Throws: ``ModelError``.
    public init(yaml: String) throws(ModelError) {
        let node: Node?
        do {
            node = try Yams.compose(yaml: yaml)
        } catch {
            throw .invalidField(place: "model", field: "the text", expected: "YAML", actual: "\(error)")
        }
        try self.init(try ConfigurationValue(yaml: node, place: "model"))
    }

    /// The model as a configuration value, with repeated layers folded.
    public var configuration: ConfigurationValue {
        ["width": .integer(width), "layers": LayerList.configuration(layers)]
    }

    /// The model as JSON text.
    public var json: String { configuration.jsonText }

    /// The model as YAML text.
    public var yaml: String {
        // JSON is YAML; the block style is for people.
        (try? Yams.serialize(node: configuration.yamlNode)) ?? json
    }
}

extension ModelDescription: Codable {
    /// Decodes the form that ``configuration`` has.
    public init(from decoder: any Decoder) throws { self = try ModelDescription(ConfigurationValue(from: decoder)) }

    /// Encodes ``configuration``.
    public func encode(to encoder: any Encoder) throws { try configuration.encode(to: encoder) }
}

extension ConfigurationValue {
    /// Reads a YAML node by the tags of YAML's core schema.
    fileprivate init(yaml node: Node?, place: String) throws(ModelError) {
        switch node {
        case nil: self = .null
        case .sequence(let items):
            var values: [ConfigurationValue] = []
            for (index, item) in items.enumerated() {
                values.append(try ConfigurationValue(yaml: item, place: "\(place)[\(index)]"))
            }
            self = .array(values)
        case .mapping(let pairs):
            var fields: [String: ConfigurationValue] = [:]
            for (key, value) in pairs {
                guard case .scalar(let name) = key else {
                    throw .invalidField(place: place, field: "a key", expected: "text", actual: "a list or mapping")
                }
                fields[name.string] = try ConfigurationValue(yaml: value, place: "\(place).\(name.string)")
            }
            self = .object(fields)
        case .scalar(let scalar):
            self = Self.scalar(scalar, Node.scalar(scalar))
        case .alias:
            throw .invalidField(place: place, field: "the value", expected: "a value", actual: "an alias")
        }
    }

    private static func scalar(_ scalar: Node.Scalar, _ node: Node) -> ConfigurationValue {
        // A quoted scalar is text whatever it looks like.
        guard scalar.style == .plain || scalar.style == .any else { return .string(scalar.string) }
        if node.null != nil { return .null }
        if let value = node.bool { return .bool(value) }
        if let value = node.int { return .integer(value) }
        if let value = node.float { return .number(value) }
        return .string(scalar.string)
    }

    fileprivate var yamlNode: Node {
        switch self {
        case .null: return Node("null", Tag(.null))
        case .bool(let value): return Node(value ? "true" : "false", Tag(.bool))
        case .integer(let value): return Node("\(value)", Tag(.int))
        case .number(let value): return Node("\(value)", Tag(.float))
        case .string(let value): return Node(value, Tag(.str))
        case .array(let items): return Node(items.map(\.yamlNode), Tag(.seq))
        case .object(let fields):
            let pairs = fields.sorted { $0.key < $1.key }.map { (Node($0.key, Tag(.str)), $0.value.yamlNode) }
            return Node(pairs, Tag(.map))
        }
    }
}
