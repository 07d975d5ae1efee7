import Foundation
import TensorCore
import Testing

#if os(Linux)
    /// `zoo quantize` holds one block at a time.
    @Suite struct QuantizeMemoryTests {
        private static let width = 256
        private static let hidden = 1024
        /// Bytes of a block's weights in Float.
        private static let blockBytes = 4 * (4 * width * width + 3 * width * hidden)

        /// A random Llama of so many blocks.
        private func write(_ blocks: Int, to directory: String) throws {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            let config: [String: Any] = [
                "model_type": "llama", "hidden_size": Self.width, "intermediate_size": Self.hidden,
                "num_attention_heads": 4, "num_key_value_heads": 4, "num_hidden_layers": blocks, "vocab_size": 2048,
                "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "tie_word_embeddings": true,
            ]
            try JSONSerialization.data(withJSONObject: config).write(
                to: URL(fileURLWithPath: directory + "/config.json"))
            let (w, h) = (Self.width, Self.hidden)
            var tensors: [(name: String, tensor: Tensor)] = [
                ("model.embed_tokens.weight", .random(uniform: [2048, w], seed: 1)),
                ("model.norm.weight", .random(uniform: [w], seed: 2)),
            ]
            for block in 0..<blocks {
                let prefix = "model.layers.\(block)."
                for name in ["q_proj", "k_proj", "v_proj", "o_proj"] {
                    tensors.append(
                        (prefix + "self_attn.\(name).weight", .random(uniform: [w, w], seed: 3, amplitude: 0.1)))
                }
                for (name, shape) in [("gate_proj", [h, w] as Shape), ("up_proj", [h, w]), ("down_proj", [w, h])] {
                    tensors.append((prefix + "mlp.\(name).weight", .random(uniform: shape, seed: 4, amplitude: 0.05)))
                }
                for name in ["input_layernorm", "post_attention_layernorm"] {
                    tensors.append((prefix + "\(name).weight", .random(uniform: [w], seed: 5)))
                }
            }
            try SafetensorsFile.write(tensors, to: directory + "/model.safetensors")
            let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                .appendingPathComponent("../../Sources/DefaultModel/Resources/default-model/tokenizer.json")
            try FileManager.default.copyItem(
                at: source.standardizedFileURL, to: URL(fileURLWithPath: directory + "/tokenizer.json"))
        }

        /// The most memory of its own, without mapped files, that a run of the command has.
        private func peak(_ arguments: [String]) throws -> Int {
            let process = Process()
            process.executableURL = try #require(ZooProcess.executable)
            process.arguments = arguments
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            try process.run()
            var most = 0
            while process.isRunning {
                let status =
                    (try? String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8)) ?? ""
                let line = status.split(separator: "\n").first { $0.hasPrefix("RssAnon:") }
                most = max(most, line?.split(separator: " ").compactMap { Int($0) }.first ?? 0)
                usleep(2000)
            }
            #expect(process.terminationStatus == 0)
            return most * 1024
        }

        @Test func memoryDoesNotGrowWithTheBlocks() throws {
            let folder = try TemporaryFolder()
            try Data(String(repeating: "A fox ran home. ", count: 400).utf8).write(
                to: folder.url.appendingPathComponent("text.txt"))
            var peaks: [Int] = []
            for blocks in [2, 26] {
                try write(blocks, to: folder.path("model-\(blocks)"))
                peaks.append(
                    try peak([
                        "quantize", "--model", folder.path("model-\(blocks)"), "--method", "gptq", "--calibration",
                        folder.path("text.txt"), "--samples", "2", "--sequence-length", "64", "--threads", "1",
                        "--output", folder.path("out-\(blocks)"),
                    ]))
            }
            // Blocks that were kept would be 24 more in Float.
            #expect(peaks[0] > Self.blockBytes)
            #expect(peaks[1] - peaks[0] < 4 * Self.blockBytes, "\(peaks), a block has \(Self.blockBytes)")
        }
    }
#endif
