import AttentionCore
import Foundation
import Kernels
import TensorCore
import Testing
import TransformerBlocks

/// The BERT family from Hugging Face directories.
@Suite(.serialized) struct BertTests {
    private static let configuration = """
        {"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
         "intermediate_size": 16, "hidden_act": "gelu_new", "vocab_size": 7, "max_position_embeddings": 12,
         "type_vocab_size": 2}
        """

    /// Operators that compute softmax attention over the problem's mask and nothing else.
    static let plain = Support.registry.entries.map(\.id).filter { id in
        (try? Support.registry[id].isPlain(for: AttentionProblem(queryLength: 128, heads: 12, headDim: 32))) ?? false
    }

    /// Cosine and largest difference for every operator of the same mathematics against transformers' vectors.
    @Test(arguments: plain + ["auto"])
    func miniLMMatchesTransformers(name: String) throws {
        var specification = AttentionSpecification(name: name)
        if name == "local" { specification.options.mask = .window(left: 511, right: 511) }
        let encoder = try TextEncoder(
            directory: try Support.miniLM(), attention: specification, registry: Support.registry)
        #expect(encoder.maximumLength == 256 && encoder.width == 384)
        let sentences = try JSONDecoder().decode(
            [String].self, from: Data(contentsOf: Support.fixtures.appendingPathComponent("minilm/sentences.json")))
        let file = try SafetensorsFile(
            path: Support.fixtures.appendingPathComponent("minilm/embeddings.safetensors").path)
        let expected = try file.tensor(named: "embeddings")
        let actual = try encoder.encode(sentences)
        #expect(sentences.count >= 20 && actual.shape == expected.shape && expected.shape == [sentences.count, 384])
        #expect(try actual.maxAbsoluteDifference(expected) <= 2e-5)
        for row in 0..<sentences.count {
            let left = try actual.sliced(0, row..<row + 1).doubles()
            let right = try expected.sliced(0, row..<row + 1).doubles()
            func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
            let cosine = dot(left, right) / (dot(left, left) * dot(right, right)).squareRoot()
            #expect(cosine >= 0.99999, "\(sentences[row].prefix(40))")
        }
    }

    @Test func companyDoesNotChangeABit() throws {
        let encoder = try TextEncoder(directory: try Support.miniLM(), registry: Support.registry)
        let texts = [
            "", "Hello", "The quick brown fox jumps over the lazy dog.", String(repeating: "long ", count: 300), "我们",
        ]
        var done: [Int] = []
        let together = try encoder.encode(texts) { finished, total in
            done.append(finished)
            #expect(total == texts.count)
        }
        #expect(done.last == texts.count)
        for (row, text) in texts.enumerated() {
            let alone = try encoder.encode([text])
            #expect(alone.bitwiseEquals(try together.sliced(0, row..<row + 1)), "\(text.prefix(20))")
        }
        #expect(try encoder.encode([]).shape == [0, 384])
    }

    @Test func wrongOperatorsAreRefusedWithTheNearestName() throws {
        let folder = try Support.miniLM()
        let message = try Support.message {
            _ = try TextEncoder(
                directory: folder, attention: AttentionSpecification(json: #"{"name":"flahs"}"#),
                registry: Support.registry)
        }
        #expect(
            message.contains(
                "layers[4][0] self-attention: attention is 'flahs'; expected a known operator; did you mean 'flash'?"))
        let local = try Support.message {
            _ = try TextEncoder(
                directory: folder, attention: AttentionSpecification(name: "local"), registry: Support.registry)
        }
        #expect(local.contains("set window to [left, right]"), "\(local)")
    }

    @Test func theConfigurationMakesTheModel() throws {
        try Support.withDirectory(["config.json": Self.configuration]) { folder throws in
            let configuration = try BertConfiguration(directory: folder)
            #expect(configuration.activation == .geluTanh && configuration.epsilon == 1e-12)
            let model = configuration.model()
            #expect(model.mismatches(in: Support.registry).isEmpty)
            let names = configuration.parameterNames(prefix: "bert.")
            #expect(Set(names.keys) == Set(model.parameters.map(\.name)))
            #expect(names["layers.4.0.query.weight"] == "bert.encoder.layer.0.attention.self.query.weight")
            #expect(names["layers.7.bias"] == "bert.encoder.layer.0.output.LayerNorm.bias")
        }
    }

