import AttentionCore

/// Turns token numbers into rows: the table every model begins with.
public struct TokenEmbedding: Block, Hashable {
    /// Rows of the table.
    public var vocabulary: Int

    /// A table of `vocabulary` rows, as wide as the model.
    public init(vocabulary: Int) { self.vocabulary = vocabulary }
}

extension TokenEmbedding: LayerDefinition {
    static var kind: String { "token-embedding" }
    var node: LayerNode { .tokenEmbedding(self) }
    var summary: String { "\(vocabulary) tokens" }
    var configuration: ConfigurationValue { ["vocabulary": .integer(vocabulary)] }

    init(_ value: ConfigurationValue, place: String, attention: inout AttentionPattern) throws(ModelError) {
        var reader = try FieldReader(value, place: place)
        vocabulary = try reader.requiredInteger("vocabulary")
        try reader.finish()
    }

    func inspect(_ inspector: inout ModelInspector) {
        inspector.requirePositive("vocabulary", vocabulary)
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

    /// A table of `length` rows, as wide as the model.
    public init(length: Int) { self.length = length }
}

extension PositionEmbedding: LayerDefinition {
    static var kind: String { "position-embedding" }
    var node: LayerNode { .positionEmbedding(self) }
    var summary: String { "\(length) places" }
    var configuration: ConfigurationValue { ["length": .integer(length)] }

    init(_ value: ConfigurationValue, place: String, attention: inout AttentionPattern) throws(ModelError) {
        var reader = try FieldReader(value, place: place)
        length = try reader.requiredInteger("length")
        try reader.finish()
    }

    func inspect(_ inspector: inout ModelInspector) {
        inspector.requirePositive("length", length)
        inspector.requireTokens()
        inspector.requireOutsideResidual()
        inspector.stream.maximumLength = min(inspector.stream.maximumLength ?? .max, max(0, length))
        inspector.parameter("weight", [length, inspector.stream.width], .embedding)
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
