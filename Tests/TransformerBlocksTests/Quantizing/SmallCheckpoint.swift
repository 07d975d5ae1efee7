import AttentionCore
import Foundation
import Kernels
import Quantization
import TensorCore
import Testing
import TransformerBlocks

/// A random decoder in a folder of its own, wide enough for every form of quantised files.
final class SmallCheckpoint {
    static let width = 64
    static let hidden = 96
    static let headDim = 16
    static let heads = 4
    static let vocabulary = 96
    static let families = ["llama", "qwen2", "qwen3", "gemma2"]

    let family: String
    let blocks: Int
    let kvHeads: Int
    let folder: String
    private let root: URL

    var directory: String { folder + "/model" }
    var isTied: Bool { family == "gemma2" || family == "qwen2" }
    private var isGemma: Bool { family == "gemma2" }

    /// Writes a model; some inputs are a few times larger than others, as in real ones.
    init(
        _ family: String, blocks: Int = 2, kvHeads: Int = 2, dtype: DType = .float32,
        change: (inout [String: Tensor]) throws -> Void = { _ in }
    ) throws {
        self.family = family
        self.blocks = blocks
        self.kvHeads = kvHeads
        root = FileManager.default.temporaryDirectory.appendingPathComponent("quantizing-\(UUID().uuidString)")
        folder = root.path
        try FileManager.default.createDirectory(
            atPath: folder + "/model", withIntermediateDirectories: true)
        try JSONSerialization.data(withJSONObject: configuration()).write(
            to: URL(fileURLWithPath: directory + "/config.json"))
        try Data("{\"eos_token_id\": 1}".utf8).write(
            to: URL(fileURLWithPath: directory + "/generation_config.json"))
        var tensors = try weights().mapValues { $0.converted(to: dtype) }
        try change(&tensors)
        try SafetensorsFile.write(tensors.map { ($0.key, $0.value) }, to: directory + "/model.safetensors")
    }

    deinit { try? FileManager.default.removeItem(at: root) }

    func configuration() -> [String: Any] {
        var result: [String: Any] = [
            "model_type": family, "hidden_size": Self.width, "intermediate_size": Self.hidden,
            "num_attention_heads": Self.heads, "num_key_value_heads": kvHeads, "head_dim": Self.headDim,
            "num_hidden_layers": blocks, "vocab_size": Self.vocabulary, "max_position_embeddings": 64,
            "rms_norm_eps": 1e-6, "tie_word_embeddings": isTied, "rope_theta": 10000.0,
        ]
        if isGemma {
            result["hidden_activation"] = "gelu_pytorch_tanh"
            result["query_pre_attn_scalar"] = 16
            result["sliding_window"] = 9
            result["final_logit_softcapping"] = 30.0
        }
        return result
    }

    /// The names of a block's products, in the order in which they are quantised, with their shapes.
    func modules(_ block: Int) -> [(name: String, outputs: Int, inputs: Int)] {
        let (width, hidden, own) = (Self.width, Self.hidden, Self.heads * Self.headDim)
        let prefix = "model.layers.\(block)."
        return [
            (prefix + "self_attn.q_proj", own, width), (prefix + "self_attn.k_proj", kvHeads * Self.headDim, width),
            (prefix + "self_attn.v_proj", kvHeads * Self.headDim, width), (prefix + "self_attn.o_proj", width, own),
            (prefix + "mlp.gate_proj", hidden, width), (prefix + "mlp.up_proj", hidden, width),
            (prefix + "mlp.down_proj", width, hidden),
        ]
    }

    var allModules: [String] { (0..<blocks).flatMap { modules($0).map(\.name) } }

