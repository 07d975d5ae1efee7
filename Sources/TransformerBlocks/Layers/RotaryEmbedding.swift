import AttentionCore

/// Positions as rotations of pairs of features of queries and keys (Su et al., 2021).
///
/// Pair `i` of a token at place `p` is turned by `p · theta^(-2i / dimension)`, changed by ``scaling``.
public struct RotaryEmbedding: Sendable, Hashable {
    /// Which features are a pair.
    public enum Layout: String, Sendable, Hashable, Codable, CaseIterable {
        /// Features `i` and `i + dimension / 2`, as in GPT-NeoX and Hugging Face's Llama.
        case halfSplit = "half-split"
        /// Features `2i` and `2i + 1`, as in the paper and GPT-J.
        case interleaved
    }

    /// The base of the frequencies.
    public var theta: Double
    /// Which features are a pair.
    public var layout: Layout
    /// The first features of a head, which turn; `nil` means all.
    public var dimension: Int?
    /// How frequencies are changed for sequences that are longer than those of the training.
    public var scaling: RotaryScaling

    /// Rotary positions.
    public init(
        theta: Double = 10_000, layout: Layout = .halfSplit, dimension: Int? = nil, scaling: RotaryScaling = .none
    ) {
        self.theta = theta
        self.layout = layout
        self.dimension = dimension
        self.scaling = scaling
    }
}

/// How rotary frequencies are changed for sequences that are longer than those of the training.
public enum RotaryScaling: Sendable, Hashable {
    /// Not at all.
    case none
    /// All are divided (Chen et al., 2023: position interpolation).
    case linear(factor: Double)
    /// Slow ones are divided, fast ones stay, those between are mixed: Llama 3.1.
    ///
    /// Fast and slow are wavelengths below `originalLength / highFrequency` and above `originalLength / lowFrequency`.
    case llama3(factor: Double, lowFrequency: Double, highFrequency: Double, originalLength: Int)
    /// The base grows with the place of a token beyond `originalLength` ("dynamic NTK").
    ///
    /// The growth follows each token's own place, not the longest sequence at hand: a token's row never depends on what
    /// comes after it. This is what a model computes that generates token by token.
    case dynamic(factor: Double, originalLength: Int)
    /// By parts (Peng et al., 2023): a ramp between the pairs that turn `betaFast` and `betaSlow` times within
    /// `originalLength`.
    ///
    /// Queries and keys are also scaled by `attentionFactor`; `truncate` puts the ramp's ends on whole pairs.
    case yarn(YarnScaling)
}

/// The settings of YaRN.
public struct YarnScaling: Sendable, Hashable {
    /// What slow frequencies are divided by.
    public var factor: Double
    /// The length of the training.
    public var originalLength: Int
    /// Turns within the original length from which on pairs stay.
    public var betaFast: Double
    /// Turns up to which pairs are divided.
    public var betaSlow: Double
    /// What queries and keys are multiplied by; `nil` means `0.1 · ln(factor) + 1`.
    public var attentionFactor: Double?
    /// Whether the ends of the ramp are whole numbers.
    public var truncate: Bool

    /// Settings; the defaults are the paper's for Llama.
    public init(
        factor: Double, originalLength: Int, betaFast: Double = 32, betaSlow: Double = 1,
        attentionFactor: Double? = nil, truncate: Bool = true
    ) {
        self.factor = factor
        self.originalLength = originalLength
        self.betaFast = betaFast
        self.betaSlow = betaSlow
        self.attentionFactor = attentionFactor
        self.truncate = truncate
    }
}

extension RotaryEmbedding {
    /// In a few words, for the stack.
    var summary: String {
        var text = "rotary theta \(ConfigurationValue(Float(theta)).jsonText)"
        if layout != .halfSplit { text += " \(layout.rawValue)" }
        if let dimension { text += " of \(dimension)" }
        if scaling != .none { text += " scaled \(scaling.configuration.jsonText)" }
        return text
    }

    /// The value as a model's description has it.
    var configuration: ConfigurationValue {
        var fields: [String: ConfigurationValue] = [:]
        if theta != RotaryEmbedding().theta { fields["theta"] = .exact(theta) }
        if layout != .halfSplit { fields["layout"] = .string(layout.rawValue) }
        if let dimension { fields["dimension"] = .integer(dimension) }
        if scaling != .none { fields["scaling"] = scaling.configuration }
        return .object(fields)
    }

    /// Reads a configuration value.
    init(_ value: ConfigurationValue, place: String) throws(ModelError) {
        var reader = try FieldReader(value, place: place)
        self.init(
            theta: try reader.double("theta") ?? RotaryEmbedding().theta,
            layout: try reader.choice("layout") ?? .halfSplit, dimension: try reader.integer("dimension"))
        if let value = reader.value("scaling") { scaling = try RotaryScaling(value, place: place + ".scaling") }
        try reader.finish()
    }

