import AttentionCore
import Foundation
import Kernels
import TensorCore
import Testing
import TransformerBlocks

/// Checkpoints of every family against the logits that transformers gives.
@Suite struct DecoderFamilyTests {
    struct Case: Decodable {
        let sequences: [[Int]]
        let prompt: [Int]
        let continuation: [Int]
    }

    static let folder = Support.fixtures.appendingPathComponent("decoders").path
    static let cases = Result {
        try JSONDecoder().decode(
            [String: Case].self, from: Data(contentsOf: URL(fileURLWithPath: folder + "/cases.json")))
    }
    static let expected = Result { try SafetensorsFile(path: folder + "/expected.safetensors") }
    static let names = (try? cases.get().keys.sorted()) ?? []

    static func model(_ name: String, attention: [AttentionSpecification] = []) throws -> CausalLanguageModel {
        try CausalLanguageModel(directory: "\(folder)/\(name)", attention: attention, registry: Support.registry)
    }

    private func worst(_ actual: Tensor, _ expected: Tensor) -> (error: Double, scale: Double) {
        let truth = expected.doubles()
        let error = zip(actual.doubles(), truth).map { abs($0 - $1) }.max() ?? .infinity
        return (error, truth.map(abs).max() ?? 0)
    }

    @Test func everyFamilyHasACase() throws {
        let families = try Set(Self.names.map { try Self.model($0).family })
        #expect(families == Set(DecoderConfiguration.families))
        #expect(Self.names.count == 16)
    }

    @Test(arguments: names)
    func logitsAreThoseOfTransformers(name: String) throws {
        let model = try Self.model(name)
        let batch = try RaggedBatch(try Self.cases.get()[name]?.sequences ?? [])
        let logits = try model.network.forward(batch)
        #expect(batch.spans.count == 3)
        for (index, span) in batch.spans.enumerated() {
            let truth = try Self.expected.get().tensor(named: "\(name).\(index)")
            let mine = try logits.sliced(0, span).contiguous()
            try #require(mine.shape == truth.shape)
            let (error, scale) = worst(mine, truth)
            #expect(scale > 1 && error <= 1e-4 * scale, "error \(error) of \(scale)")
        }
    }

    @Test(arguments: names)
    func greedyContinuationsAreThoseOfTransformers(name: String) throws {
        let network = try Self.model(name).network
        let example = try #require(try Self.cases.get()[name])
        // With a store, token by token; the prompt at once.
        let store = GrowingStore()
        var ids: [Int] = []
        var new = example.prompt
        var place = 0
        while ids.count < example.continuation.count {
            let batch = try RaggedBatch([new], starts: [place])
            let scores = try network.forward(batch, store: store, outputRows: [new.count - 1]).floats()
            place += new.count
            let best = scores.indices.max { scores[$0] < scores[$1] } ?? 0
            ids.append(best)
            new = [best]
        }
        #expect(ids == example.continuation)
    }

    @Test(arguments: ["full", "memory-efficient", "flash", "grouped-query"])
    func anyOperatorGivesTheSameModel(name: String) throws {
        for family in ["gemma2", "qwen2"] {
            let model = try Self.model(
                family, attention: [AttentionSpecification(name: name), AttentionSpecification(name: "full")])
            #expect(model.network.attentionLayers.map(\.attention.name).prefix(2) == [name, "full"])
            let batch = try RaggedBatch(try Self.cases.get()[family]?.sequences ?? [])
            let logits = try model.network.forward(batch)
            let truth = try Self.expected.get().tensor(named: "\(family).2")
            let (error, scale) = worst(try logits.sliced(0, batch.spans[2]).contiguous(), truth)
            #expect(error <= 1e-4 * scale, "error \(error) of \(scale)")
        }
    }

