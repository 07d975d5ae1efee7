import AttentionCore

/// Root-mean-square normalisation with a gain (Zhang and Sennrich, 2019).
public struct RMSNorm: Block, Hashable {
    /// What is added to the mean of squares.
    public var epsilon: Float
    /// What is added to the weight: 0, or 1 where weights are kept as their distance from one, as Gemma's.
    public var offset: Float

    /// A normalisation of each row.
    public init(epsilon: Float = 1e-6, offset: Float = 0) {
        self.epsilon = epsilon
        self.offset = offset
    }
}

extension RMSNorm: LayerDefinition {
    static var kind: String { "rms-norm" }
    var node: LayerNode { .rmsNorm(self) }
    var summary: String { "epsilon \(epsilon)" + (offset == 0 ? "" : ", offset \(offset)") }

    var configuration: ConfigurationValue {
        var fields: [String: ConfigurationValue] = [:]
        if epsilon != RMSNorm().epsilon { fields["epsilon"] = ConfigurationValue(epsilon) }
        if offset != 0 { fields["offset"] = ConfigurationValue(offset) }
        return .object(fields)
    }

    init(_ value: ConfigurationValue, place: String, attention: inout AttentionPattern) throws(ModelError) {
        try self.init(value, place: place)
    }

    /// Reads a configuration value.
    init(_ value: ConfigurationValue, place: String) throws(ModelError) {
        var reader = try FieldReader(value, place: place)
        self.init(epsilon: try reader.float("epsilon") ?? RMSNorm().epsilon, offset: try reader.float("offset") ?? 0)
        try reader.finish()
    }

    func inspect(_ inspector: inout ModelInspector) {
        inspector.requireRows()
        check(&inspector, subject: "")
        inspector.parameter("weight", [inspector.stream.width], .gain)
    }

    /// Reports settings that are not numbers one can compute with.
    func check(_ inspector: inout ModelInspector, subject: String) {
        if !(epsilon.isFinite && epsilon >= 0) {
            inspector.mismatch(subject + "epsilon", expected: "a finite number from 0 up", actual: "\(epsilon)")
        }
        if !offset.isFinite {
            inspector.mismatch(subject + "offset", expected: "a finite number", actual: "\(offset)")
        }
    }
}
