import AttentionCore
public import Kernels

/// A feed-forward block with a gate (Shazeer, 2020): `down(activation(gate(x)) · up(x))`.
///
/// With SiLU it is SwiGLU, with GELU it is GeGLU.
public struct GatedFeedForward: Block, Hashable {
    /// Features of the gate.
    public var hidden: Int
    /// The non-linearity of the gate.
    public var activation: Activation
    /// Whether the three layers have biases.
    public var bias: Bool

    /// A gated feed-forward block.
    public init(hidden: Int, activation: Activation = .silu, bias: Bool = false) {
        self.hidden = hidden
        self.activation = activation
        self.bias = bias
    }
}

extension GatedFeedForward: LayerDefinition {
    static var kind: String { "gated-feed-forward" }
    var node: LayerNode { .gatedFeedForward(self) }
    var summary: String { "hidden \(hidden), \(activation.rawValue)" + (bias ? ", bias" : "") }

    var configuration: ConfigurationValue {
        var fields: [String: ConfigurationValue] = ["hidden": .integer(hidden)]
        if activation != .silu { fields["activation"] = .string(activation.rawValue) }
        if bias { fields["bias"] = true }
        return .object(fields)
    }

    init(_ value: ConfigurationValue, place: String, attention: inout AttentionPattern) throws(ModelError) {
        var reader = try FieldReader(value, place: place)
        self.init(
            hidden: try reader.requiredInteger("hidden"), activation: try reader.choice("activation") ?? .silu,
            bias: try reader.bool("bias") ?? false)
        try reader.finish()
    }

    func inspect(_ inspector: inout ModelInspector) {
        inspector.requireRows()
        inspector.requirePositive("hidden", hidden)
        let width = inspector.stream.width
        for name in ["gate", "up"] {
            inspector.parameter("\(name).weight", [hidden, width], .matrix)
            if bias { inspector.parameter("\(name).bias", [hidden], .bias) }
        }
        inspector.parameter("down.weight", [width, hidden], .matrix)
        if bias { inspector.parameter("down.bias", [width], .bias) }
    }
}
