/// An operator by name, with the common options and its own.
///
/// As written in a model's configuration:
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

    /// Reads `{"name": ..., ...}` as JSON text, or a bare name with or without quotes.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)``.
    public init(json: String) throws(AttentionError) {
        if CatalogueEntry.isName(json) {
            self.init(name: json)
        } else {
            try self.init(ConfigurationValue(json: json))
        }
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
        var reader = SpecificationReader(fields)
        name = try reader.string("name") ?? defaultName
        options = AttentionOptions(
            scale: try reader.float("scale"), mask: try reader.mask(), softcap: try reader.float("softcap"),
            dropout: try reader.float("dropout") ?? 0, seed: try reader.seed())
        configuration = reader.rest
        try options.validate()
    }

    /// The specification as one flat object, which decodes to the same specification.
    public var fields: [String: ConfigurationValue] {
        var fields = configuration
        fields["name"] = .string(name)
        if let scale = options.scale { fields["scale"] = ConfigurationValue(scale) }
        if let softcap = options.softcap { fields["softcap"] = ConfigurationValue(softcap) }
        if options.dropout != 0 { fields["dropout"] = ConfigurationValue(options.dropout) }
        if options.seed != 0 { fields["seed"] = .integer(Int(truncatingIfNeeded: options.seed)) }
        return fields.merging(Self.fields(of: options.mask)) { $1 }
    }

    /// A mask by the keys `causal` and `window` where they can say it, else by `mask`.
    private static func fields(of mask: AttentionMask) -> [String: ConfigurationValue] {
        func sides(_ left: Int?, _ right: Int?) -> ConfigurationValue {
            .array([.integer(left ?? -1), .integer(right ?? -1)])
        }
        func causal(_ corner: MaskCorner) -> ConfigurationValue {
            corner == .bottomRight ? true : .string(corner.rawValue)
        }
        switch mask {
        case .full: return [:]
        case .causal(let corner): return ["causal": causal(corner)]
        case .window(let left, let right, .bottomRight) where left != nil || right != nil:
            return ["window": sides(left, right)]
        case .and(let parts):
            guard parts.count == 2, case .causal(let corner) = parts[0],
                case .window(let left, let right, corner) = parts[1], left != nil || right != nil
            else { break }
            return ["causal": causal(corner), "window": sides(left, right)]
        default: break
        }
        return ["mask": mask.configuration]
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
        do throws(AttentionError) {
            return ResolvedAttention(
                specification: self, choice: .named(try registry.make(name, configuration: configuration)))
        } catch {
            guard case .unknownOperator(_, _, let known) = error else { throw error }
            throw registry.unknown(name, known: known + [Self.automatic])
        }
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

    /// The specification as JSON on one line, keys sorted.
    public var jsonText: String { ConfigurationValue.object(fields).jsonText }
}
