import AttentionCore
import Foundation
import Kernels
import Testing
import TransformerBlocks

/// One model in Swift, JSON and YAML.
@Suite struct DescriptionTests {
    private static let swift = Transformer(width: 384) {
        TokenEmbedding(vocabulary: 30_522)
        for index in 0..<6 {
            Residual {
                LayerNorm(epsilon: 1e-6)
                SelfAttention(
                    heads: 12, kvHeads: 4,
                    using: AttentionSpecification(
                        name: "local", options: AttentionOptions(mask: .window(left: 255, right: 0))))
            }
            Residual {
                LayerNorm(bias: false)
                FeedForward(hidden: 1536, activation: index < 6 ? .silu : .gelu)
            }
        }
        Pooling([.cls, .mean])
        Normalize()
    }.model

    private static let json = """
        {"width": 384, "layers": [
          {"token-embedding": {"vocabulary": 30522}},
          {"repeat": 6, "layers": [
            {"residual": [{"layer-norm": {"epsilon": 1e-6}},
                          {"self-attention": {"heads": 12, "kvHeads": 4,
                                              "attention": {"name": "local", "window": [255, 0]}}}]},
            {"residual": [{"layer-norm": {"bias": false}},
                          {"feed-forward": {"hidden": 1536, "activation": "silu"}}]}]},
          {"pooling": {"modes": ["cls", "mean"]}}, "normalize"]}
        """

    private static let yaml = """
        width: 384
        attention: {name: local, window: [255, 0]}
        layers:
          - token-embedding: {vocabulary: 30522}
          - repeat: 6
            layers:
              - residual:
                  - layer-norm: {epsilon: 1.0e-6}
                  - self-attention: {heads: 12, kvHeads: 4}
              - residual:
                  - layer-norm: {bias: false}
                  - feed-forward:
                      hidden: 1536
                      activation: silu
          - pooling: {modes: [cls, mean]}
          - normalize
        """

    @Test func swiftJSONAndYAMLAreOneValue() throws {
        #expect(try ModelDescription(json: Self.json) == Self.swift)
        #expect(try ModelDescription(yaml: Self.yaml) == Self.swift)
        #expect(Transformer(try ModelDescription(yaml: Self.yaml)) == Transformer(Self.swift))
        #expect(try ModelDescription(json: Self.json).hashValue == Self.swift.hashValue)
    }

    @Test func roundTrips() throws {
        for model in [Self.swift, Support.languageModel(), Support.languageModel(kvHeads: 1)] {
            #expect(try ModelDescription(json: model.json) == model)
            #expect(try ModelDescription(yaml: model.yaml) == model)
            #expect(try ModelDescription(model.configuration) == model)
            let data = try JSONEncoder().encode(model)
            #expect(try JSONDecoder().decode(ModelDescription.self, from: data) == model)
        }
    }

    @Test func repetitionsAreFolded() {
        #expect(Self.swift.json.count < 500, "\(Self.swift.json)")
        #expect(Self.swift.yaml.contains("repeat: 6"))
    }

    private func names(_ model: ModelDescription) -> [String] {
        model.layers.flatMap { layer -> [String] in
            switch layer {
            case .selfAttention(let attention): [attention.attention.name]
            case .residual(let residual): names(ModelDescription(width: 1, layers: residual.layers))
            default: []
            }
        }
    }

    @Test func attentionPatterns() throws {
        let five = Array(repeating: #"{"name":"local","window":[7,0]}"#, count: 5).joined(separator: ",")
        let stack = #"{"repeat":12,"layers":[{"residual":[{"self-attention":{"heads":2}}]}]}"#
        let json = #"{"width":8,"attention":{"pattern":[\#(five),"full"]},"layers":[\#(stack)]}"#
        let model = try ModelDescription(json: json)
        let expected = [String](repeating: "local", count: 5) + ["full"]
        #expect(names(model) == expected + expected)
        #expect(try ModelDescription(json: model.json) == model)
        let inner = json.replacing(#""repeat":12"#, with: #""repeat":2,"attention":{"pattern":["flash","auto"]}"#)
        #expect(names(try ModelDescription(json: inner)) == ["flash", "auto"])
        #expect(
            names(Self.swift.settingAttention([AttentionSpecification(name: "a"), AttentionSpecification(name: "b")]))
                == ["a", "b", "a", "b", "a", "b"])
    }

    @Test(arguments: [
        (
            #"{"width":8,"layers":[{"feed-forwad":{"hidden":3}}]}"#,
            "layers[0]: no field is called 'feed-forwad'; did you mean 'feed-forward'?"
        ),
        (
            #"{"width":8,"layers":[{"feed-forward":{"hiden":3,"hidden":3}}]}"#,
            "layers[0] feed-forward: no field is called 'hiden'; did you mean 'hidden'?"
        ),
        (#"{"width":8,"layer":[]}"#, "model: no field is called 'layer'; did you mean 'layers'?"),
        (
            #"{"width":8,"layers":[{"residual":["layer-norm",{"self-attention":{}}]}]}"#,
            "layers[0] residual[1] self-attention: heads is missing; expected a whole number"
        ),
        (#"{"width":"8","layers":[]}"#, "model: width is \"8\"; expected a whole number"),
        (
            #"{"width":8,"layers":[{"feed-forward":{"hidden":3,"activation":"glu"}}]}"#,
            "layers[0] feed-forward: activation is \"glu\"; expected one of gelu, gelu-tanh, relu, silu"
        ),
        (
            #"{"width":8,"layers":[{"repeat":-1,"layers":[]}]}"#,
            "layers[0]: repeat is -1; expected a number from 0 to 100000"
        ),
        (
            #"{"width":8,"layers":[{"repeat":99999,"layers":["normalize","normalize"]}]}"#,
            "layers[0]: the number of layers is 100002; expected at most 100000"
        ),
        (
            #"{"width":8,"attention":{"name":"local","window":3},"layers":[]}"#,
            "attention: option 'window' is 3; expected [left, right] from 0 up, or -1 for unlimited"
        ),
    ])
    func refusals(json: String, expected: String) throws {
        #expect(try Support.message { _ = try ModelDescription(json: json) } == expected)
        #expect(try Support.message { _ = try ModelDescription(yaml: json) } == expected)
    }

    @Test func brokenTexts() throws {
        #expect(
            try Support.message { _ = try ModelDescription(json: "{") } == "model: the text is '{'; expected JSON")
        #expect(try Support.message { _ = try ModelDescription(yaml: "a: [") }.hasPrefix("model: the text is "))
        #expect(
            try Support.message { _ = try ModelDescription(yaml: "width: 8\nwidth: 9\nlayers: []") }.contains("width"))
    }
}