    @Test(arguments: [
        (#""model_type": "bert""#, #""model_type": "roberta""#, #"model_type is "roberta"; expected "bert""#),
        (
            #""type_vocab_size": 2"#, #""type_vocab_size": 2, "position_embedding_type": "relative_key""#,
            #"position_embedding_type is "relative_key"; expected "absolute""#
        ),
        (
            #""gelu_new""#, #""mish""#,
            #"hidden_act is "mish"; expected one of gelu, gelu_new, gelu_pytorch_tanh, relu, silu, swish"#
        ),
        (#""hidden_size": 8"#, #""hidden_size": 0"#, "hidden_size is 0; expected a whole number from 1 up"),
        (#""vocab_size": 7,"#, "", "vocab_size is missing; expected a whole number from 1 up"),
        (#""vocab_size": 7"#, #""is_decoder": true, "vocab_size": 7"#, "is_decoder is true; expected false"),
    ])
    func unsupportedConfigurations(old: String, new: String, expected: String) throws {
        try Support.withDirectory(["config.json": Self.configuration.replacing(old, with: new)]) { folder throws in
            let message = try Support.message { _ = try BertConfiguration(directory: folder) }
            #expect(message == "\(folder)/config.json: \(expected)")
        }
    }

    private static let files = [
        "config.json": configuration, "vocab.txt": "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\n",
        "modules.json": """
        [{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},
         {"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"}]
        """,
        "1_Pooling/config.json": #"{"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":true}"#,
        "sentence_bert_config.json": #"{"max_seq_length":5}"#,
    ]

    private func write(_ folder: String, prefix: String) throws {
        let configuration = try BertConfiguration(directory: folder)
        let names = configuration.parameterNames(prefix: prefix)
        let tensors = try configuration.model().parameters.map { parameter in
            (try #require(names[parameter.name]), try #require(SeededWeights(seed: 2).tensor(for: parameter)))
        }
        try SafetensorsFile.write(tensors, to: folder + "/model.safetensors")
    }

    @Test(arguments: ["", "bert."])
    func aDirectoryOfOnesOwn(prefix: String) throws {
        try Support.withDirectory(Self.files) { folder throws in
            try write(folder, prefix: prefix)
            let encoder = try TextEncoder(directory: folder, registry: Support.registry)
            #expect(encoder.width == 16 && encoder.maximumLength == 5)
            #expect(encoder.network.model.layers.last == .pooling(Pooling([.cls, .mean])))
            let long = try encoder.encode(["a b a b a b a b"])
            #expect(long.shape == [1, 16])
            #expect(try encoder.encode(["a b a"]).bitwiseEquals(long))
        }
    }

    @Test(arguments: [
        (
            "modules.json", ".Pooling", ".Dense",
            #"modules.json: [1].type is "sentence_transformers.models.Dense"; expected Pooling or Normalize"#
        ),
        (
            "1_Pooling/config.json", "true}", #"true,"pooling_mode_lasttoken":true}"#,
            "1_Pooling/config.json: pooling_mode_lasttoken is true; expected false: built are cls, max and mean"
        ),
        (
            "1_Pooling/config.json", "true}", #"true,"word_embedding_dimension":9}"#,
            "1_Pooling/config.json: word_embedding_dimension is 9; expected 8, the encoder's width"
        ),
        (
            "vocab.txt", "b\n", "b\nc\nd\n",
            "config.json: vocab_size is 7; expected at least the 8 tokens of the tokenizer"
        ),
        (
            "sentence_bert_config.json", "5", #""5""#,
            #"sentence_bert_config.json: max_seq_length is "5"; expected a whole number from 1 up"#
        ),
    ])
    func brokenDirectories(file: String, old: String, new: String, expected: String) throws {
        var files = Self.files
        files[file] = files[file]?.replacing(old, with: new)
        try Support.withDirectory(files) { folder throws in
            try write(folder, prefix: "")
            let message = try Support.message { _ = try TextEncoder(directory: folder, registry: Support.registry) }
            #expect(message == "\(folder)/\(expected)")
        }
    }

    @Test func missingWeights() throws {
        try Support.withDirectory(Self.files.merging(["pytorch_model.bin": "x"]) { $1 }) { folder throws in
            #expect(
                try Support.message { _ = try TextEncoder(directory: folder, registry: Support.registry) }
                    == "\(folder)/model.safetensors: no such file; pytorch_model.bin cannot be read")
        }
    }
}
