import AttentionCore
import Foundation
import TensorCore
import Testing
import TransformerBlocks

/// Configurations as published models have them: their shapes give the published numbers of parameters.
@Suite struct PublishedModelTests {
    struct Published: Sendable, CustomTestStringConvertible {
        let name: String
        let parameters: Int
        let config: String
        var testDescription: String { name }
    }

    private static let llama = """
        "hidden_act": "silu", "initializer_range": 0.02, "use_cache": true, "attention_dropout": 0.0,
        "torch_dtype": "bfloat16", "transformers_version": "4.45.0",
        """

    static let models = [
        Published(
            name: "Llama 3.2 1B", parameters: 1_235_814_400,
            config: """
                {\(llama) "model_type": "llama", "architectures": ["LlamaForCausalLM"], "attention_bias": false,
                "bos_token_id": 128000, "eos_token_id": 128001, "head_dim": 64, "hidden_size": 2048,
                "intermediate_size": 8192, "max_position_embeddings": 131072, "mlp_bias": false,
                "num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8, "pretraining_tp": 1,
                "rms_norm_eps": 1e-05, "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0,
                "low_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"},
                "rope_theta": 500000.0, "tie_word_embeddings": true, "vocab_size": 128256}
                """),
        Published(
            name: "Mistral 7B 0.1", parameters: 7_241_732_096,
            config: """
                {\(llama) "model_type": "mistral", "bos_token_id": 1, "eos_token_id": 2, "hidden_size": 4096,
                "intermediate_size": 14336, "max_position_embeddings": 32768, "num_attention_heads": 32,
                "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
                "sliding_window": 4096, "tie_word_embeddings": false, "vocab_size": 32000}
                """),
        Published(
            name: "Qwen2.5 0.5B", parameters: 494_032_768,
            config: """
                {\(llama) "model_type": "qwen2", "bos_token_id": 151643, "eos_token_id": 151645, "hidden_size": 896,
                "intermediate_size": 4864, "max_position_embeddings": 32768, "max_window_layers": 21,
                "num_attention_heads": 14, "num_hidden_layers": 24, "num_key_value_heads": 2, "rms_norm_eps": 1e-06,
                "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": true,
                "use_sliding_window": false, "vocab_size": 151936}
                """),
        Published(
            name: "Qwen3 0.6B", parameters: 596_049_920,
            config: """
                {\(llama) "model_type": "qwen3", "attention_bias": false, "bos_token_id": 151643,
                "eos_token_id": 151645, "head_dim": 128, "hidden_size": 1024, "intermediate_size": 3072,
                "max_position_embeddings": 40960, "max_window_layers": 28, "num_attention_heads": 16,
                "num_hidden_layers": 28, "num_key_value_heads": 8, "rms_norm_eps": 1e-06, "rope_scaling": null,
                "rope_theta": 1000000, "sliding_window": null, "tie_word_embeddings": true,
                "use_sliding_window": false, "vocab_size": 151936}
                """),
        Published(
            name: "Gemma 2 2B", parameters: 2_614_341_888,
            config: """
                {"model_type": "gemma2", "attention_bias": false, "attn_logit_softcapping": 50.0, "bos_token_id": 2,
                "cache_implementation": "hybrid", "eos_token_id": 1, "final_logit_softcapping": 30.0,
                "head_dim": 256, "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh",
                "hidden_size": 2304, "intermediate_size": 9216, "max_position_embeddings": 8192,
                "num_attention_heads": 8, "num_hidden_layers": 26, "num_key_value_heads": 4, "pad_token_id": 0,
                "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "sliding_window": 4096,
                "torch_dtype": "float32", "use_cache": true, "vocab_size": 256000}
                """),
        Published(
            name: "Gemma 3 1B", parameters: 999_885_952,
            config: """
                {"model_type": "gemma3_text", "attention_bias": false, "attn_logit_softcapping": null,
                "bos_token_id": 2, "cache_implementation": "hybrid", "eos_token_id": [1, 106],
                "final_logit_softcapping": null, "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh",
                "hidden_size": 1152, "intermediate_size": 6912, "max_position_embeddings": 32768,
                "num_attention_heads": 4, "num_hidden_layers": 26, "num_key_value_heads": 1,
                "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06, "rope_local_base_freq": 10000,
                "rope_scaling": null, "rope_theta": 1000000, "sliding_window": 512, "sliding_window_pattern": 6,
                "torch_dtype": "bfloat16", "vocab_size": 262144}
                """),
        // The text part of a model for texts and images leaves out what is the standard.
        Published(
            name: "Gemma 3 4B", parameters: 3_880_263_168,
            config: """
                {"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"],
                "eos_token_id": [1, 106], "image_token_index": 262144, "mm_tokens_per_image": 256,
                "text_config": {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text",
                "num_hidden_layers": 34, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
                "sliding_window": 1024}, "torch_dtype": "bfloat16",
                "vision_config": {"hidden_size": 1152, "model_type": "siglip_vision_model"}}
                """),
        Published(
            name: "GPT-2", parameters: 124_439_808,
            config: """
                {"model_type": "gpt2", "activation_function": "gelu_new", "attn_pdrop": 0.1, "bos_token_id": 50256,
                "embd_pdrop": 0.1, "eos_token_id": 50256, "initializer_range": 0.02, "layer_norm_epsilon": 1e-05,
                "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024, "resid_pdrop": 0.1,
                "summary_activation": null, "summary_first_dropout": 0.1, "summary_proj_to_labels": true,
                "task_specific_params": {"text-generation": {"do_sample": true, "max_length": 50}},
                "vocab_size": 50257}
                """),
        Published(
            name: "OPT 125M", parameters: 125_239_296,
            config: """
                {"model_type": "opt", "_remove_final_layer_norm": false, "activation_dropout": 0.0,
                "activation_function": "relu", "attention_dropout": 0.0, "bos_token_id": 2,
                "do_layer_norm_before": true, "dropout": 0.1, "eos_token_id": 2, "ffn_dim": 3072,
                "hidden_size": 768, "init_std": 0.02, "layerdrop": 0.0, "max_position_embeddings": 2048,
                "num_attention_heads": 12, "num_hidden_layers": 12, "pad_token_id": 1, "prefix": "</s>",
                "torch_dtype": "float16", "use_cache": true, "vocab_size": 50272, "word_embed_proj_dim": 768}
                """),
        Published(
            name: "OPT 350M", parameters: 331_196_416,
            config: """
                {"model_type": "opt", "activation_function": "relu", "bos_token_id": 2,
                "do_layer_norm_before": false, "eos_token_id": 2, "ffn_dim": 4096, "hidden_size": 1024,
                "max_position_embeddings": 2048, "num_attention_heads": 16, "num_hidden_layers": 24,
                "vocab_size": 50272, "word_embed_proj_dim": 512}
                """),
    ]

