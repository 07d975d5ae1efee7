import AttentionCore
import Foundation
import TensorCore
import Testing
import TransformerBlocks

/// Checkpoints that cannot be read: every message names the file and what is wrong in it.
@Suite struct DecoderErrorTests {
    private func message(
        _ name: String = "llama2-sharded", weights: ((inout [String: Tensor]) throws -> Void)? = nil,
        config: (inout [String: Any]) throws -> Void = { _ in }, files: (String) throws -> Void = { _ in }
    ) throws -> String {
        var result = ""
        try DecoderFamilyTests.editing(name, weights: weights, config: config) { folder in
            try files(folder)
            result = try Support.message {
                _ = try CausalLanguageModel(directory: folder, registry: Support.registry)
            }
            #expect(result.contains(folder) || result.hasPrefix("the model does not fit together"))
            result = result.replacing(folder, with: "DIR")
        }
        return result
    }

    @Test(arguments: [
        ("llama2-sharded", "model_type", "\"mamba\"", "expected one of gemma2, gemma3, gemma3_text, gpt2, llama"),
        ("llama2-sharded", "model_type", "3", "model_type is 3; expected a string"),
        ("llama2-sharded", "hidden_size", "0", "hidden_size is 0; expected a whole number from 1 up"),
        ("llama2-sharded", "hidden_size", "null", "hidden_size is null; expected a whole number from 1 up"),
        ("llama2-sharded", "num_hidden_layers", "1001", "num_hidden_layers is 1001; expected at most 1000"),
        ("llama2-sharded", "num_key_value_heads", "4", "num_key_value_heads is 4; expected a divisor of the 6 heads"),
        ("llama2-sharded", "hidden_act", "\"relu6\"", "hidden_act is \"relu6\"; expected one of gelu, gelu_new"),
        ("llama2-sharded", "rms_norm_eps", "-1", "rms_norm_eps is -1; expected a finite number above 0"),
        (
            "llama2-sharded", "rope_scaling", "{\"type\": \"longrope\"}",
            "rope_scaling.rope_type is missing; expected one of"
        ),
        (
            "llama2-sharded", "rope_scaling", "{\"type\": \"linear\"}",
            "rope_scaling.factor is missing; expected a number"
        ),
        ("llama2-sharded", "rope_scaling", "7", "rope_scaling is 7; expected an object"),
        ("llama2-sharded", "partial_rotary_factor", "0.5", "partial_rotary_factor is 0.5; expected 1"),
        (
            "llama2-sharded", "quantization_config", "{\"quant_method\": \"bitsandbytes\"}",
            "quant_method: expected gptq, awq or compressed-tensors, got bitsandbytes"
        ),
        (
            "gpt2", "quantization_config", "{\"bits\": 4}",
            "quantization_config is {\"bits\": 4}; expected no such"
        ),
        ("llama2-sharded", "num_local_experts", "8", "num_local_experts is 8; expected no such field: llama models"),
        ("llama2-sharded", "sliding_window", "8", "sliding_window is 8; expected no such field: llama models"),
        ("llama2-sharded", "attention_bias", "\"yes\"", "attention_bias is \"yes\"; expected true or false"),
        ("llama2-sharded", "eos_token_id", "157", "eos_token_id is 157; expected below the 157 tokens of the model"),
        ("llama2-sharded", "eos_token_id", "[1, \"2\"]", "expected a token's number or a list of them"),
        (
            "qwen2", "layer_types", "[\"full_attention\"]",
            "expected 3 times \"full_attention\" or \"sliding_attention\""
        ),
        ("gemma2", "use_bidirectional_attention", "true", "use_bidirectional_attention is true; expected false"),
        (
            "gemma3", "rope_parameters", "{\"rope_type\": \"default\"}",
            "an object with sliding_attention and full_attention"
        ),
        ("gemma3-wrapped", "text_config", "null", "text_config is null; expected an object: the part for texts"),
        ("gpt2", "add_cross_attention", "true", "add_cross_attention is true; expected false"),
        ("gpt2", "n_head", "5", "n_head is 5; expected a divisor of the width 36"),
        ("opt", "_remove_final_layer_norm", "true", "_remove_final_layer_norm is true; expected false"),
        ("opt", "hidden_size", "1e13", "hidden_size is 10000000000000; expected a whole number"),
    ])
    func fields(name: String, field: String, value: String, expected: String) throws {
        let text = try message(
            name,
            config: {
                $0[field] = try JSONSerialization.jsonObject(with: Data(value.utf8), options: .fragmentsAllowed)
            })
        #expect(text.hasPrefix("DIR/config.json: ") && text.contains(expected), "\(text)")
    }

