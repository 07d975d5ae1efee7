import AttentionCore

/// The fields of a checkpoint's `config.json`, with a memory of which of them were read.
///
/// Configurations hold many fields that say nothing about the computation, so unknown ones cannot be refused as such.
/// Those that are known to change it in some family can: one that is set and that nobody reads is an error.
struct CheckpointFields {
    /// The file.
    let file: String
    /// What stands before every field's name in messages, for example `text_config.`.
    let prefix: String
    private let fields: [String: ConfigurationValue]
    private var read: Set<String> = []

    /// Fields that change the computation in some family when they are set to something else than false, 0 or nothing.
    private static let meaningful = [
        "alibi", "attention_bias", "attention_multiplier", "attn_logit_softcapping", "attn_temperature_tuning",
        "clip_qkv", "cross_attention_layers", "embedding_multiplier", "embedding_scale", "final_logit_softcapping",
        "full_attn_idxs", "layer_types", "logit_scale", "logits_scaling", "mlp_bias", "moe_intermediate_size",
        "multi_query", "no_rope_layers", "num_experts", "num_local_experts", "n_routed_experts", "parallel_attn",
        "partial_rotary_factor", "qk_layernorm", "qkv_bias", "query_pre_attn_scalar",
        "residual_multiplier", "rope_interleaved", "rope_local_base_freq", "rope_parameters", "rope_scaling",
        "rotary_dim", "rotary_emb_base", "rotary_pct", "scale_embedding", "sliding_window",
        "sliding_window_pattern", "use_bidirectional_attention", "use_mrope", "use_parallel_residual", "use_qk_norm",
        "use_sliding_window",
    ]

    /// Opens a file.
    /// - Throws: ``ModelError``.
    init(path: String) throws(ModelError) {
        file = path
        prefix = ""
        guard case .object(let fields) = try JSONFile.value(path) else {
            throw .invalidField(place: path, field: "the document", expected: "an object", actual: "something else")
        }
        self.fields = fields
    }

    private init(file: String, prefix: String, fields: [String: ConfigurationValue]) {
        self.file = file
        self.prefix = prefix
        self.fields = fields
    }

    func failure(_ key: String, _ expected: String) -> ModelError {
        .invalidField(
            place: file, field: prefix + key, expected: expected, actual: fields[key]?.jsonText ?? "missing")
    }

    /// A field's value; `nil` when it is missing or null.
    mutating func value(_ key: String) -> ConfigurationValue? {
        read.insert(key)
        return fields[key] == .null ? nil : fields[key]
    }

    /// An object's fields as fields of their own.
    mutating func object(_ key: String) throws(ModelError) -> CheckpointFields? {
        guard let value = value(key) else { return nil }
        guard case .object(let inner) = value else { throw failure(key, "an object") }
        return CheckpointFields(file: file, prefix: "\(prefix)\(key).", fields: inner)
    }

    /// A whole number from `least` up, at most a million million.
    mutating func integer(_ key: String, from least: Int = 1) throws(ModelError) -> Int? {
        guard let value = value(key) else { return nil }
        guard let number = value.asInteger, (least...1_000_000_000_000).contains(number) else {
            throw failure(key, "a whole number from \(least) up")
        }
        return number
    }

    mutating func required(_ key: String, default standard: [String: Int] = [:]) throws(ModelError) -> Int {
        guard let number = try integer(key) ?? standard[key] else { throw failure(key, "a whole number from 1 up") }
        return number
    }

    /// A finite number above 0.
    mutating func positive(_ key: String) throws(ModelError) -> Double? {
        guard let value = value(key) else { return nil }
        guard let number = value.asDouble, number.isFinite, number > 0 else {
            throw failure(key, "a finite number above 0")
        }
        return number
    }

    mutating func string(_ key: String) throws(ModelError) -> String? {
        guard let value = value(key) else { return nil }
        guard case .string(let text) = value else { throw failure(key, "a string") }
        return text
    }

    mutating func flag(_ key: String) throws(ModelError) -> Bool? {
        guard let value = value(key) else { return nil }
        guard case .bool(let flag) = value else { throw failure(key, "true or false") }
        return flag
    }

    /// A field that must be false or missing, because nothing here honours it.
    mutating func refuse(_ key: String) throws(ModelError) {
        if try flag(key) ?? false { throw failure(key, "false") }
    }

    /// Token numbers: one, a list or none.
    mutating func tokens(_ key: String) throws(ModelError) -> [Int]? {
        guard let value = value(key) else { return nil }
        let expected = "a token's number or a list of them"
        let items: [ConfigurationValue]
        if case .array(let list) = value { items = list } else { items = [value] }
        var numbers: [Int] = []
        for item in items {
            guard let number = item.asInteger, number >= 0 else { throw failure(key, expected) }
            numbers.append(number)
        }
        return numbers
    }

    /// Refuses fields that change the computation in some family, are set, and were not read.
    func finish(family: String) throws(ModelError) {
        for key in Self.meaningful where !read.contains(key) {
            guard let value = fields[key] else { continue }
            switch value {
            case .null, .bool(false), .integer(0): continue
            default: throw failure(key, "no such field: \(family) models are computed without it")
            }
        }
    }
}
