import AttentionCore
import Testing
import TransformerBlocks

/// Everything that does not fit, at once, in these words.
@Suite struct ValidationTests {
    private func problems(_ width: Int, @BlockBuilder _ layers: () -> [LayerNode]) -> [String] {
        Transformer(width: width, layers).model.mismatches(in: Support.registry).map(\.description)
    }

    @Test func aModelThatFits() {
        #expect(Support.languageModel().mismatches(in: Support.registry).isEmpty)
    }

    @Test func everythingAtOnce() throws {
        let model = Transformer(width: 10) {
            TokenEmbedding(vocabulary: 0)
            Residual {
                LayerNorm(epsilon: -1)
                SelfAttention(heads: 4)
            }
            Residual { SelfAttention(heads: 6, kvHeads: 4, headDim: 2) }
            Residual { Linear(outputs: 11) }
            Residual {}
            SelfAttention(heads: 5, using: AttentionSpecification(name: "flahs"))
            TokenEmbedding(vocabulary: 7)
            FeedForward(hidden: -3)
        }
        let message = try Support.message { try model.model.validate(in: Support.registry) }
        let expected = """
            the model does not fit together:
              - layers[0] token-embedding: vocabulary is 0; expected a number from 1 to 1048576
              - layers[1][0] layer-norm: epsilon is -1.0; expected a finite number from 0 up
              - layers[1][1] self-attention: heads is 4; expected a divisor of the width 10, or a headDim
              - layers[2][0] self-attention: kvHeads is 4; expected a divisor of the 6 heads
              - layers[3] residual: the width of what is added is 11; expected 10, as what comes in
              - layers[4] residual: its content is empty; expected at least one layer
              - layers[5] self-attention: attention is 'flahs'; expected a known operator; did you mean 'flash'?
              - layers[6] token-embedding: its place is after another token-embedding; expected first, and once
              - layers[7] feed-forward: hidden is -3; expected a number from 1 to 1048576
            """
        #expect(message == expected)
    }

    @Test func placesOfLayers() {
        #expect(
            problems(8) {
                LayerNorm()
                LanguageModelHead()
            } == [
                "layers[0] layer-norm: its place is first; expected after a token-embedding",
                "layers[1] language-model-head: the table it is tied to is missing; expected a token-embedding before it",
            ])
        #expect(
            problems(8) {
                TokenEmbedding(vocabulary: 9)
                Pooling()
                SelfAttention(heads: 2)
                LanguageModelHead()
                Normalize()
            } == [
                "layers[2] self-attention: its input is a row for each sequence; expected a row for each token",
                "layers[3] language-model-head: its input is a row for each sequence; expected a row for each token",
                "layers[4] normalize: its place is after it; expected before the language-model-head",
            ])
        #expect(
            problems(8) {
                TokenEmbedding(vocabulary: 9)
                Linear(outputs: 6)
                Residual { Pooling(.max) }
                LanguageModelHead()
            }.first == "layers[2][0] pooling: its place is inside of one; expected outside of a residual")
        #expect(
            problems(0) {} == [
                "model: width is 0; expected a number from 1 to 1048576",
                "model: layers is empty; expected a token-embedding first",
            ])
    }

    @Test func tiedHeadOfAnotherWidth() {
        #expect(
            problems(8) {
                TokenEmbedding(vocabulary: 9)
                Linear(outputs: 6)
                LanguageModelHead(tied: true)
            } == [
                "layers[2] language-model-head: the width of its input is 6; "
                    + "expected 8, as the token-embedding it is tied to"
            ])
    }

    @Test func operatorsAreAskedAboutTheLongestSequence() throws {
        let found = problems(8) {
            TokenEmbedding(vocabulary: 9)
            PositionEmbedding(length: 32)
            SelfAttention(heads: 2, using: AttentionSpecification(name: "local"))
        }
        let text = try #require(found.first)
        #expect(found.count == 1)
        #expect(
            text.hasPrefix("layers[2] self-attention: attention is 'local', which cannot: window: left is unlimited"))
        #expect(text.contains("[31, 31]"))
        #expect(text.contains("[1, 32, 2, 4]"))
        let option = problems(8) {
            TokenEmbedding(vocabulary: 9)
            SelfAttention(heads: 2, using: AttentionSpecification(name: "flash", configuration: ["blok": 3]))
        }
        #expect(
            option.count == 1 && option[0].contains("attention is refused: flash has no option 'blok'"), "\(option)")
    }

    /// Absurd numbers are reported, never computed with.
    @Test(arguments: [-1, 0, 1 << 21, 1 << 40, Int.max, Int.min])
    func absurdNumbers(number: Int) {
        let found = problems(number) {
            TokenEmbedding(vocabulary: number)
            PositionEmbedding(length: number)
            TokenTypeEmbedding(types: number)
            SelfAttention(heads: number, kvHeads: number, headDim: number)
            FeedForward(hidden: number)
            Linear(outputs: number)
        }
        #expect(found.count >= 8)
        let model = ModelDescription(width: number, layers: [.linear(Linear(outputs: number))])
        #expect(model.parameterCount >= 0 && !model.description.isEmpty)
    }
}
