public import AttentionCore

/// How full attention is factorised.
///
/// The first three are exact over declared pairs; the others factorise the products themselves and approximate.
public enum FactorizedScheme: Sendable, Hashable {
    /// Sparse Transformer, strided: the last `stride` keys and the own one; every `stride`-th key.
    case strided(stride: Int)
    /// Sparse Transformer, fixed: the own stretch of `stride`; the last `summary` keys of every stretch.
    case fixed(stride: Int, summary: Int)
    /// Axial: along each axis of a grid, last axis fastest.
    case axial(shape: [Int])
    /// ``EfficientAttention``: softmax over the features of queries and over the tokens of keys.
    case efficient
    /// ``LinformerAttention``: projections of the sequence to `rank` keys and values.
    case lowRank(rank: Int)
    /// ``NystromAttention``: through `count` landmarks.
    case landmarks(count: Int)

    /// The names of all schemes.
    public static let names = ["strided", "fixed", "axial", "efficient", "low-rank", "landmarks"]

    /// The sparse patterns, in the paper's order: along the rows first for a grid, which is the last axis.
    public var factors: [TokenPattern] {
        switch self {
        case .strided(let stride): [.recent(stride: stride), .everyNth(stride: stride)]
        case .fixed(let stride, let summary): [.stretch(stride: stride), .summaries(stride: stride, summary: summary)]
        case .axial(let shape): shape.indices.reversed().map { .line(shape: shape, axis: $0) }
        case .efficient, .lowRank, .landmarks: []
        }
    }

    /// The operator that computes a factorisation of the products; `nil` for patterns.
    func approximation() throws(AttentionError) -> (any AttentionOperator)? {
        switch self {
        case .strided, .fixed, .axial: return nil
        case .efficient: return EfficientAttention(NoConfiguration())
        case .lowRank(let rank):
            var options = LinformerAttention.Configuration()
            options.rank = rank
            return try LinformerAttention(options)
        case .landmarks(let count):
            var options = NystromAttention.Configuration()
            options.landmarks = count
            return try NystromAttention(options)
        }
    }

    /// Checks the parameters.
    /// - Throws: ``AttentionCore/AttentionError/invalidOption(name:expected:actual:)``.
    public func validate() throws(AttentionError) {
        switch self {
        case .strided(let stride), .fixed(let stride, _):
            guard (1...Int(Int32.max)).contains(stride) else {
                throw .invalidOption(name: "stride", expected: "from 1 up", actual: "\(stride)")
            }
            if case .fixed(_, let summary) = self, !(1...stride).contains(summary) {
                throw .invalidOption(
                    name: "summary", expected: "from 1 to the stride, \(stride)", actual: "\(summary)")
            }
        case .axial(let shape):
            let fits = shape.reduce((1, false)) { result, extent in
                let (product, overflow) = result.0.multipliedReportingOverflow(by: extent)
                return (product, result.1 || overflow || extent < 1)
            }
            guard shape.count >= 2, !fits.1 else {
                throw .invalidOption(name: "shape", expected: "two extents or more, from 1 up", actual: "\(shape)")
            }
        case .efficient, .lowRank, .landmarks: _ = try approximation()
        }
    }
}

extension FactorizedScheme: Codable {
    /// Reads `{"name": "strided", "stride": 128}`, the form that ``configuration`` writes.
    /// - Throws: ``AttentionCore/AttentionError``.
    public init(_ value: ConfigurationValue) throws(AttentionError) {
        var reader = try PatternReader(value, owner: "scheme", known: Self.names)
        switch reader.name {
        case "strided": self = .strided(stride: try reader.integer("stride", default: 128))
        case "fixed":
            self = .fixed(
                stride: try reader.integer("stride", default: 128), summary: try reader.integer("summary", default: 8))
        case "axial": self = .axial(shape: try reader.integers("shape"))
        case "low-rank": self = .lowRank(rank: try reader.integer("rank", default: 128))
        case "landmarks": self = .landmarks(count: try reader.integer("count", default: 64))
        default: self = .efficient
        }
        try reader.finish()
        try validate()
    }

    /// The scheme as a configuration value, every parameter written out.
    public var configuration: ConfigurationValue {
        switch self {
        case .strided(let stride): ["name": "strided", "stride": .integer(stride)]
        case .fixed(let stride, let summary):
            ["name": "fixed", "stride": .integer(stride), "summary": .integer(summary)]
        case .axial(let shape): ["name": "axial", "shape": .array(shape.map { .integer($0) })]
        case .efficient: ["name": "efficient"]
        case .lowRank(let rank): ["name": "low-rank", "rank": .integer(rank)]
        case .landmarks(let count): ["name": "landmarks", "count": .integer(count)]
        }
    }

    /// Decodes the form that ``configuration`` writes.
    public init(from decoder: any Decoder) throws { try self.init(ConfigurationValue(from: decoder)) }

    /// Encodes ``configuration``.
    public func encode(to encoder: any Encoder) throws { try configuration.encode(to: encoder) }
}

/// Which factors a head of one layer has.
public enum FactorizedIntegration: String, Sendable, Hashable, Codable, CaseIterable {
    /// All: one softmax over their union.
    case merged
    /// One, by the layer.
    case alternating
    /// One, by the head: each factor has an equal share of consecutive heads.
    case perHead = "per-head"
}
