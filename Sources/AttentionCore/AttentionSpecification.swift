/// An operator by name, with the common options and its own, as written in a model's configuration:
///
///     { "name": "local", "window": [255, 0], "causal": true }
public struct AttentionSpecification: Sendable, Hashable {
    /// An operator's id or alias, or `auto`.
    public var name: String
    /// The options that every operator understands.
    public var options: AttentionOptions
    /// The operator's own options.
    public var configuration: [String: ConfigurationValue]

    /// Keys that every operator understands.
    public static let commonKeys = ["scale", "causal", "window", "mask", "softcap", "dropout", "seed"]

    /// The name that leaves the choice to the dispatcher.
    public static let automatic = "auto"

    /// A specification.
    public init(
        name: String = automatic, options: AttentionOptions = .init(), configuration: [String: ConfigurationValue] = [:]
    ) {
        self.name = name
        self.options = options
        self.configuration = configuration
    }

    /// Reads `{"name": ..., ...}`, or a bare name, as JSON text.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)``.
    public init(json: String) throws(AttentionError) {
        try self.init(ConfigurationValue(json: json))
    }

    /// Reads a configuration value: an object, or a string that is the name alone.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)``.
    public init(_ value: ConfigurationValue) throws(AttentionError) {
        switch value {
        case .string(let name): self.init(name: name)
        case .object(let fields): try self.init(fields: fields)
        default:
            throw .invalidOption(name: "attention", expected: "an operator's name or an object", actual: value.jsonText)
        }
    }

    /// Reads the fields of an object.
    /// - Parameter defaultName: the name when the fields have none.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)``.
    public init(
        fields: [String: ConfigurationValue], defaultName: String = automatic
    ) throws(AttentionError) {
        var reader = FieldReader(fields)
        name = try reader.string("name") ?? defaultName
        options = AttentionOptions(
            scale: try reader.float("scale"), mask: try reader.mask(), softcap: try reader.float("softcap"),
            dropout: try reader.float("dropout") ?? 0, seed: try reader.seed())
        configuration = reader.rest
    }

    /// The specification as one flat object.
    public var fields: [String: ConfigurationValue] {
        var fields = configuration
        fields["name"] = .string(name)
        if let scale = options.scale { fields["scale"] = .number(Double(scale)) }
        if let softcap = options.softcap { fields["softcap"] = .number(Double(softcap)) }
        if options.dropout != 0 { fields["dropout"] = .number(Double(options.dropout)) }
        if options.seed != 0 { fields["seed"] = .integer(Int(truncatingIfNeeded: options.seed)) }
        if options.mask != .full { fields["mask"] = options.mask.configuration }
        return fields
    }

    /// Finds the operator and checks every option.
    /// - Throws: ``AttentionError`` with the nearest names for an unknown operator or option.
    public func resolve(in registry: OperatorRegistry) throws(AttentionError) -> ResolvedAttention {
        guard name != Self.automatic else {
            if let key = configuration.keys.sorted().first {
                let suggestions = NearestName.suggestions(for: key, among: Self.commonKeys)
                throw .unknownOption(name: key, owner: name, suggestions: suggestions, known: Self.commonKeys)
            }
            return ResolvedAttention(specification: self, choice: .automatic(registry))
        }
        return ResolvedAttention(
            specification: self, choice: .named(try registry.make(name, configuration: configuration)))
    }
}

extension AttentionSpecification: Codable {
    /// Decodes a flat object or a bare name.
    public init(from decoder: any Decoder) throws {
        let value = try ConfigurationValue(from: decoder)
        self = try AttentionSpecification(value)
    }

    /// Encodes a flat object.
    public func encode(to encoder: any Encoder) throws { try ConfigurationValue.object(fields).encode(to: encoder) }
}

/// Takes the common keys out of an object, one by one; what is left is the operator's own.
private struct FieldReader {
    private(set) var rest: [String: ConfigurationValue]

    init(_ fields: [String: ConfigurationValue]) { rest = fields }

    mutating func string(_ key: String) throws(AttentionError) -> String? {
        guard let value = rest.removeValue(forKey: key) else { return nil }
        guard case .string(let text) = value else {
            throw .invalidOption(name: key, expected: "a string", actual: value.jsonText)
        }
        return text
    }

    mutating func float(_ key: String) throws(AttentionError) -> Float? {
        guard let value = rest.removeValue(forKey: key), value != .null else { return nil }
        guard let number = value.asDouble else {
            throw .invalidOption(name: key, expected: "a number", actual: value.jsonText)
        }
        return Float(number)
    }

    mutating func seed() throws(AttentionError) -> UInt64 {
        guard let value = rest.removeValue(forKey: "seed") else { return 0 }
        guard let number = value.asInteger else {
            throw .invalidOption(name: "seed", expected: "a whole number", actual: value.jsonText)
        }
        return UInt64(bitPattern: Int64(number))
    }

    mutating func mask() throws(AttentionError) -> AttentionMask {
        let corner = try causal()
        let window = try window(corner ?? .bottomRight)
        var parts: [AttentionMask] = []
        if let value = rest.removeValue(forKey: "mask") { parts.append(try AttentionMask(value)) }
        if let corner { parts.append(.causal(corner)) }
        if let window { parts.append(window) }
        return parts.isEmpty ? .full : parts.count == 1 ? parts[0] : .and(parts)
    }

    private mutating func causal() throws(AttentionError) -> MaskCorner? {
        switch rest.removeValue(forKey: "causal") {
        case nil, .bool(false), .null: return nil
        case .bool(true): return .bottomRight
        case .string(let text) where MaskCorner(rawValue: text) != nil: return MaskCorner(rawValue: text)
        case .some(let value):
            throw .invalidOption(
                name: "causal", expected: "true, false, \"top-left\" or \"bottom-right\"", actual: value.jsonText)
        }
    }

    private mutating func window(_ corner: MaskCorner) throws(AttentionError) -> AttentionMask? {
        guard let value = rest.removeValue(forKey: "window"), value != .null else { return nil }
        let expected = "[left, right] from 0 up, or -1 for unlimited"
        guard case .array(let sides) = value, sides.count == 2, let left = sides[0].asInteger,
            let right = sides[1].asInteger, left >= -1, right >= -1
        else {
            throw .invalidOption(name: "window", expected: expected, actual: value.jsonText)
        }
        if left == -1 && right == -1 { return nil }
        return .window(left: left < 0 ? nil : left, right: right < 0 ? nil : right, corner: corner)
    }
}
