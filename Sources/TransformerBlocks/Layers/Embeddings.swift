import AttentionCore

/// Turns token numbers into rows: the table every model begins with.
public struct TokenEmbedding: Block, Hashable {
    /// Rows of the table.
    public var vocabulary: Int
    /// What rows are multiplied by; a head that is tied to the table does not see it.
    public var scale: Float

    /// A table of `vocabulary` rows, as wide as the model.
    public init(vocabulary: Int, scale: Float = 1) {
        self.vocabulary = vocabulary
        self.scale = scale
    }
}

extension TokenEmbedding: LayerDefinition {
    static var kind: String { "token-embedding" }
    var node: LayerNode { .tokenEmbedding(self) }
    var summary: String { "\(vocabulary) tokens" + (scale == 1 ? "" : ", scale \(scale)") }

    var configuration: ConfigurationValue {
        var fields: [String: ConfigurationValue] = ["vocabulary": .integer(vocabulary)]
        if scale != 1 { fields["scale"] = ConfigurationValue(scale) }
        return .object(fields)
    }

    init(_ value: ConfigurationValue, place: String, attention: inout AttentionPattern) throws(ModelError) {
        var reader = try FieldReader(value, place: place)
        self.init(vocabulary: try reader.requiredInteger("vocabulary"), scale: try reader.float("scale") ?? 1)
        try reader.finish()
    }

    func inspect(_ inspector: inout ModelInspector) {
        inspector.requirePositive("vocabulary", vocabulary)
        if !scale.isFinite { inspector.mismatch("scale", expected: "a finite number", actual: "\(scale)") }
        if inspector.stream.rows != .ids {
            let actual = inspector.stream.vocabulary == nil ? "after other layers" : "after another token-embedding"
            inspector.mismatch("its place", expected: "first, and once", actual: actual)
        }
        if inspector.stream.vocabulary == nil { inspector.stream.vocabulary = vocabulary }
        if inspector.stream.rows == .ids { inspector.stream.rows = .tokens }
        inspector.parameter("weight", [vocabulary, inspector.stream.width], .embedding)
    }
}

/// Adds a learned row for each place in the sequence.
public struct PositionEmbedding: Block, Hashable {
    /// The most places.
    public var length: Int
    /// Rows of the table before the one of the first place: 2 in OPT.
    public var offset: Int

    /// A table of `length + offset` rows, as wide as the model.
    public init(length: Int, offset: Int = 0) {
        self.length = length
        self.offset = offset
    }
}

extension PositionEmbedding: LayerDefinition {
    static var kind: String { "position-embedding" }
    var node: LayerNode { .positionEmbedding(self) }
    var summary: String { "\(length) places" + (offset == 0 ? "" : ", offset \(offset)") }

    var configuration: ConfigurationValue {
        var fields: [String: ConfigurationValue] = ["length": .integer(length)]
        if offset != 0 { fields["offset"] = .integer(offset) }
        return .object(fields)
    }

    init(_ value: ConfigurationValue, place: String, attention: inout AttentionPattern) throws(ModelError) {
        var reader = try FieldReader(value, place: place)
        self.init(length: try reader.requiredInteger("length"), offset: try reader.integer("offset") ?? 0)
        try reader.finish()
    }

    func inspect(_ inspector: inout ModelInspector) {
        inspector.requirePositive("length", length)
        if !(0...ModelInspector.maximumExtent).contains(offset) {
            inspector.mismatch(
                "offset", expected: "a number from 0 to \(ModelInspector.maximumExtent)", actual: "\(offset)")
            return
        }
        inspector.requireTokens()
        inspector.requireOutsideResidual()
        inspector.stream.maximumLength = min(inspector.stream.maximumLength ?? .max, max(0, length))
        inspector.parameter("weight", [max(0, length) + offset, inspector.stream.width], .embedding)
    }
}

/// Adds a learned row for each segment, as BERT does for sentence pairs.
public struct TokenTypeEmbedding: Block, Hashable {
    /// The number of segments.
    public var types: Int

    /// A table of `types` rows, as wide as the model.
    public init(types: Int) { self.types = types }
}

extension TokenTypeEmbedding: LayerDefinition {
    static var kind: String { "token-type-embedding" }
    var node: LayerNode { .tokenTypeEmbedding(self) }
    var summary: String { "\(types) types" }
    var configuration: ConfigurationValue { ["types": .integer(types)] }

    init(_ value: ConfigurationValue, place: String, attention: inout AttentionPattern) throws(ModelError) {
        var reader = try FieldReader(value, place: place)
        types = try reader.requiredInteger("types")
        try reader.finish()
    }

    func inspect(_ inspector: inout ModelInspector) {
        inspector.requirePositive("types", types)
        inspector.requireTokens()
        inspector.requireOutsideResidual()
        inspector.parameter("weight", [types, inspector.stream.width], .embedding)
    }
}