    /// Reports what cannot be computed with heads of `headDim` features.
    func check(_ inspector: inout ModelInspector, headDim: Int) {
        if !(theta.isFinite && theta > 1) {
            inspector.mismatch("rotary theta", expected: "a finite number above 1", actual: "\(theta)")
        }
        let turned = dimension ?? headDim
        if !(turned.isMultiple(of: 2) && (2...max(2, headDim)).contains(turned) && turned <= headDim) {
            inspector.mismatch(
                "rotary dimension", expected: "an even number from 2 to the headDim \(headDim)", actual: "\(turned)")
        }
        scaling.check(&inspector, dimension: turned)
    }
}

extension RotaryScaling {
    private enum Kind: String, CaseIterable {
        case linear, llama3, dynamic, yarn
    }

    var configuration: ConfigurationValue {
        switch self {
        case .none: return .null
        case .linear(let factor): return ["type": "linear", "factor": .exact(factor)]
        case .llama3(let factor, let low, let high, let length):
            return [
                "type": "llama3", "factor": .exact(factor), "lowFrequency": .exact(low),
                "highFrequency": .exact(high), "originalLength": .integer(length),
            ]
        case .dynamic(let factor, let length):
            return ["type": "dynamic", "factor": .exact(factor), "originalLength": .integer(length)]
        case .yarn(let yarn):
            var fields: [String: ConfigurationValue] = [
                "type": "yarn", "factor": .exact(yarn.factor), "originalLength": .integer(yarn.originalLength),
                "betaFast": .exact(yarn.betaFast), "betaSlow": .exact(yarn.betaSlow),
            ]
            if let attentionFactor = yarn.attentionFactor { fields["attentionFactor"] = .exact(attentionFactor) }
            if !yarn.truncate { fields["truncate"] = false }
            return .object(fields)
        }
    }

    init(_ value: ConfigurationValue, place: String) throws(ModelError) {
        var reader = try FieldReader(value, place: place)
        guard let kind = try reader.choice("type", Kind.self) else {
            throw reader.failure("type", "one of " + Kind.allCases.map(\.rawValue).joined(separator: ", "), nil)
        }
        let factor = try reader.requiredDouble("factor")
        switch kind {
        case .linear: self = .linear(factor: factor)
        case .llama3:
            self = .llama3(
                factor: factor, lowFrequency: try reader.requiredDouble("lowFrequency"),
                highFrequency: try reader.requiredDouble("highFrequency"),
                originalLength: try reader.requiredInteger("originalLength"))
        case .dynamic: self = .dynamic(factor: factor, originalLength: try reader.requiredInteger("originalLength"))
        case .yarn:
            self = .yarn(
                YarnScaling(
                    factor: factor, originalLength: try reader.requiredInteger("originalLength"),
                    betaFast: try reader.double("betaFast") ?? 32, betaSlow: try reader.double("betaSlow") ?? 1,
                    attentionFactor: try reader.double("attentionFactor"), truncate: try reader.bool("truncate") ?? true
                ))
        }
        try reader.finish()
    }

    fileprivate func check(_ inspector: inout ModelInspector, dimension: Int) {
        func positive(_ name: String, _ value: Double) {
            guard !(value.isFinite && value > 0) else { return }
            inspector.mismatch("rotary \(name)", expected: "a finite number above 0", actual: "\(value)")
        }
        func length(_ value: Int) { inspector.requirePositive("rotary originalLength", value) }
        switch self {
        case .none: break
        case .linear(let factor): positive("factor", factor)
        case .llama3(let factor, let low, let high, let original):
            positive("factor", factor)
            positive("lowFrequency", low)
            if !(high.isFinite && high > low) {
                inspector.mismatch("rotary highFrequency", expected: "above the lowFrequency", actual: "\(high)")
            }
            length(original)
        case .dynamic(let factor, let original):
            if !(factor.isFinite && factor >= 1) {
                inspector.mismatch("rotary factor", expected: "a finite number from 1 up", actual: "\(factor)")
            }
            // The base is raised to dimension / (dimension - 2).
            if dimension <= 2 { inspector.mismatch("rotary dimension", expected: "above 2", actual: "\(dimension)") }
            length(original)
        case .yarn(let yarn):
            positive("factor", yarn.factor)
            positive("betaFast", yarn.betaFast)
            positive("betaSlow", yarn.betaSlow)
            if let factor = yarn.attentionFactor { positive("attentionFactor", factor) }
            length(yarn.originalLength)
        }
    }
}

extension ConfigurationValue {
    /// A number, without a fraction where it has none.
    fileprivate static func exact(_ number: Double) -> ConfigurationValue {
        Int(exactly: number).map { .integer($0) } ?? .number(number)
    }
}