    @Test func whatTheModelFixesStaysInForce() throws {
        let narrow = AttentionSpecification(name: "full", options: AttentionOptions(mask: .window(left: 1, right: 0)))
        let layers = try Self.model("gemma2", attention: [narrow]).network.attentionLayers
        #expect(layers.map(\.window) == [2, 2, 2])
        let plain = try Self.model("gemma2").network.attentionLayers
        #expect(plain.map(\.window) == [7, nil, 7])
        #expect(plain.allSatisfy { $0.options.softcap == 3 && $0.options.scale == Float(1 / 13.0.squareRoot()) })
        #expect(plain[1].options.mask == .causal)
        #expect(plain.map(\.kvHeads) == [2, 2, 2] && plain[0].heads == 6 && plain[0].headDim == 10)
        #expect(try Self.model("qwen2").network.attentionLayers.map(\.window) == [nil, 5, 5])
        #expect(try Self.model("mistral").network.attentionLayers.map(\.window) == [6, 6])
        #expect(try Self.model("gemma3-old").network.attentionLayers.map(\.window) == [7, nil, 7])
        let loud = AttentionSpecification(name: "full", options: AttentionOptions(scale: 2))
        #expect(
            try Support.message { _ = try Self.model("gemma2", attention: [loud]) }
                == "attention[0]: scale is 2.0; expected left out: it is the model's")
    }

    @Test func factsOfTheFiles() throws {
        let model = try Self.model("llama3-f16")
        #expect(model.family == "llama" && model.vocabulary == 157 && model.maximumLength == 96)
        #expect(model.eosTokenIds == [2] && model.bosTokenId == 1)
        #expect(try Self.model("gemma3-wrapped").eosTokenIds == [1, 106])
        #expect(try Self.model("llama-dynamic").maximumLength == 48)
        let printed = model.network.model.description
        #expect(printed.contains(#"rotary theta 5000 scaled {"factor": 8, "highFrequency": 4"#), "\(printed)")
        #expect(try ModelDescription(json: model.network.model.json) == model.network.model)
    }

    @Test func gemmaRowsAreScaledAsTheirElementTypeHasIt() throws {
        for (dtype, scale) in [(DType.float32, Float(20).squareRoot()), (.bfloat16, 4.46875), (.float16, 4.472_656_25)]
        {
            try Self.editing("gemma2", dtype: dtype) { tensors in
                // The same model with the first twenty features of each row.
                for (name, tensor) in tensors {
                    for axis in 0..<tensor.shape.rank where tensor.shape[axis] == 36 {
                        tensors[name] = try tensors[name]?.sliced(axis, 0..<20).contiguous()
                    }
                }
            } config: { fields in
                fields["hidden_size"] = 20
            } _: { folder in
                let model = try CausalLanguageModel(directory: folder, registry: Support.registry)
                #expect(model.network.model.layers[0] == .tokenEmbedding(TokenEmbedding(vocabulary: 157, scale: scale)))
            }
        }
    }

    /// A copy of a checkpoint with its configuration and weights changed.
    static func editing(
        _ name: String, dtype: DType? = nil, weights: ((inout [String: Tensor]) throws -> Void)? = nil,
        config: (inout [String: Any]) throws -> Void, _ body: (String) throws -> Void
    ) throws {
        try Support.withDirectory([:]) { folder in
            let source = "\(Self.folder)/\(name)"
            for file in try FileManager.default.contentsOfDirectory(atPath: source) {
                try FileManager.default.copyItem(atPath: "\(source)/\(file)", toPath: "\(folder)/\(file)")
            }
            let path = URL(fileURLWithPath: folder + "/config.json")
            var fields = try JSONSerialization.jsonObject(with: Data(contentsOf: path)) as? [String: Any] ?? [:]
            try config(&fields)
            try JSONSerialization.data(withJSONObject: fields).write(to: path)
            if dtype != nil || weights != nil {
                let file = try SafetensorsFile(path: source + "/model.safetensors")
                var tensors: [String: Tensor] = [:]
                for name in file.names { tensors[name] = file[name].map { dtype.map($0.converted(to:)) ?? $0 } }
                try weights?(&tensors)
                try FileManager.default.removeItem(atPath: folder + "/model.safetensors")
                try SafetensorsFile.write(tensors.map { ($0.key, $0.value) }, to: folder + "/model.safetensors")
            }
            try body(folder)
        }
    }
}
