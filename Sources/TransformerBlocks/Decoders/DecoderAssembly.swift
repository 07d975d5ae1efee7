import AttentionCore

/// A decoder's layers together with where their parameters lie in a checkpoint.
struct DecoderAssembly {
    /// A layer with its parameters by their own names.
    typealias Part = (layer: any LayerDefinition, tensors: [String: StoredTensor])

    private(set) var layers: [LayerNode] = []
    private(set) var layout: [String: StoredTensor] = [:]
    private let configuration: DecoderConfiguration
    /// What stands before the names of the decoder's tensors.
    private let prefix: String

    /// The decoder that a configuration describes.
    /// - Parameters:
    ///   - prefix: what stands before the names of tensors, for example `model.`.
    ///   - embeddingScale: what rows of the token table are multiplied by.
    ///   - attention: specifications that blocks take in turn; scale, softcap and mask of the model are added.
    init(
        _ configuration: DecoderConfiguration, prefix: String, head: String, embeddingScale: Float,
        attention: [AttentionSpecification]
    ) {
        self.configuration = configuration
        self.prefix = prefix
        let specifications = attention.isEmpty ? [AttentionSpecification()] : attention
        switch configuration.family {
        case "gpt2": gpt2(specifications)
        case "opt": opt(specifications)
        default: llama(specifications, embeddingScale)
        }
        add(
            (
                LanguageModelHead(tied: configuration.tied, softcap: configuration.finalSoftcap),
                configuration.tied ? [:] : ["weight": StoredTensor(head)]
            ))
    }

    /// The model as data.
    var model: ModelDescription { ModelDescription(width: configuration.embeddingWidth, layers: layers) }

    private mutating func add(_ part: Part) {
        for (own, tensor) in part.tensors { layout["layers.\(layers.count).\(own)"] = tensor }
        layers.append(part.layer.node)
    }

    private mutating func residual(_ parts: [Part]) {
        for (index, part) in parts.enumerated() {
            for (own, tensor) in part.tensors { layout["layers.\(layers.count).\(index).\(own)"] = tensor }
        }
        layers.append(.residual(Residual(layers: parts.map(\.layer.node))))
    }

    /// Weight, and bias where there is one, of each of a layer's products.
    private func tensors(_ names: [(own: String, theirs: String, bias: Bool)]) -> [String: StoredTensor] {
        var result: [String: StoredTensor] = [:]
        for name in names {
            result["\(name.own).weight"] = StoredTensor("\(prefix)\(name.theirs).weight")
            if name.bias { result["\(name.own).bias"] = StoredTensor("\(prefix)\(name.theirs).bias") }
        }
        return result
    }

    private func attention(_ block: Int, _ specifications: [AttentionSpecification]) -> SelfAttention {
        let own = configuration.blocks[block]
        var specification = specifications[block % specifications.count]
        specification.options.scale = own.scale
        specification.options.softcap = own.softcap
        return SelfAttention(
            heads: configuration.heads, kvHeads: configuration.kvHeads, headDim: configuration.headDim,
            using: specification, mask: own.window.map { .window(left: $0 - 1, right: 0) } ?? .causal,
            bias: configuration.attentionBias, outputBias: configuration.outputBias, rotary: own.rotary)
    }

    private mutating func llama(_ specifications: [AttentionSpecification], _ embeddingScale: Float) {
        let isGemma = configuration.family.hasPrefix("gemma")
        let hasHeadNorms = ["qwen3", "gemma3", "gemma3_text"].contains(configuration.family)
        let norm = RMSNorm(epsilon: configuration.epsilon, offset: isGemma ? 1 : 0)
        func normed(_ name: String) -> Part { (norm, ["weight": StoredTensor("\(prefix)\(name).weight")]) }
        add(
            (
                TokenEmbedding(vocabulary: configuration.vocabulary, scale: embeddingScale),
                ["weight": StoredTensor("\(prefix)embed_tokens.weight")]
            ))
        for block in configuration.blocks.indices {
            let place = "layers.\(block)"
            var layer = attention(block, specifications)
            var names = tensors(
                ["query", "key", "value"].map {
                    ($0, "\(place).self_attn.\($0.prefix(1))_proj", configuration.attentionBias)
                }
                    + [("output", "\(place).self_attn.o_proj", configuration.outputBias)])
            if hasHeadNorms {
                layer.queryKeyNorm = norm
                names["queryNorm.weight"] = StoredTensor("\(prefix)\(place).self_attn.q_norm.weight")
                names["keyNorm.weight"] = StoredTensor("\(prefix)\(place).self_attn.k_norm.weight")
            }
            let feedForward: Part = (
                GatedFeedForward(
                    hidden: configuration.hidden, activation: configuration.activation, bias: configuration.hiddenBias),
                tensors(["gate", "up", "down"].map { ($0, "\(place).mlp.\($0)_proj", configuration.hiddenBias) })
            )
            // Gemma norms what comes out of a layer too, before the sum.
            if isGemma {
                residual([
                    normed("\(place).input_layernorm"), (layer, names), normed("\(place).post_attention_layernorm"),
                ])
                residual([
                    normed("\(place).pre_feedforward_layernorm"), feedForward,
                    normed("\(place).post_feedforward_layernorm"),
                ])
            } else {
                residual([normed("\(place).input_layernorm"), (layer, names)])
                residual([normed("\(place).post_attention_layernorm"), feedForward])
            }
        }
        add(normed("norm"))
    }

