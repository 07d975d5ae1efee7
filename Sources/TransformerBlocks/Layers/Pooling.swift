import AttentionCore

/// Makes one row of each sequence.
///
/// Several modes stand side by side, in the order given.
public struct Pooling: Block, Hashable {
    /// How the rows of a sequence become one.
    public enum Mode: String, Sendable, Hashable, Codable, CaseIterable {
        /// Their mean.
        case mean
        /// The first.
        case cls
        /// The largest value of each feature.
        case max
    }

    /// The modes; more than one widens the row.
    public var modes: [Mode]

    /// Pooling by one mode.
    public init(_ mode: Mode = .mean) { modes = [mode] }

    /// Pooling by several modes, side by side.
    public init(_ modes: [Mode]) { self.modes = modes }
}

extension Pooling: LayerDefinition {
    static var kind: String { "pooling" }
    var node: LayerNode { .pooling(self) }
    var summary: String { modes.map(\.rawValue).joined(separator: ", ") }

    var configuration: ConfigurationValue {
        modes == [.mean] ? [:] : ["modes": .array(modes.map { .string($0.rawValue) })]
    }

    init(_ value: ConfigurationValue, place: String, attention: inout AttentionPattern) throws(ModelError) {
        var reader = try FieldReader(value, place: place)
        let list = reader.value("modes")
        try reader.finish()
        guard let list else {
            self.init()
            return
        }
        let expected = "a list of " + Mode.allCases.map(\.rawValue).joined(separator: ", ")
        guard case .array(let items) = list else { throw reader.failure("modes", expected, list) }
        var modes: [Mode] = []
        for item in items {
            guard case .string(let name) = item, let mode = Mode(rawValue: name) else {
                throw reader.failure("modes", expected, list)
            }
            modes.append(mode)
        }
        self.init(modes)
    }

    func inspect(_ inspector: inout ModelInspector) {
        inspector.requireTokens()
        inspector.requireOutsideResidual()
        if modes.isEmpty { inspector.mismatch("modes", expected: "at least one", actual: "empty") }
        inspector.stream.rows = .sequences
        inspector.stream.width *= Swift.max(1, modes.count)
    }
}
