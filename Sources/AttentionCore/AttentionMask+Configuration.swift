extension AttentionMask: Codable {
    /// Reads the form that ``configuration`` writes.
    ///
    /// One of `"full"`, `"causal"`, `"causal-top-left"`, `{"window": [l, r]}`,
    /// `{"window": [l, r], "corner": "top-left"}`, `{"prefix": n}`, `{"and": [...]}`, `{"or": [...]}`, `{"not": ...}`,
    /// `{"documents": {"queries": [[start, count], ...], "keys": [...], "inner": mask}}` or
    /// `{"documents": {"lengths": [...], "inner": mask}}`, `{"tree": [parents]}`,
    /// `{"shift": {"mask": mask, "by": [queries, keys], "lengths": [queries, keys]}}` and
    /// `{"blocks": {"size": n, "layout": [[0, 1], ...]}}`. Functions written in Swift have no such form.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)``.
    public init(_ value: ConfigurationValue) throws(AttentionError) {
        let failure = AttentionError.invalidOption(
            name: "mask",
            expected: "\"full\", \"causal\", \"causal-top-left\", or an object with window, prefix, and, or, not, "
                + "documents, tree, shift or blocks",
            actual: value.jsonText)
        switch value {
        case .string("full"): self = .full
        case .string("causal"): self = .causal(.bottomRight)
        case .string("causal-top-left"): self = .causal(.topLeft)
        case .object(let fields):
            if let sides = fields["window"] {
                guard Set(fields.keys).isSubset(of: ["window", "corner"]) else { throw failure }
                var corner = MaskCorner.bottomRight
                if let text = fields["corner"] {
                    guard case .string(let name) = text, let named = MaskCorner(rawValue: name) else { throw failure }
                    corner = named
                }
                self = try Self.window(sides, corner: corner)
                return
            }
            guard fields.count == 1, let (key, inner) = fields.first else { throw failure }
            switch (key, inner) {
            case ("prefix", _):
                guard let length = inner.asInteger, length >= 0 else {
                    throw .invalidOption(name: "prefix", expected: "a length from 0 up", actual: inner.jsonText)
                }
                self = .prefix(length: length)
            case ("and", .array(let parts)): self = .and(try Self.read(parts))
            case ("or", .array(let parts)): self = .or(try Self.read(parts))
            case ("not", _): self = .not(try AttentionMask(inner))
            case ("documents", _): self = .documents(try DocumentMask(inner))
            case ("tree", _): self = .tree(try TreeMask(inner))
            case ("shift", _): self = .shifted(try ShiftedMask(inner))
            case ("blocks", _): self = .blocks(try BlockLayout(inner))
            case ("function", _):
                throw .invalidOption(
                    name: "mask", expected: "a mask that can be written down; functions exist in Swift alone",
                    actual: value.jsonText)
            default: throw failure
            }
        default: throw failure
        }
    }

    /// Reads the sides of a window, `[left, right]`.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)``.
    static func window(_ sides: ConfigurationValue, corner: MaskCorner) throws(AttentionError) -> AttentionMask {
        let allowed = -1...maximumSide
        guard case .array(let pair) = sides, pair.count == 2, let left = pair[0].asInteger,
            let right = pair[1].asInteger, allowed.contains(left), allowed.contains(right)
        else {
            throw .invalidOption(
                name: "window", expected: "[left, right] from 0 up, or -1 for unlimited", actual: sides.jsonText)
        }
        return .window(left: left < 0 ? nil : left, right: right < 0 ? nil : right, corner: corner)
    }

    /// Decodes the form that ``configuration`` writes.
    public init(from decoder: any Decoder) throws { try self.init(ConfigurationValue(from: decoder)) }

    /// Encodes ``configuration``.
    public func encode(to encoder: any Encoder) throws { try configuration.encode(to: encoder) }

    private static func read(_ values: [ConfigurationValue]) throws(AttentionError) -> [AttentionMask] {
        var masks: [AttentionMask] = []
        for value in values { masks.append(try AttentionMask(value)) }
        return masks
    }

    /// The mask as a configuration value.
    public var configuration: ConfigurationValue {
        switch self {
        case .full: "full"
        case .causal(.bottomRight): "causal"
        case .causal(.topLeft): "causal-top-left"
        case .window(let left, let right, let corner):
            .object(
                ["window": .array([.integer(left ?? -1), .integer(right ?? -1)])]
                    .merging(corner == .topLeft ? ["corner": .string(corner.rawValue)] : [:]) { $1 })
        case .prefix(let length): .object(["prefix": .integer(length)])
        case .and(let parts): .object(["and": .array(parts.map(\.configuration))])
        case .or(let parts): .object(["or": .array(parts.map(\.configuration))])
        case .not(let part): .object(["not": part.configuration])
        case .documents(let documents): documents.configuration
        case .tree(let tree): .object(["tree": .array(tree.parents.map { .integer($0) })])
        case .shifted(let shifted): shifted.configuration
        case .blocks(let layout): layout.configuration
        case .function(let function): .object(["function": .string(function.name)])
        }
    }
}
