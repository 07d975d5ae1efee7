import AttentionCore

/// Adds its input to what the inner layers make of it.
///
/// With ``LayerNorm`` as the first inner layer it is a pre-norm block; with ``LayerNorm`` after it, a post-norm block.
public struct Residual: Block, Hashable {
    /// The inner layers.
    public var layers: [LayerNode]

    /// A residual connection around layers.
    public init(@BlockBuilder _ layers: () throws -> [LayerNode]) rethrows { self.layers = try layers() }

    /// A residual connection around a list of layers.
    public init(layers: [LayerNode]) { self.layers = layers }
}

extension Residual: LayerDefinition {
    static var kind: String { "residual" }
    var node: LayerNode { .residual(self) }
    var summary: String { "" }
    var configuration: ConfigurationValue { LayerList.configuration(layers) }

    init(_ value: ConfigurationValue, place: String, attention: inout AttentionPattern) throws(ModelError) {
        layers = try LayerList.read(value, place: place, attention: &attention)
    }

    func inspect(_ inspector: inout ModelInspector) {
        if layers.isEmpty { inspector.mismatch("its content", expected: "at least one layer", actual: "empty") }
        let before = inspector.stream
        inspector.residualDepth += 1
        inspector.inspect(layers)
        inspector.residualDepth -= 1
        if inspector.stream.width != before.width {
            inspector.mismatch(
                "the width of what is added", expected: "\(before.width), as what comes in",
                actual: "\(inspector.stream.width)")
            inspector.stream.width = before.width
        }
    }
}
