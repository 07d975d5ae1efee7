import AttentionCore
import Foundation
import Kernels
import TensorCore
import Testing
import TransformerBlocks

/// The layers that decoders need: as data, as checks, and as numbers.
@Suite struct DecoderLayerTests {
    private static let yarn = RotaryScaling.yarn(
        YarnScaling(factor: 4, originalLength: 32, betaFast: 16, attentionFactor: 1.2, truncate: false))
    private static let scalings: [RotaryScaling] = [
        .none, .linear(factor: 2.5),
        .llama3(factor: 8, lowFrequency: 1, highFrequency: 4, originalLength: 64),
        .dynamic(factor: 2, originalLength: 16), yarn,
    ]

    private static func decoder(_ scaling: RotaryScaling = .none) -> ModelDescription {
        Transformer(width: 16) {
            TokenEmbedding(vocabulary: 37, scale: 4)
            PositionEmbedding(length: 40, offset: 2)
            Residual {
                RMSNorm(epsilon: 1e-5, offset: 1)
                SelfAttention(
                    heads: 4, kvHeads: 2, headDim: 8, using: AttentionSpecification(name: "full"), mask: .causal,
                    outputBias: false,
                    rotary: RotaryEmbedding(theta: 500, layout: .interleaved, dimension: 6, scaling: scaling),
                    queryKeyNorm: RMSNorm(offset: 1))
            }
            Residual {
                RMSNorm()
                GatedFeedForward(hidden: 24, activation: .geluTanh, bias: true)
            }
            LanguageModelHead(tied: true, bias: true, softcap: 5)
        }.model
    }

    private static let network = Result {
        try Network(decoder(), weights: SeededWeights(seed: 9, deviation: 0.3), registry: Support.registry)
    }

