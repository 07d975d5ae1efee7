import AttentionCore
import Kernels

extension DecoderConfiguration {
    /// Llama and what descends from it: Mistral, Qwen2, Qwen3, Gemma 2, Gemma 3.
    static func llama(_ fields: inout CheckpointFields, family: String) throws(ModelError) -> DecoderConfiguration {
        let isGemma = family.hasPrefix("gemma")
        let width = try fields.required("hidden_size")
        let standard = family == "gemma3_text" ? gemma3Defaults : [:]
        let heads = try fields.required("num_attention_heads", default: standard)
        let count = try blockCount(&fields, "num_hidden_layers")
        let maximumLength = try fields.required("max_position_embeddings", default: standard)
        let headDim: Int
        if let own = try fields.integer("head_dim") {
            headDim = own
        } else {
            // Without the field these have heads of this extent, whatever the width.
            let fixed = ["qwen3": 128, "gemma2": 256, "gemma3_text": 256][family]
            if let fixed {
                headDim = fixed
            } else {
                headDim = try sharedHeadDim(fields, width: width, heads: heads, key: "num_attention_heads")
            }
        }
        // Elsewhere a missing number is not the heads but a constant of some release.
        let kvHeads = try fields.required(
            "num_key_value_heads", default: family == "llama" ? ["num_key_value_heads": heads] : standard)
        guard heads.isMultiple(of: kvHeads) else {
            throw fields.failure("num_key_value_heads", "a divisor of the \(heads) heads")
        }
        // Gemma keeps `hidden_act` for old readers and means `hidden_activation`.
        _ = fields.value("hidden_act")
        let activation = try activation(
            &fields, isGemma ? ["hidden_activation"] : ["hidden_act"], default: isGemma ? .geluTanh : .silu)
        let blocks = try blocks(
            &fields, family: family, count: count, headDim: headDim, maximumLength: maximumLength)
        var result = DecoderConfiguration(
            family: family, width: width, embeddingWidth: width, hidden: try fields.required("intermediate_size"),
            heads: heads, kvHeads: kvHeads, headDim: headDim,
            vocabulary: try fields.required("vocab_size", default: standard),
            maximumLength: blocks.map { $0.rotary?.reach(maximumLength) ?? maximumLength }.min() ?? maximumLength,
            activation: activation,
            epsilon: try fields.positive("rms_norm_eps").map { Float($0) } ?? 1e-6,
            tied: try fields.flag("tie_word_embeddings") ?? isGemma, blocks: blocks)
        switch family {
        case "qwen2":
            // Fixed by the family; its files do not say so.
            result.attentionBias = true
        case "mistral": break
        default:
            result.attentionBias = try fields.flag("attention_bias") ?? false
            result.outputBias = result.attentionBias
        }
        if family == "llama" { result.hiddenBias = try fields.flag("mlp_bias") ?? false }
        if isGemma { result.finalSoftcap = try fields.positive("final_logit_softcapping").map { Float($0) } }
        return result
    }

    /// What models for texts and images leave out of their `text_config`.
    private static let gemma3Defaults = [
        "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 262_208, "max_position_embeddings": 131_072,
    ]

    private static func blocks(
        _ fields: inout CheckpointFields, family: String, count: Int, headDim: Int, maximumLength: Int
    ) throws(ModelError) -> [Block] {
        let windows = try windows(&fields, family: family, count: count)
        let reader = RotaryFields(maximumLength: maximumLength)
        let rotary: (windowed: RotaryEmbedding, full: RotaryEmbedding)
        if family == "gemma3_text" {
            rotary = try reader.two(&fields, windowed: 10_000, full: 1_000_000)
        } else {
            let one = try reader.one(&fields)
            rotary = (one, one)
        }
        var scalar = Double(headDim)
        var softcap: Float?
        if family.hasPrefix("gemma") {
            try fields.refuse("use_bidirectional_attention")
            scalar = try fields.positive("query_pre_attn_scalar") ?? 256
            softcap = try fields.positive("attn_logit_softcapping").map { Float($0) }
        }
        return windows.map { window in
            Block(
                scale: scalar == Double(headDim) ? nil : Float(1 / scalar.squareRoot()), softcap: softcap,
                window: window,
                rotary: window == nil ? rotary.full : rotary.windowed)
        }
    }

    /// The window of every block.
    private static func windows(
        _ fields: inout CheckpointFields, family: String, count: Int
    ) throws(ModelError) -> [Int?] {
        let none = [Int?](repeating: nil, count: count)
        if family == "llama" { return none }
        let window = try fields.integer("sliding_window")
        if family == "mistral" { return none.map { _ in window } }
        let usesWindow: Bool
        let firstWindowed: Int
        if family.hasPrefix("qwen") {
            usesWindow = try fields.flag("use_sliding_window") ?? false
            firstWindowed = try fields.integer("max_window_layers", from: 0) ?? 28
        } else {
            (usesWindow, firstWindowed) = (true, 0)
        }
        let older = try fields.integer("_sliding_window_pattern")
        let period = try fields.integer("sliding_window_pattern") ?? older
        if let types = try layerTypes(&fields, count: count) {
            if types.contains(true), window == nil || !usesWindow {
                throw fields.failure(
                    usesWindow ? "sliding_window" : "use_sliding_window", "what the layer_types need for their windows")
            }
            return types.map { $0 ? window : nil }
        }
        guard usesWindow else { return none }
        if family.hasPrefix("gemma"), window == nil {
            throw fields.failure("sliding_window", "a whole number from 1 up")
        }
        return (0..<count).map { index in
            switch family {
            case "gemma2": index.isMultiple(of: 2) ? window : nil
            case "gemma3_text": (index + 1).isMultiple(of: period ?? 6) ? nil : window
            default: index >= firstWindowed ? window : nil
            }
        }
    }

    /// Whether each block has a window, when the file lists it.
    private static func layerTypes(
        _ fields: inout CheckpointFields, count: Int
    ) throws(ModelError) -> [Bool]? {
        guard let value = fields.value("layer_types") else { return nil }
        let expected = "\(count) times \"full_attention\" or \"sliding_attention\""
        guard case .array(let items) = value, items.count == count else {
            throw fields.failure("layer_types", expected)
        }
        var result: [Bool] = []
        for item in items {
            guard item == .string("full_attention") || item == .string("sliding_attention") else {
                throw fields.failure("layer_types", expected)
            }
            result.append(item == .string("sliding_attention"))
        }
        return result
    }
}
