import AttentionCore

/// One linear layer.
///
/// What follows it is as wide as its outputs.
public struct Linear: Block, Hashable {
    /// Features that come out.
    public var outputs: Int
    /// Whether a bias is added.
    public var bias: Bool

    /// A linear layer.
    public init(outputs: Int, bias: Bool = true) {
        self.outputs = outputs
        self.bias = bias
    }
}

extension Linear: LayerDefinition {
    static var kind: String { "linear" }
    var node: LayerNode { .linear(self) }
    var summary: String { "to \(outputs)" + (bias ? "" : ", no bias") }

    var configuration: ConfigurationValue {
        var fields: [String: ConfigurationValue] = ["outputs": .integer(outputs)]
        if !bias { fields["bias"] = false }
        return .object(fields)
    }

    init(_ value: ConfigurationValue, place: String, attention: inout AttentionPattern) throws(ModelError) {
        var reader = try FieldReader(value, place: place)
        self.init(outputs: try reader.requiredInteger("outputs"), bias: try reader.bool("bias") ?? true)
        try reader.finish()
    }

    func inspect(_ inspector: inout ModelInspector) {
        inspector.requireRows()
        inspector.requirePositive("outputs", outputs)
        inspector.parameter("weight", [outputs, inspector.stream.width], .matrix)
        if bias { inspector.parameter("bias", [outputs], .bias) }
        inspector.stream.width = outputs
    }
}
