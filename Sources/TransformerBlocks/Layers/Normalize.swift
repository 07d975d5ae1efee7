import AttentionCore

/// Scales each row to Euclidean length one; a row of zeros stays.
public struct Normalize: Block, Hashable {
    /// The only value.
    public init() {}
}

extension Normalize: LayerDefinition {
    static var kind: String { "normalize" }
    var node: LayerNode { .normalize(self) }
    var summary: String { "" }
    var configuration: ConfigurationValue { [:] }

    init(_ value: ConfigurationValue, place: String, attention: inout AttentionPattern) throws(ModelError) {
        try FieldReader(value, place: place).finish()
    }

    func inspect(_ inspector: inout ModelInspector) { inspector.requireRows() }
}
