import AttentionCore
import Foundation
import Kernels
import Quantization
import TensorCore
import Testing
import TransformerBlocks

/// The directories that quantising writes, and when it writes none.
@Suite struct QuantizedFilesTests {
    private static func names(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    }

    private static func config(_ directory: String) throws -> [String: Any] {
        let data = try Data(contentsOf: URL(fileURLWithPath: directory + "/config.json"))
        return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    @Test func theRestOfTheModelGoesAlong() throws {
        let model = try SmallCheckpoint("llama")
        try Data("{}".utf8).write(to: URL(fileURLWithPath: model.directory + "/tokenizer_config.json"))
        try Data("x".utf8).write(to: URL(fileURLWithPath: model.directory + "/pytorch_model.bin"))
        let report = try ModelQuantizerTests.quantize(model, .roundToNearest).report
        let out = model.folder + "/out"
        #expect(
            try Self.names(out) == [
                "config.json", "generation_config.json", "model.safetensors", "tokenizer_config.json",
            ])
        #expect(try Self.names(model.folder) == ["model", "out"])
        let config = try Self.config(out)
        for (key, value) in model.configuration() {
            #expect("\(try #require(config[key]))" == "\(value)" || (config[key] as? NSNumber) == (value as? NSNumber))
        }
        let own = try #require(config["quantization_config"] as? [String: Any])
        #expect(own["quant_method"] as? String == "gptq" && own["bits"] as? Int == 4 && own["group_size"] as? Int == 32)
        let size = try FileManager.default.attributesOfItem(atPath: out + "/model.safetensors")[.size] as? Int ?? 0
        #expect(size > report.bytesAfter && size < report.bytesAfter + 20_000)
        #expect(report.bytesAfter < report.bytesBefore / 2)
        // Codes of 4 bits; for 32 of them a scale of 16 bits and a zero of 4; 32 bits of group for each input.
        #expect(report.bitsPerWeight > 4.62 && report.bitsPerWeight < 5.5)
    }

