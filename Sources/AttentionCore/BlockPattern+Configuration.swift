extension BlockPattern: Codable {
    /// The names of all rules.
    public static let names = [
        "window", "global", "longformer", "bigbird", "strided", "fixed", "dilated", "image", "axial", "random",
    ]

    /// Reads `{"name": "bigbird", "windowBlocks": 1, ...}`, the form that ``configuration`` writes; absent parameters take
    /// their defaults where they have one.
    /// - Throws: ``AttentionError`` for unknown names and parameters and for values out of range.
    public init(_ value: ConfigurationValue) throws(AttentionError) {
        var reader = try PatternReader(value, owner: "pattern", known: Self.names)
        switch reader.name {
        case "window":
            let left = try reader.integer("left")
            self = .window(left: left, right: try reader.integer("right", default: left))
        case "global": self = .global(tokens: try reader.integer("tokens", default: 1))
        case "longformer":
            self = .longformer(
                window: try reader.integer("window"), tokens: try reader.integer("tokens", default: 1))
        case "bigbird":
            self = .bigBird(
                windowBlocks: try reader.integer("windowBlocks", default: 1),
                globalBlocks: try reader.integer("globalBlocks", default: 1),
                randomBlocks: try reader.integer("randomBlocks", default: 3),
                perHead: try reader.bool("perHead", default: false))
        case "strided": self = .strided(stride: try reader.integer("stride"))
        case "fixed":
            self = .fixed(stride: try reader.integer("stride"), summary: try reader.integer("summary", default: 1))
        case "dilated":
            self = .dilated(window: try reader.integer("window"), dilation: try reader.integer("dilation"))
        case "image":
            self = .image(
                height: try reader.integer("height"), width: try reader.integer("width"),
                window: try reader.integer("window", default: 1))
        case "axial": self = .axial(height: try reader.integer("height"), width: try reader.integer("width"))
        default:
            self = .random(
                density: try reader.number("density"), perHead: try reader.bool("perHead", default: false))
        }
        try reader.finish()
        try validate()
    }

    /// The pattern as a configuration value, every parameter written out.
    public var configuration: ConfigurationValue {
        let fields: [String: ConfigurationValue] =
            switch self {
            case .window(let left, let right): ["name": "window", "left": .integer(left), "right": .integer(right)]
            case .global(let tokens): ["name": "global", "tokens": .integer(tokens)]
            case .longformer(let window, let tokens):
                ["name": "longformer", "window": .integer(window), "tokens": .integer(tokens)]
            case .bigBird(let window, let globals, let random, let perHead):
                [
                    "name": "bigbird", "windowBlocks": .integer(window), "globalBlocks": .integer(globals),
                    "randomBlocks": .integer(random), "perHead": .bool(perHead),
                ]
            case .strided(let stride): ["name": "strided", "stride": .integer(stride)]
            case .fixed(let stride, let summary):
                ["name": "fixed", "stride": .integer(stride), "summary": .integer(summary)]
            case .dilated(let window, let dilation):
                ["name": "dilated", "window": .integer(window), "dilation": .integer(dilation)]
            case .image(let height, let width, let window):
                [
                    "name": "image", "height": .integer(height), "width": .integer(width), "window": .integer(window),
                ]
            case .axial(let height, let width):
                ["name": "axial", "height": .integer(height), "width": .integer(width)]
            case .random(let density, let perHead):
                ["name": "random", "density": .number(density), "perHead": .bool(perHead)]
            }
        return .object(fields)
    }

    /// Decodes the form that ``configuration`` writes.
    public init(from decoder: any Decoder) throws { try self.init(ConfigurationValue(from: decoder)) }

    /// Encodes ``configuration``.
    public func encode(to encoder: any Encoder) throws { try configuration.encode(to: encoder) }
}

/// Takes the parameters out of a named value, one by one; what is left is refused.
package struct PatternReader {
    /// What the value is called.
    package let name: String
    private let owner: String
    private var rest: [String: ConfigurationValue]
    private var seen: [String] = []

    /// Reads `{"name": ..., ...}`, or a name alone.
    /// - Throws: ``AttentionError``.
    package init(_ value: ConfigurationValue, owner: String, known: [String]) throws(AttentionError) {
        var fields: [String: ConfigurationValue]
        switch value {
        case .string(let name): fields = ["name": .string(name)]
        case .object(let object): fields = object
        default: fields = [:]
        }
        guard case .string(let name)? = fields.removeValue(forKey: "name") else {
            throw .invalidOption(
                name: owner, expected: "an object with a name, one of \(known.joined(separator: ", "))",
                actual: value.jsonText)
        }
        guard known.contains(name) else {
            throw .unknownOption(
                name: name, owner: owner, suggestions: NearestName.suggestions(for: name, among: known), known: known)
        }
        self.name = name
        self.owner = "\(owner) '\(name)'"
        rest = fields
    }

    private mutating func take(_ key: String) -> ConfigurationValue? {
        seen.append(key)
        return rest.removeValue(forKey: key)
    }

    private func failure(_ key: String, _ expected: String, _ value: ConfigurationValue?) -> AttentionError {
        .invalidOption(name: key, expected: "\(expected), of \(owner)", actual: value?.jsonText ?? "missing")
    }

    /// A whole number.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)``.
    package mutating func integer(_ key: String, default defaultValue: Int? = nil) throws(AttentionError) -> Int {
        let value = take(key)
        guard let number = value == nil ? defaultValue : value?.asInteger else {
            throw failure(key, "a whole number", value)
        }
        return number
    }

    /// Whole numbers.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)``.
    package mutating func integers(_ key: String) throws(AttentionError) -> [Int] {
        let value = take(key)
        guard case .array(let elements)? = value else { throw failure(key, "whole numbers", value) }
        let numbers = elements.compactMap(\.asInteger)
        guard numbers.count == elements.count else { throw failure(key, "whole numbers", value) }
        return numbers
    }

    /// A number.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)``.
    package mutating func number(_ key: String) throws(AttentionError) -> Double {
        let value = take(key)
        guard let number = value?.asDouble else { throw failure(key, "a number", value) }
        return number
    }

    /// Text; `nil` when absent.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)``.
    package mutating func string(_ key: String) throws(AttentionError) -> String? {
        guard let value = take(key) else { return nil }
        guard case .string(let text) = value else { throw failure(key, "text", value) }
        return text
    }

    /// true or false.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)``.
    package mutating func bool(_ key: String, default defaultValue: Bool) throws(AttentionError) -> Bool {
        guard let value = take(key) else { return defaultValue }
        guard case .bool(let flag) = value else { throw failure(key, "true or false", value) }
        return flag
    }

    /// Refuses what nobody asked for.
    /// - Throws: ``AttentionError/unknownOption(name:owner:suggestions:known:)``.
    package func finish() throws(AttentionError) {
        guard let stray = rest.keys.sorted().first else { return }
        throw .unknownOption(
            name: stray, owner: owner, suggestions: NearestName.suggestions(for: stray, among: seen), known: seen)
    }
}
