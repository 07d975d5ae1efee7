public import AttentionCore
public import Kernels

/// BERT's `config.json` (Devlin et al., 2018), as far as it shapes the encoder.
public struct BertConfiguration: Sendable, Hashable {
    /// Features of a token's row.
    public let width: Int
    /// Encoder blocks.
    public let blocks: Int
    /// Attention heads.
    public let heads: Int
    /// Features inside the feed-forward layers.
    public let hidden: Int
    /// The non-linearity of the feed-forward layers.
    public let activation: Activation
    /// What layer normalisation adds to the variance.
    public let epsilon: Float
    /// Tokens.
    public let vocabulary: Int
    /// Places.
    public let maximumLength: Int
    /// Segments.
    public let types: Int

    private static let activations: [String: Activation] = [
        "gelu": .gelu, "gelu_new": .geluTanh, "gelu_pytorch_tanh": .geluTanh, "relu": .relu, "silu": .silu,
        "swish": .silu,
    ]

    /// Reads the `config.json` of a directory.
    /// - Throws: ``ModelError`` that names the file, the field, what was expected and what is there.
    public init(directory: String) throws(ModelError) {
        let file = try JSONFile(path: directory + "/config.json")
        guard try file.string("model_type") == "bert" else { throw file.failure("model_type", "\"bert\"") }
        guard try file.string("position_embedding_type") ?? "absolute" == "absolute" else {
            throw file.failure("position_embedding_type", "\"absolute\"")
        }
        for key in ["is_decoder", "add_cross_attention"] where try file.flag(key) ?? false {
            throw file.failure(key, "false")
        }
        guard let activation = Self.activations[try file.string("hidden_act") ?? "gelu"] else {
            throw file.failure("hidden_act", "one of " + Self.activations.keys.sorted().joined(separator: ", "))
        }
        self.activation = activation
        width = try file.positive("hidden_size")
        blocks = try file.positive("num_hidden_layers")
        heads = try file.positive("num_attention_heads")
        hidden = try file.positive("intermediate_size")
        epsilon = try file.float("layer_norm_eps") ?? 1e-12
        vocabulary = try file.positive("vocab_size")
        maximumLength = try file.positive("max_position_embeddings")
        types = try file.positive("type_vocab_size")
        guard blocks <= 1000 else { throw file.failure("num_hidden_layers", "at most 1000") }
    }

    /// The encoder with the given operator, before pooling.
    public func model(attention: AttentionSpecification = AttentionSpecification()) -> ModelDescription {
        Transformer(width: width) {
            TokenEmbedding(vocabulary: vocabulary)
            TokenTypeEmbedding(types: types)
            PositionEmbedding(length: maximumLength)
            LayerNorm(epsilon: epsilon)
            for _ in 0..<blocks {
                Residual { SelfAttention(heads: heads, using: attention) }
                LayerNorm(epsilon: epsilon)
                Residual { FeedForward(hidden: hidden, activation: activation) }
                LayerNorm(epsilon: epsilon)
            }
        }.model
    }

    /// The names that the model's parameters have in Hugging Face's files.
    /// - Parameter prefix: what stands before all of them, for example `bert.`.
    public func parameterNames(prefix: String = "") -> [String: String] {
        var names: [String: String] = [:]
        func add(_ layer: String, _ theirs: String, _ own: [String] = ["weight", "bias"]) {
            for name in own { names["layers.\(layer).\(name)"] = "\(prefix)\(theirs).\(name)" }
        }
        add("0", "embeddings.word_embeddings", ["weight"])
        add("1", "embeddings.token_type_embeddings", ["weight"])
        add("2", "embeddings.position_embeddings", ["weight"])
        add("3", "embeddings.LayerNorm")
        for block in 0..<blocks {
            // Four layers for each block, after the four of the embeddings.
            let first = 4 + 4 * block
            let theirs = "encoder.layer.\(block)"
            for projection in ["query", "key", "value"] {
                add("\(first).0.\(projection)", "\(theirs).attention.self.\(projection)")
            }
            add("\(first).0.output", "\(theirs).attention.output.dense")
            add("\(first + 1)", "\(theirs).attention.output.LayerNorm")
            add("\(first + 2).0.up", "\(theirs).intermediate.dense")
            add("\(first + 2).0.down", "\(theirs).output.dense")
            add("\(first + 3)", "\(theirs).output.LayerNorm")
        }
        return names
    }
}