    @Test(arguments: [
        (QuantizationConfiguration.Method.gptq(isVersion2: false), 2), (.gptq(isVersion2: false), 3),
        (.gptq(isVersion2: true), 8), (.awqGEMM, 4), (.compressedTensors, 4),
    ])
    func everyFormIsReadAgain(format: QuantizationConfiguration.Method, bits: Int) throws {
        let model = try SmallCheckpoint("qwen2")
        let scheme = QuantizationScheme(bits: bits, groupSize: 32)
        _ = try ModelQuantizerTests.quantize(model, .roundToNearest, scheme, format: format)
        let out = model.folder + "/out"
        let configuration = try SmallCheckpoint.stored(out)
        #expect(configuration.method == format && configuration.bits == bits)
        let file = try SafetensorsFile(path: out + "/model.safetensors")
        let original = try SafetensorsFile(path: model.directory + "/model.safetensors")
        for module in model.allModules {
            let weight = try #require(
                try CheckpointFormat.read(module: module, configuration: configuration) { file[$0] })
            let truth = try #require(original[module + ".weight"]).doubles()
            let error = zip(truth, weight.dequantized().doubles()).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
            let norm = truth.reduce(0) { $0 + $1 * $1 }
            // Of uniform weights: a twelfth of a step's square over a third of the largest weight's; zeros are rounded too.
            let expected = 1 / pow(Double(1 << bits - 1), 2)
            #expect(error / norm < 1.6 * expected && error / norm > 0.6 * expected, "\(module): \(error / norm)")
        }
    }

    @Test func ternaryWeightsHaveThreeValues() throws {
        let model = try SmallCheckpoint("llama", blocks: 1)
        _ = try ModelQuantizerTests.quantize(
            model, .gptq(GPTQ(), isSequential: true), .ternary(groupSize: 32), format: .gptq(isVersion2: false))
        let out = model.folder + "/out"
        let configuration = try SmallCheckpoint.stored(out)
        let file = try SafetensorsFile(path: out + "/model.safetensors")
        for module in model.allModules {
            let weight = try #require(
                try CheckpointFormat.read(module: module, configuration: configuration) { file[$0] })
            #expect(Set(weight.codes) == [0, 1, 2] && weight.zeros.map(Set.init) == [1])
        }
    }

    @Test func groupsWithoutNegativeWeightsFitTheFirstForm() throws {
        let name = "model.layers.0.mlp.up_proj.weight"
        let model = try SmallCheckpoint("llama", blocks: 1) { tensors in
            let numbers = try #require(tensors[name]).floats().map { abs($0) + 0.05 }
            tensors[name] = try Tensor(numbers, shape: [SmallCheckpoint.hidden, SmallCheckpoint.width])
        }
        _ = try ModelQuantizerTests.quantize(model, .roundToNearest, format: .gptq(isVersion2: false))
        let out = model.folder + "/out"
        let file = try SafetensorsFile(path: out + "/model.safetensors")
        let configuration = try SmallCheckpoint.stored(out)
        let weight = try #require(
            try CheckpointFormat.read(module: String(name.dropLast(7)), configuration: configuration) { file[$0] })
        #expect(weight.zeros.map(Set.init) == [1])
        let original = try SafetensorsFile(path: model.directory + "/model.safetensors")
        let truth = try #require(original[name]).floats()
        // Half a step of the first grid, 14 of whose 15 the second has, and half a step of that: 0.967 steps, and what F16
        // leaves of scales. The largest weight, with the last code of the first grid, must not lose a whole step.
        for (place, (one, other)) in zip(truth, weight.dequantized().floats()).enumerated() {
            let (output, input) = (place / SmallCheckpoint.width, place % SmallCheckpoint.width)
            #expect(abs(one - other) <= 0.985 * weight.scales[output * weight.groups + weight.group(of: input)])
        }
    }

    @Test(arguments: ["llama", "gemma2"])
    func aHeadGetsAWeightOfItsOwn(family: String) throws {
        let model = try SmallCheckpoint(family, blocks: 1)
        let report = try ModelQuantizerTests.quantize(model, .roundToNearest, head: true).report
        #expect(report.layers.last?.module == "lm_head" && report.layers.last?.block == nil)
        #expect(report.layers.last?.outputError ?? 1 < 0.02)
        let out = model.folder + "/out"
        #expect(try Self.config(out)["tie_word_embeddings"] as? Bool == false)
        let configuration = try SmallCheckpoint.stored(out)
        #expect(configuration.hasQuantizedHead)
        let file = try SafetensorsFile(path: out + "/model.safetensors")
        let original = try SafetensorsFile(path: model.directory + "/model.safetensors")
        let table = "model.embed_tokens.weight"
        #expect(try #require(file[table]).bitwiseEquals(try #require(original[table])))
        #expect(file["lm_head.weight"] == nil)
        let head = try #require(try CheckpointFormat.read(module: "lm_head", configuration: configuration) { file[$0] })
        let truth = try #require(original[model.isTied ? table : "lm_head.weight"])
        // Half a step of sixteen levels, and what rounding scales adds.
        let largest = truth.converted(to: .float32).floats().map(abs).max() ?? 0
        #expect(try head.dequantized().maxAbsoluteDifference(truth) < 1.02 * Double(largest) / 15)
    }

    @Test func nothingStaysWhenQuantisingFails() throws {
        // The second block cannot be quantised: the first has been written by then.
        let model = try SmallCheckpoint("llama") { tensors in
            let name = "model.layers.1.mlp.gate_proj.weight"
            var numbers = try #require(tensors[name]).floats()
            numbers[77] = .nan
            tensors[name] = try Tensor(numbers, shape: [SmallCheckpoint.hidden, SmallCheckpoint.width])
        }
        for method in [QuantizationMethod.roundToNearest, .gptq(GPTQ(), isSequential: true)] {
            let text = try Support.message { _ = try ModelQuantizerTests.quantize(model, method) }
            #expect(text.hasPrefix("model.layers.1.mlp.gate_proj: "), "\(text)")
            #expect(try Self.names(model.folder) == ["model"])
        }
    }

    @Test func whatIsThereStays() throws {
        let model = try SmallCheckpoint("llama", blocks: 1)
        let out = model.folder + "/out"
        try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true)
        try Data("mine".utf8).write(to: URL(fileURLWithPath: out + "/notes.txt"))
        let text = try Support.message { _ = try ModelQuantizerTests.quantize(model, .roundToNearest) }
        #expect(text == "\(out) cannot be written: the directory is not empty")
        #expect(try Self.names(out) == ["notes.txt"])
        // An empty one is as good as none.
        try FileManager.default.removeItem(atPath: out + "/notes.txt")
        _ = try ModelQuantizerTests.quantize(model, .roundToNearest)
        #expect(try Self.names(out).contains("model.safetensors"))
    }

    private func refusal(
        _ model: SmallCheckpoint, _ scheme: QuantizationScheme = ModelQuantizerTests.scheme,
        _ method: QuantizationMethod = .roundToNearest,
        format: QuantizationConfiguration.Method = .gptq(isVersion2: true), head: Bool = false
    ) throws -> String {
        try Support.message {
            _ = try ModelQuantizer(
                directory: model.directory, method: method, scheme: scheme, format: format, quantizesHead: head,
                registry: Support.registry)
        }
    }

    @Test func everyProductThatDoesNotFitIsNamed() throws {
        let model = try SmallCheckpoint("llama")
        let text = try refusal(model, QuantizationScheme(bits: 4, groupSize: 48))
        for module in model.allModules { #expect(text.contains(module) == !module.hasSuffix("down_proj")) }
        #expect(
            text.contains(
                "groupSize of model.layers.0.self_attn.k_proj [32, 64] is 48; expected a number that divides the 64 inputs"
            ))
        #expect(
            try refusal(model, QuantizationScheme(bits: 3, groupSize: 32), format: .awqGEMM).contains(
                "is 3; expected 4"))
        let ordered = QuantizationMethod.gptq(GPTQ(isActOrdered: true), isSequential: true)
        #expect(try refusal(model, ModelQuantizerTests.scheme, ordered, format: .awqGEMM).contains("groupIndex of"))
        #expect(try refusal(model, format: .awqGEMM, head: true).contains("lm_head is to be quantised"))
        // Groups in order have a place there.
        let fixed = QuantizationMethod.gptq(GPTQ(isActOrdered: true, isStaticGroups: true), isSequential: true)
        #expect(throws: Never.self) {
            _ = try ModelQuantizer(
                directory: model.directory, method: fixed, scheme: ModelQuantizerTests.scheme, format: .awqGEMM,
                registry: Support.registry)
        }
    }

    @Test(arguments: ["gpt2", "opt"])
    func otherFamiliesAreRefused(name: String) throws {
        let text = try Support.message {
            _ = try ModelQuantizer(
                directory: "\(DecoderFamilyTests.folder)/\(name)", method: .roundToNearest,
                scheme: QuantizationScheme(bits: 8, groupSize: 4), format: .gptq(isVersion2: true),
                registry: Support.registry)
        }
        #expect(text.contains("model_type is \"\(name)\"; expected a family whose blocks have an RMS norm"))
        #expect(text.contains("gemma2, gemma3, gemma3_text, llama, mistral, qwen2, qwen3"))
    }

    @Test func calibrationIsChecked() throws {
        let model = try SmallCheckpoint("llama", blocks: 1)
        let gptq = QuantizationMethod.gptq(GPTQ(), isSequential: true)
        #expect(
            try Support.message { _ = try ModelQuantizerTests.quantize(model, gptq, text: []) }
                == "the calibration text is empty; expected token sequences: gptq looks at what the model does")
        #expect(
            try Support.message {
                _ = try ModelQuantizerTests.quantize(model, gptq, text: [[1], [Int](repeating: 2, count: 65)])
            } == "calibration sequence 1 is 65 tokens long; expected at most the 64 tokens of the model")
        #expect(
            try Support.message { _ = try ModelQuantizerTests.quantize(model, gptq, text: [[1, 96]]) }
                .contains("is 96; expected a number from 0 to 95"))
        #expect(try Self.names(model.folder) == ["model"])
    }

    @Test func stretchesOfATextArePickedBySeed() throws {
        let tokens = Array(0..<100)
        let picked = try CalibrationText.sequences(of: tokens, count: 40, length: 10, seed: 3)
        #expect(picked.count == 40 && picked.allSatisfy { $0 == Array($0[0]..<$0[0] + 10) })
        #expect(picked == (try CalibrationText.sequences(of: tokens, count: 40, length: 10, seed: 3)))
        #expect(picked != (try CalibrationText.sequences(of: tokens, count: 40, length: 10, seed: 4)))
        #expect(Set(picked.map { $0[0] }).count > 20)
        // The last place counts: a text as long as a stretch has one.
        #expect(try CalibrationText.sequences(of: tokens, count: 2, length: 100, seed: 0) == [tokens, tokens])
        let text = try Support.message { _ = try CalibrationText.sequences(of: tokens, count: 1, length: 101, seed: 0) }
        #expect(text == "the calibration text is 100 tokens long; expected at least the 101 tokens of one sequence")
    }
}