    private func configuration(_ published: Published) throws -> DecoderConfiguration {
        try Support.withDirectory(["config.json": published.config]) { try DecoderConfiguration(directory: $0) }
    }

    @Test(arguments: models)
    func parametersAreCounted(published: Published) throws {
        let configuration = try configuration(published)
        let model = configuration.model(attention: [AttentionSpecification(name: "flash")])
        #expect(model.parameterCount == published.parameters)
        #expect(model.mismatches(in: Support.registry).isEmpty)
        #expect(model.outputWidth == configuration.vocabulary)
    }

    @Test func windowsAndRotations() throws {
        func named(_ name: String) throws -> DecoderConfiguration {
            try configuration(#require(Self.models.first { $0.name == name }))
        }
        #expect(try named("Qwen2.5 0.5B").blocks.allSatisfy { $0.window == nil })
        #expect(try named("Mistral 7B 0.1").blocks.allSatisfy { $0.window == 4096 })
        #expect(try named("Gemma 2 2B").blocks.prefix(3).map(\.window) == [4096, nil, 4096])
        let gemma = try named("Gemma 3 4B")
        #expect(gemma.blocks.indices.filter { gemma.blocks[$0].window == nil } == [5, 11, 17, 23, 29])
        #expect(gemma.blocks[4].rotary == RotaryEmbedding(theta: 10_000))
        #expect(gemma.blocks[5].rotary == RotaryEmbedding(theta: 1_000_000, scaling: .linear(factor: 8)))
        #expect(gemma.heads == 8 && gemma.kvHeads == 4 && gemma.headDim == 256 && gemma.maximumLength == 131_072)
        #expect(try named("OPT 350M").embeddingWidth == 512)
        #expect(
            try named("Llama 3.2 1B").blocks[0].rotary?.scaling
                == .llama3(factor: 32, lowFrequency: 1, highFrequency: 4, originalLength: 8192))
    }
}