    private func layerNorm(_ name: String) -> Part {
        (
            LayerNorm(epsilon: configuration.epsilon),
            ["weight": StoredTensor("\(prefix)\(name).weight"), "bias": StoredTensor("\(prefix)\(name).bias")]
        )
    }

    private var feedForward: FeedForward {
        FeedForward(
            hidden: configuration.hidden, activation: configuration.activation, bias: configuration.hiddenBias)
    }

    private mutating func gpt2(_ specifications: [AttentionSpecification]) {
        add((TokenEmbedding(vocabulary: configuration.vocabulary), ["weight": StoredTensor("\(prefix)wte.weight")]))
        add((PositionEmbedding(length: configuration.maximumLength), ["weight": StoredTensor("\(prefix)wpe.weight")]))
        for block in configuration.blocks.indices {
            let place = "\(prefix)h.\(block)"
            // GPT-2's products are written as convolutions: weights lie `[inputs, outputs]`.
            func turned(_ own: String, _ theirs: String) -> [String: StoredTensor] {
                [
                    "\(own).weight": StoredTensor("\(place).\(theirs).weight", isTransposed: true),
                    "\(own).bias": StoredTensor("\(place).\(theirs).bias"),
                ]
            }
            var names = turned("output", "attn.c_proj")
            for (index, own) in ["query", "key", "value"].enumerated() {
                for (name, isTransposed) in [("weight", true), ("bias", false)] {
                    names["\(own).\(name)"] = StoredTensor(
                        "\(place).attn.c_attn.\(name)", isTransposed: isTransposed, part: (index, 3))
                }
            }
            residual([layerNorm("h.\(block).ln_1"), (attention(block, specifications), names)])
            let products = turned("up", "mlp.c_fc").merging(turned("down", "mlp.c_proj")) { $1 }
            residual([layerNorm("h.\(block).ln_2"), (feedForward, products)])
        }
        add(layerNorm("ln_f"))
    }

    private mutating func opt(_ specifications: [AttentionSpecification]) {
        let isProjected = configuration.embeddingWidth != configuration.width
        add(
            (
                TokenEmbedding(vocabulary: configuration.vocabulary),
                ["weight": StoredTensor("\(prefix)embed_tokens.weight")]
            ))
        if isProjected {
            add(
                (
                    Linear(outputs: configuration.width, bias: false),
                    ["weight": StoredTensor("\(prefix)project_in.weight")]
                ))
        }
        add(
            (
                PositionEmbedding(length: configuration.maximumLength, offset: 2),
                ["weight": StoredTensor("\(prefix)embed_positions.weight")]
            ))
        for block in configuration.blocks.indices {
            let place = "layers.\(block)"
            let names = tensors(
                [("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"), ("output", "out_proj")].map {
                    ($0.0, "\(place).self_attn.\($0.1)", configuration.attentionBias)
                })
            let products = tensors(
                [("up", "fc1"), ("down", "fc2")].map { ($0.0, "\(place).\($0.1)", configuration.hiddenBias) })
            for (norm, part) in [
                ("self_attn_layer_norm", (attention(block, specifications), names) as Part),
                ("final_layer_norm", (feedForward, products)),
            ] {
                let normed = layerNorm("\(place).\(norm)")
                residual(configuration.normsFirst ? [normed, part] : [part])
                if !configuration.normsFirst { add(normed) }
            }
        }
        if configuration.normsFirst { add(layerNorm("final_layer_norm")) }
        if isProjected {
            add(
                (
                    Linear(outputs: configuration.embeddingWidth, bias: false),
                    ["weight": StoredTensor("\(prefix)project_out.weight")]
                ))
        }
    }
}