    @Test func layersAreData() throws {
        for scaling in Self.scalings {
            let model = Self.decoder(scaling)
            #expect(try ModelDescription(json: model.json) == model)
            #expect(try ModelDescription(yaml: model.yaml) == model)
            #expect(model == Self.decoder() || scaling != .none)
            #expect(model.mismatches(in: Support.registry).isEmpty)
        }
        #expect(
            Self.decoder().parameters.map { "\($0.name) \($0.shape)" }.filter {
                $0.contains("2.1") || $0.contains("3.1")
            }
                == [
                    "layers.2.1.query.weight [32, 16]", "layers.2.1.query.bias [32]", "layers.2.1.key.weight [16, 16]",
                    "layers.2.1.key.bias [16]", "layers.2.1.value.weight [16, 16]", "layers.2.1.value.bias [16]",
                    "layers.2.1.output.weight [16, 32]", "layers.2.1.queryNorm.weight [8]",
                    "layers.2.1.keyNorm.weight [8]", "layers.3.1.gate.weight [24, 16]", "layers.3.1.gate.bias [24]",
                    "layers.3.1.up.weight [24, 16]", "layers.3.1.up.bias [24]", "layers.3.1.down.weight [16, 24]",
                    "layers.3.1.down.bias [16]",
                ])
        #expect(Self.decoder().parameters.first { $0.name == "layers.1.weight" }?.shape == [42, 16])
        #expect(Self.decoder().description.contains("rotary theta 500 interleaved of 6"))
    }

    @Test func settingsAreChecked() throws {
        func messages(_ layer: some Block) -> [String] {
            ModelDescription(width: 16, layers: [.tokenEmbedding(TokenEmbedding(vocabulary: 3))] + layer.body)
                .mismatches(in: Support.registry).map(\.description)
        }
        func rotary(_ rotary: RotaryEmbedding) -> [String] { messages(SelfAttention(heads: 2, rotary: rotary)) }
        #expect(
            messages(RMSNorm(epsilon: -1)) == [
                "layers[1] rms-norm: epsilon is -1.0; expected a finite number from 0 up"
            ])
        #expect(messages(RMSNorm(offset: .nan)).count == 1)
        #expect(messages(GatedFeedForward(hidden: 0)).count == 1)
        #expect(messages(LanguageModelHead(softcap: 0)).first?.contains("softcap is 0.0") == true)
        #expect(messages(PositionEmbedding(length: 4, offset: -1)).first?.contains("offset is -1") == true)
        #expect(messages(SelfAttention(heads: 2, queryKeyNorm: RMSNorm(epsilon: .infinity))).count == 1)
        #expect(rotary(RotaryEmbedding(theta: 1)).first?.contains("rotary theta is 1.0") == true)
        for dimension in [0, 3, 10, -2] { #expect(rotary(RotaryEmbedding(dimension: dimension)).count == 1) }
        #expect(rotary(RotaryEmbedding(scaling: .linear(factor: 0))).count == 1)
        #expect(rotary(RotaryEmbedding(dimension: 2, scaling: .dynamic(factor: 2, originalLength: 8))).count == 1)
        #expect(
            rotary(
                RotaryEmbedding(
                    scaling: .llama3(factor: 2, lowFrequency: 4, highFrequency: 4, originalLength: 0))
            ).count == 2)
        #expect(
            try Support.message {
                _ = try ModelDescription(
                    json: #"{"width":8,"layers":[{"self-attention":{"heads":1,"rotary":{"scaling":{"type":"ntk"}}}}]}"#)
            } == """
                layers[0] self-attention rotary.scaling: type is "ntk"; expected one of linear, llama3, dynamic, yarn
                """)
    }

    @Test func rotationsKnowDistancesAlone() throws {
        // Without a position table, a sequence that begins later is the same sequence.
        var model = Self.decoder()
        model.layers.remove(at: 1)
        let network = try Network(model, weights: SeededWeights(seed: 9, deviation: 0.3), registry: Support.registry)
        let ids = Support.sequence(12, seed: 4)
        let early = try network.forward(RaggedBatch([ids])).floats()
        let late = try network.forward(RaggedBatch([ids], starts: [500])).floats()
        #expect(early != late)
        #expect(zip(early, late).allSatisfy { abs($0 - $1) < 1e-3 })
        // And places count: the same tokens in another order do not give the last row again.
        let swapped = try network.forward(RaggedBatch([[ids[1], ids[0]] + ids.dropFirst(2)])).floats()
        #expect(zip(early.suffix(37), swapped.suffix(37)).contains { abs($0 - $1) > 1e-3 })
    }

    @Test(arguments: 0..<scalings.count)
    func companyPartsAndThreadsDoNotChangeABit(index: Int) throws {
        let model = Self.decoder(Self.scalings[index])
        func network(_ threads: Int) throws -> Network {
            try Network(
                model, weights: SeededWeights(seed: 9, deviation: 0.3), registry: Support.registry,
                context: try ComputeContext(threads: threads))
        }
        let (one, two) = (try network(1), try network(2))
        let sequences = [Support.sequence(40, seed: 1), Support.sequence(5, seed: 2)]
        let whole = try two.forward(RaggedBatch(sequences), store: GrowingStore())
        #expect(try one.forward(RaggedBatch(sequences), store: GrowingStore()).bitwiseEquals(whole))
        let store = GrowingStore()
        var rows: [Float] = []
        for token in 0..<40 {
            rows += try one.forward(RaggedBatch([[sequences[0][token]]], starts: [token]), store: store).floats()
        }
        #expect(rows == Array(whole.floats().prefix(40 * 37)))
    }

    @Test func scoresAreCappedAndBiased() throws {
        let logits = try Self.network.get().forward(RaggedBatch([Support.sequence(9, seed: 3)]))
        #expect(logits.floats().allSatisfy { abs($0) < 5 })
        #expect(logits.floats().contains { abs($0) > 1 })
        let model = Transformer(width: 2) {
            TokenEmbedding(vocabulary: 3)
            LanguageModelHead(bias: true)
        }.model
        let weights = TensorWeights([
            "layers.0.weight": try Tensor([1, 0, 0, 1, 1, 1] as [Float], shape: [3, 2]),
            "layers.1.bias": try Tensor([0.5, 0, -1] as [Float], shape: [3]),
        ])
        let scores = try Network(model, weights: weights, registry: Support.registry).forward(RaggedBatch([[2]]))
        #expect(scores.floats() == [1.5, 1, 1])
    }
}
