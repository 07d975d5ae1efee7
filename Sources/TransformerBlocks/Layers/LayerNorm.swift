import AttentionCore

/// Layer normalisation with a gain and, by default, a bias (Ba, Kiros and Hinton, 2016).
public struct LayerNorm: Block, Hashable {
    /// What is added to the variance.
    public var epsilon: Float
    /// Whether a bias is added.
    public var bias: Bool

    /// A normalisation of each row.
    public init(epsilon: Float = 1e-5, bias: Bool = true) {
        self.epsilon = epsilon
        self.bias = bias
    }
}

extension LayerNorm: LayerDefinition {
    static var kind: String { "layer-norm" }
    var node: LayerNode { .layerNorm(self) }
    var summary: String { "epsilon \(epsilon)" + (bias ? "" : ", no bias") }

    var configuration: ConfigurationValue {
        var fields: [String: ConfigurationValue] = [:]
        if epsilon != LayerNorm().epsilon { fields["epsilon"] = ConfigurationValue(epsilon) }
        if !bias { fields["bias"] = false }
        return .object(fields)
    }

    init(_ value: ConfigurationValue, place: String, attention: inout AttentionPattern) throws(ModelError) {
        var reader = try FieldReader(value, place: place)
        self.init(epsilon: try reader.float("epsilon") ?? LayerNorm().epsilon, bias: try reader.bool("bias") ?? true)
        try reader.finish()
    }

    func inspect(_ inspector: inout ModelInspector) {
        inspector.requireRows()
        if !(epsilon.isFinite && epsilon >= 0) {
            inspector.mismatch("epsilon", expected: "a finite number from 0 up", actual: "\(epsilon)")
        }
        inspector.parameter("weight", [inspector.stream.width], .gain)
        if bias { inspector.parameter("bias", [inspector.stream.width], .bias) }
    }
}