    private func weights() throws -> [String: Tensor] {
        var result: [String: Tensor] = [:]
        func add(_ name: String, _ shape: Shape, _ amplitude: Float, around center: Float = 0) throws {
            let numbers = Tensor.random(uniform: shape, seed: name.utf8.reduce(7 as UInt64) { $0 &* 31 &+ UInt64($1) })
                .floats().map { center + amplitude * $0 }
            result[name] = try Tensor(numbers, shape: shape)
        }
        try add("model.embed_tokens.weight", [Self.vocabulary, Self.width], 1)
        try add("model.norm.weight", [Self.width], 0.2, around: isGemma ? 0 : 1)
        if !isTied { try add("lm_head.weight", [Self.vocabulary, Self.width], 0.4) }
        for block in 0..<blocks {
            let prefix = "model.layers.\(block)."
            for (name, outputs, inputs) in modules(block) {
                try add(name + ".weight", [outputs, inputs], 1.5 / Float(inputs).squareRoot())
                if family == "qwen2", ["q_proj", "k_proj", "v_proj"].contains(where: name.hasSuffix) {
                    try add(name + ".bias", [outputs], 0.3)
                }
            }
            let norms =
                ["input_layernorm", "post_attention_layernorm"]
                + (isGemma ? ["pre_feedforward_layernorm", "post_feedforward_layernorm"] : [])
            for name in norms {
                try add(prefix + name + ".weight", [Self.width], 0.3, around: isGemma ? 0 : 1)
                guard var gain = result[prefix + name + ".weight"]?.floats() else { continue }
                for index in stride(from: 3, to: gain.count, by: 13) { gain[index] = gain[index] * 2 + 6 }
                result[prefix + name + ".weight"] = try Tensor(gain, shape: [Self.width])
            }
            guard family == "qwen3" else { continue }
            for name in ["q_norm", "k_norm"] {
                try add(prefix + "self_attn.\(name).weight", [Self.headDim], 0.2, around: 1)
            }
        }
        return result
    }

    /// Where the files hold what the parameters of the first blocks are called in the model.
    func renaming(blocks: Int) -> [String: String] {
        var result = ["layers.0.weight": "model.embed_tokens.weight"]
        for block in 0..<blocks {
            let prefix = "model.layers.\(block)."
            let (attention, feedForward) = ("layers.\(1 + 2 * block).", "layers.\(2 + 2 * block).")
            result[attention + "0.weight"] = prefix + "input_layernorm.weight"
            let second = isGemma ? "pre_feedforward_layernorm" : "post_attention_layernorm"
            result[feedForward + "0.weight"] = prefix + second + ".weight"
            if isGemma {
                result[attention + "2.weight"] = prefix + "post_attention_layernorm.weight"
                result[feedForward + "2.weight"] = prefix + "post_feedforward_layernorm.weight"
            }
            for (own, theirs) in [("query", "q"), ("key", "k"), ("value", "v"), ("output", "o")] {
                for kind in ["weight", "bias"] {
                    result["\(attention)1.\(own).\(kind)"] = "\(prefix)self_attn.\(theirs)_proj.\(kind)"
                }
            }
            result[attention + "1.queryNorm.weight"] = prefix + "self_attn.q_norm.weight"
            result[attention + "1.keyNorm.weight"] = prefix + "self_attn.k_norm.weight"
            for own in ["gate", "up", "down"] {
                result["\(feedForward)1.\(own).weight"] = "\(prefix)mlp.\(own)_proj.weight"
            }
        }
        return result
    }

    /// The model's first blocks, without what follows them, with the given tensors by the files' names.
    func network(blocks: Int, _ tensors: [String: Tensor]) throws -> Network {
        let model = try CausalLanguageModel(directory: directory, registry: Support.registry).network.model
        let description = ModelDescription(width: model.width, layers: Array(model.layers.prefix(1 + 2 * blocks)))
        let weights = renaming(blocks: blocks).compactMapValues { tensors[$0] }
        return try Network(description, weights: TensorWeights(weights), registry: Support.registry)
    }

    /// Every tensor of a directory, with quantised weights in Float again.
    func dequantized(_ directory: String, _ configuration: QuantizationConfiguration) throws -> [String: Tensor] {
        let file = try SafetensorsFile(path: directory + "/model.safetensors")
        var result: [String: Tensor] = [:]
        for name in file.names { result[name] = file[name] }
        for module in allModules + ["lm_head"] {
            let weight = try CheckpointFormat.read(module: module, configuration: configuration) { file[$0] }
            if let weight { result[module + ".weight"] = weight.dequantized() }
        }
        return result
    }

    /// The `quantization_config` of a directory.
    static func stored(_ directory: String) throws -> QuantizationConfiguration {
        let data = try Data(contentsOf: URL(fileURLWithPath: directory + "/config.json"))
        return try #require(try QuantizationConfiguration(json: data))
    }

    /// Sequences of calibration.
    static func text(_ count: Int = 6, seed: UInt64 = 5) -> [[Int]] {
        (0..<count).map { Support.sequence(20 + $0, vocabulary: vocabulary, seed: seed + UInt64($0)) }
    }
}
