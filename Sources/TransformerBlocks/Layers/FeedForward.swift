import AttentionCore
public import Kernels

/// Two linear layers with a non-linearity between: the width to `hidden` and back.
public struct FeedForward: Block, Hashable {
    /// Features between the two layers.
    public var hidden: Int
    /// The non-linearity.
    public var activation: Activation
    /// Whether the layers have biases.
    public var bias: Bool

    /// A feed-forward block.
    public init(hidden: Int, activation: Activation = .gelu, bias: Bool = true) {
        self.hidden = hidden
        self.activation = activation
        self.bias = bias
    }
}

extension FeedForward: LayerDefinition {
    static var kind: String { "feed-forward" }
    var node: LayerNode { .feedForward(self) }
    var summary: String { "hidden \(hidden), \(activation.rawValue)" + (bias ? "" : ", no bias") }

    var configuration: ConfigurationValue {
        var fields: [String: ConfigurationValue] = ["hidden": .integer(hidden)]
        if activation != .gelu { fields["activation"] = .string(activation.rawValue) }
        if !bias { fields["bias"] = false }
        return .object(fields)
    }

    init(_ value: ConfigurationValue, place: String, attention: inout AttentionPattern) throws(ModelError) {
        var reader = try FieldReader(value, place: place)
        self.init(
            hidden: try reader.requiredInteger("hidden"), activation: try reader.choice("activation") ?? .gelu,
            bias: try reader.bool("bias") ?? true)
        try reader.finish()
    }

    func inspect(_ inspector: inout ModelInspector) {
        inspector.requireRows()
        inspector.requirePositive("hidden", hidden)
        let width = inspector.stream.width
        inspector.parameter("up.weight", [hidden, width], .matrix)
        if bias { inspector.parameter("up.bias", [hidden], .bias) }
        inspector.parameter("down.weight", [width, hidden], .matrix)
        if bias { inspector.parameter("down.bias", [width], .bias) }
    }
}
