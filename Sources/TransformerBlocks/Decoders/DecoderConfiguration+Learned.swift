import AttentionCore
import Kernels

/// Families whose positions are learned rows.
extension DecoderConfiguration {
    /// GPT-2 (Radford et al., 2019).
    static func gpt2(_ fields: inout CheckpointFields) throws(ModelError) -> DecoderConfiguration {
        let width = try fields.required("n_embd")
        let heads = try fields.required("n_head")
        let headDim = try sharedHeadDim(fields, width: width, heads: heads, key: "n_head")
        let count = try blockCount(&fields, "n_layer")
        try fields.refuse("add_cross_attention")
        guard fields.value("quantization_config") == nil else {
            throw fields.failure(
                "quantization_config", "no such field: the weights of GPT-2 are read in F32, F16 or BF16 alone")
        }
        let isScaled = try fields.flag("scale_attn_weights") ?? true
        let byLayer = try fields.flag("scale_attn_by_inverse_layer_idx") ?? false
        let scale = isScaled ? 1 / Double(headDim).squareRoot() : 1
        let plain = isScaled && !byLayer
        let inner = try fields.integer("n_inner")
        let older = try fields.integer("n_ctx")
        guard let length = try fields.integer("n_positions") ?? older else {
            throw fields.failure("n_positions", "a whole number from 1 up")
        }
        return DecoderConfiguration(
            family: "gpt2", width: width, embeddingWidth: width, hidden: inner ?? 4 * width, heads: heads,
            kvHeads: heads, headDim: headDim, vocabulary: try fields.required("vocab_size"), maximumLength: length,
            activation: try activation(&fields, ["activation_function"], default: .geluTanh),
            epsilon: try fields.positive("layer_norm_epsilon").map { Float($0) } ?? 1e-5,
            tied: try fields.flag("tie_word_embeddings") ?? true, attentionBias: true, outputBias: true,
            hiddenBias: true,
            blocks: (0..<count).map { Block(scale: plain ? nil : Float(byLayer ? scale / Double($0 + 1) : scale)) })
    }

    /// OPT (Zhang et al., 2022).
    static func opt(_ fields: inout CheckpointFields) throws(ModelError) -> DecoderConfiguration {
        let width = try fields.required("hidden_size")
        let heads = try fields.required("num_attention_heads")
        let headDim = try sharedHeadDim(fields, width: width, heads: heads, key: "num_attention_heads")
        let count = try blockCount(&fields, "num_hidden_layers")
        try fields.refuse("_remove_final_layer_norm")
        guard try fields.flag("layer_norm_elementwise_affine") ?? true else {
            throw fields.failure("layer_norm_elementwise_affine", "true")
        }
        let bias = try fields.flag("enable_bias") ?? true
        return DecoderConfiguration(
            family: "opt", width: width, embeddingWidth: try fields.integer("word_embed_proj_dim") ?? width,
            hidden: try fields.required("ffn_dim"), heads: heads, kvHeads: heads, headDim: headDim,
            vocabulary: try fields.required("vocab_size"),
            maximumLength: try fields.required("max_position_embeddings"),
            activation: try activation(&fields, ["activation_function"], default: .relu), epsilon: 1e-5,
            tied: try fields.flag("tie_word_embeddings") ?? true, attentionBias: bias, outputBias: bias,
            hiddenBias: bias, normsFirst: try fields.flag("do_layer_norm_before") ?? true,
            blocks: [Block](repeating: Block(), count: count))
    }
}