    @Test func sizesBeyondReasonAreRefused() throws {
        let sizes = ["num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size", "intermediate_size"]
        let text = try message(config: { fields in
            for key in sizes { fields[key] = 1_000_000_000_000 }
        })
        #expect(text.contains("heads is 1000000000000; expected a number from 1 to 1048576"), "\(text)")
    }

    @Test func tensors() throws {
        let missing = try message("gpt2", weights: { $0["transformer.h.1.ln_2.bias"] = nil })
        #expect(
            missing == """
                DIR: the weights do not fit the model:
                  - transformer.h.1.ln_2.bias is missing; expected [36] F32, F16, BF16
                """)
        let wrong = try message(
            "gpt2",
            weights: { tensors in
                tensors["transformer.h.0.mlp.c_fc.weight"] = Tensor(zeros: [52, 36])
                tensors["transformer.h.1.attn.c_attn.weight"] = Tensor(zeros: [36, 107])
                tensors["transformer.ln_f.weight"] = Tensor(zeros: [36], dtype: .int32)
            })
        #expect(wrong.contains("transformer.h.0.mlp.c_fc.weight (transposed) is [36, 52] F32; expected [52, 36] F32"))
        #expect(wrong.contains("h.1.attn.c_attn.weight (transposed, part 3 of 3) is [36, 107] F32; expected [36, 36]"))
        #expect(wrong.contains("transformer.ln_f.weight is [36] I32; expected [36] F32, F16, BF16"), "\(wrong)")
        let spare = try message(
            "mistral", weights: { $0["model.layers.0.self_attn.q_proj.bias"] = Tensor(zeros: [60]) })
        #expect(
            spare.contains("q_proj.bias is [60] F32; expected no such tensor: the configuration has no layer for it"))
        let empty = try message("opt", weights: { $0 = [:] })
        #expect(empty.contains("model.decoder.embed_tokens.weight is missing"))
    }

    @Test func filesAndIndexes() throws {
        func index(_ text: String) -> (String) throws -> Void {
            { try Data(text.utf8).write(to: URL(fileURLWithPath: $0 + "/model.safetensors.index.json")) }
        }
        let place = "DIR/model.safetensors.index.json"
        #expect(try message(files: index("{")) == "\(place): is not JSON")
        #expect(try message(files: index("{}")).hasPrefix("\(place): weight_map is missing"))
        #expect(
            try message(files: index(#"{"weight_map": {"a": "../w.safetensors"}}"#))
                == #"\#(place): weight_map["a"] is "../w.safetensors"; expected the name of a file beside the index"#)
        #expect(
            try message(files: index(#"{"weight_map": {"a": "model-00001-of-00003.safetensors"}}"#)).contains(
                "a is missing from it; expected a tensor in model-00001-of-00003.safetensors"))
        #expect(
            try message(files: { try FileManager.default.removeItem(atPath: $0 + "/model-00002-of-00003.safetensors") })
                .hasPrefix("DIR/model-00002-of-00003.safetensors: "))
        #expect(
            try message(
                "gpt2",
                files: { folder in
                    let path = folder + "/model.safetensors"
                    let whole = try Data(contentsOf: URL(fileURLWithPath: path))
                    try whole.prefix(whole.count / 2).write(to: URL(fileURLWithPath: path))
                }
            ).hasPrefix("DIR/model.safetensors: "))
        #expect(
            try message(
                "gpt2",
                files: {
                    try FileManager.default.moveItem(
                        atPath: $0 + "/model.safetensors", toPath: $0 + "/pytorch_model.bin")
                }
            ).hasSuffix("no index of shards beside it; pytorch_model.bin cannot be read"))
    }

    @Test func corruptConfigurationsNeverCrash() throws {
        for name in ["llama3-f16", "gemma3", "gpt2", "opt-projected", "qwen2"] {
            let source = "\(DecoderFamilyTests.folder)/\(name)/config.json"
            let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: source)))
            try DecoderFamilyTests.editing(name, config: { _ in }) { folder in
                for round in 0..<60 as Range<UInt64> {
                    var broken = bytes
                    for change in 0..<1 + round % 3 {
                        let number = CounterRandom.value(seed: round, index: change)
                        let place = Int(number % UInt64(broken.count))
                        // Digits, signs and quotes make other values more often than other bytes do.
                        broken[place] = Array("0987654321-e.\"{}[],x".utf8)[Int(number >> 32) % 20]
                    }
                    try Data(broken).write(to: URL(fileURLWithPath: folder + "/config.json"))
                    do {
                        let model = try CausalLanguageModel(directory: folder, registry: Support.registry)
                        _ = try model.network.forward(RaggedBatch([[3]]))
                    } catch is ModelError {}
                }
            }
        }
    }
}
