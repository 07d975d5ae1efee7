import AttentionCore
import Testing
import TransformerBlocks

/// What the builder makes of Swift's control flow.
@Suite struct BuilderTests {
    private struct EncoderBlock: Block {
        let hidden: Int
        var body: [LayerNode] {
            Residual { SelfAttention(heads: 2) }
            LayerNorm()
            Residual { FeedForward(hidden: hidden) }
        }
    }

    private func kinds(_ transformer: Transformer) -> [String] { transformer.model.layers.map(\.kind) }

    @Test func loopsConditionsAndLists() {
        func model(_ depth: Int, pooled: Bool) -> Transformer {
            let ending: [LayerNode]? = pooled ? [.normalize(Normalize())] : nil
            return Transformer(width: 8) {
                TokenEmbedding(vocabulary: 5)
                for index in 0..<depth {
                    if index.isMultiple(of: 2) { LayerNorm() } else { Linear(outputs: 8) }
                }
                if pooled {
                    Pooling(.cls)
                    Normalize()
                }
                if let ending { ending }
            }
        }
        #expect(kinds(model(3, pooled: false)) == ["token-embedding", "layer-norm", "linear", "layer-norm"])
        #expect(kinds(model(0, pooled: true)) == ["token-embedding", "pooling", "normalize", "normalize"])
    }

    @Test func blocksOfOnesOwn() {
        let model = Transformer(width: 8) {
            TokenEmbedding(vocabulary: 5)
            for _ in 0..<2 { EncoderBlock(hidden: 32) }
        }
        #expect(kinds(model).count == 7)
        #expect(model.model.layers[1] == model.model.layers[4])
        #expect(model.model.layers[6] == .residual(Residual { FeedForward(hidden: 32) }))
    }

    @Test func operatorsByValueAndByName() throws {
        let byValue = SelfAttention(heads: 2, using: try Support.registry["flash"], mask: .causal)
        let byName = SelfAttention(heads: 2, using: AttentionSpecification(name: "flash"), mask: .causal)
        #expect(byValue == byName)
        #expect(byValue.attention.options.mask == .causal)
        let joined = SelfAttention(
            heads: 2, using: try AttentionSpecification(json: #"{"name":"local","window":[3,0]}"#), mask: .causal)
        #expect(joined.attention.options.mask == .and([.window(left: 3, right: 0), .causal]))
        #expect(throws: AttentionError.self) {
            _ = try Transformer(width: 8) { SelfAttention(heads: 2, using: try Support.registry["flahs"]) }
        }
    }

    @Test func printing() {
        let model = Transformer(width: 16) {
            TokenEmbedding(vocabulary: 100)
            for _ in 0..<3 {
                Residual {
                    LayerNorm()
                    SelfAttention(heads: 4, kvHeads: 2, using: AttentionSpecification(name: "flash"), mask: .causal)
                }
                Residual { FeedForward(hidden: 1000, bias: false) }
            }
            Pooling([.mean, .max])
            Linear(outputs: 3)
            Normalize()
        }
        let expected = """
            Transformer of width 16, 100,243 parameters
            token-embedding     100 tokens                                   [tokens, 16]      1,600
            3 times
              residual                                                       [tokens, 16]        848
                layer-norm      epsilon 1e-05                                [tokens, 16]         32
                self-attention  4 heads, 2 kv heads, flash {"causal": true}  [tokens, 16]        816
              residual                                                       [tokens, 16]     32,000
                feed-forward    hidden 1000, gelu, no bias                   [tokens, 16]     32,000
            pooling             mean, max                                    [sequences, 32]
            linear              to 3                                         [sequences, 3]       99
            normalize                                                        [sequences, 3]
            """
        #expect(model.description == expected)
        #expect(model.model.parameterCount == 1600 + 3 * (848 + 32_000) + 99)
        #expect(model.model.outputWidth == 3)
    }
}
