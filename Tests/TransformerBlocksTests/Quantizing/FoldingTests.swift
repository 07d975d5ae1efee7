import Foundation
import Quantization
import TensorCore
import Testing
import TransformerBlocks

/// AWQ's scales move between operations; the model computes what it did.
@Suite struct FoldingTests {
    private static func logits(_ directory: String) throws -> [Double] {
        let model = try CausalLanguageModel(directory: directory, registry: Support.registry)
        return try model.network.forward(try RaggedBatch(SmallCheckpoint.text())).doubles()
    }

    @Test(arguments: SmallCheckpoint.families, [2, 4])
    func scalesChangeNoLogit(family: String, kvHeads: Int) throws {
        func factor(_ input: Int) -> Float { 0.3 + Float((input * 7) % 11) / 3 }
        for dtype in [DType.float32, .bfloat16] {
            let model = try SmallCheckpoint(family, kvHeads: kvHeads, dtype: dtype)
            let quantizer = try ModelQuantizer(
                directory: model.directory, method: .awq(AWQ(), clips: false), scheme: ModelQuantizerTests.scheme,
                format: .awqGEMM, registry: Support.registry)
            var asked: [String] = []
            let folded = try quantizer.folded { module, inputs in
                asked.append(module.split(separator: ".").last.map(String.init) ?? "")
                return (0..<inputs).map(factor)
            }
            // Where query heads share value heads, nothing can be folded before the projection back.
            #expect(
                Set(asked)
                    == (kvHeads == 4
                        ? ["q_proj", "o_proj", "gate_proj", "down_proj"] : ["q_proj", "gate_proj", "down_proj"]))
            let original = try SafetensorsFile(path: model.directory + "/model.safetensors")
            var tensors = Dictionary(uniqueKeysWithValues: original.names.map { ($0, original[$0]) })
                .compactMapValues { $0 }
            for (name, tensor) in folded {
                let before = try #require(tensors[name])
                if name.hasSuffix("q_proj.weight") || name.hasSuffix("down_proj.weight") {
                    #expect(try before.converted(to: .float32).maxAbsoluteDifference(tensor) > 0.01)
                }
                // Columns are multiplied by the factors that were asked for, as near as the gain's type comes to them.
                if let rows = tensor.shape.dimensions.first, name.hasSuffix("gate_proj.weight") {
                    let pairs = zip(before.converted(to: .float32).floats(), tensor.floats())
                    for (place, (old, new)) in pairs.enumerated() where abs(old) > 0.01 {
                        let ratio = new / old / factor(place % (tensor.shape.count / rows))
                        #expect(abs(ratio - 1) < (dtype == .bfloat16 ? 0.1 : 1e-3), "\(dtype) \(name) \(ratio)")
                    }
                }
                // Biases are the one thing whose rounding nothing can take up.
                if dtype == .bfloat16, name.hasSuffix(".bias") { continue }
                tensors[name] = tensor
            }
            if dtype == .bfloat16, family == "qwen2", kvHeads == 4 { continue }
            let other = model.folder + "/folded"
            try FileManager.default.copyItem(atPath: model.directory, toPath: other)
            try FileManager.default.removeItem(atPath: other + "/model.safetensors")
            try SafetensorsFile.write(tensors.map { ($0.key, $0.value) }, to: other + "/model.safetensors")
            let (before, after) = (try Self.logits(model.directory), try Self.logits(other))
            let scale = before.map(abs).max() ?? 0
            let error = zip(before, after).map { abs($0 - $1) }.max() ?? .infinity
            #expect(scale > 0.5 && error <= 1e-4 * scale, "error \(error) of \(scale), \(dtype)")
        }
    }
}
