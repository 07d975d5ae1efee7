import AttentionCore

extension RotaryEmbedding {
    /// The longest sequence that the rotation is meant for, where a file says `length`.
    func reach(_ length: Int) -> Int {
        // What a file calls its length is that of the training for these, and that of use for the others.
        switch scaling {
        case .dynamic(let factor, _): Int(min(1e12, Double(length) * factor))
        case .yarn(let yarn): max(length, Int(min(1e12, Double(yarn.originalLength) * yarn.factor)))
        case .none, .linear, .llama3: length
        }
    }
}

/// Rotary settings of a `config.json`, in the spellings before and after transformers 5.
///
/// Before: `rope_theta` and `rope_scaling` (with `type`, later `rope_type`) side by side. After: both in
/// `rope_parameters`, which may have one set for each type of layer.
struct RotaryFields {
    private let maximumLength: Int

    /// - Parameter maximumLength: the model's `max_position_embeddings`.
    init(maximumLength: Int) { self.maximumLength = maximumLength }

    /// The rotation of a model that has one for all layers.
    func one(_ fields: inout CheckpointFields) throws(ModelError) -> RotaryEmbedding {
        let theta = try fields.positive("rope_theta")
        let partial = try fields.positive("partial_rotary_factor")
        if let partial, partial != 1 { throw fields.failure("partial_rotary_factor", "1") }
        let old = try fields.object("rope_scaling")
        let new = try fields.object("rope_parameters")
        // Some files have both; the new one holds everything then.
        guard var parameters = new ?? old else { return RotaryEmbedding(theta: theta ?? 10_000) }
        return try rotary(&parameters, theta: theta ?? 10_000)
    }

    /// The rotations of a model with one for windowed layers and one for the others.
    func two(
        _ fields: inout CheckpointFields, windowed: Double, full: Double
    ) throws(ModelError) -> (windowed: RotaryEmbedding, full: RotaryEmbedding) {
        let theta = try fields.positive("rope_theta") ?? full
        let local = try fields.positive("rope_local_base_freq") ?? windowed
        var result = (windowed: RotaryEmbedding(theta: local), full: RotaryEmbedding(theta: theta))
        if var scaling = try fields.object("rope_scaling") { result.full = try rotary(&scaling, theta: theta) }
        guard var parameters = try fields.object("rope_parameters") else { return result }
        guard var first = try parameters.object("sliding_attention"),
            var second = try parameters.object("full_attention")
        else {
            throw fields.failure("rope_parameters", "an object with sliding_attention and full_attention")
        }
        result.windowed = try rotary(&first, theta: local)
        result.full = try rotary(&second, theta: theta)
        return result
    }

    private func rotary(_ fields: inout CheckpointFields, theta: Double) throws(ModelError) -> RotaryEmbedding {
        let older = try fields.string("type")
        let type = try fields.string("rope_type") ?? older ?? "default"
        let theta = try fields.positive("rope_theta") ?? theta
        if let partial = try fields.positive("partial_rotary_factor"), partial != 1 {
            throw fields.failure("partial_rotary_factor", "1")
        }
        return RotaryEmbedding(theta: theta, scaling: try scaling(&fields, type))
    }

    private func scaling(_ fields: inout CheckpointFields, _ type: String) throws(ModelError) -> RotaryScaling {
        if type == "default" { return .none }
        guard ["linear", "dynamic", "llama3", "yarn"].contains(type) else {
            throw fields.failure("rope_type", "one of default, dynamic, linear, llama3, yarn")
        }
        guard let factor = try fields.positive("factor") else { throw fields.failure("factor", "a number above 0") }
        let original = try fields.integer("original_max_position_embeddings")
        switch type {
        case "linear": return .linear(factor: factor)
        case "dynamic": return .dynamic(factor: factor, originalLength: maximumLength)
        case "llama3":
            guard let low = try fields.positive("low_freq_factor") else {
                throw fields.failure("low_freq_factor", "a number above 0")
            }
            guard let high = try fields.positive("high_freq_factor"), high > low else {
                throw fields.failure("high_freq_factor", "a number above low_freq_factor")
            }
            return .llama3(
                factor: factor, lowFrequency: low, highFrequency: high, originalLength: original ?? maximumLength)
        default:
            for key in ["mscale", "mscale_all_dim"] where fields.value(key) != nil {
                throw fields.failure(key, "no such field; attention_factor says the same")
            }
            return .yarn(
                YarnScaling(
                    factor: factor, originalLength: original ?? maximumLength,
                    betaFast: try fields.positive("beta_fast") ?? 32,
                    betaSlow: try fields.positive("beta_slow") ?? 1,
                    attentionFactor: try fields.positive("attention_factor"),
                    truncate: try fields.flag("truncate") ?? true))
        }
    }
}
