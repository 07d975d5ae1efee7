import AttentionZoo
import Foundation
import Testing

/// Causal attention of grouped heads; any operator of the registry will do.
func attend(query: Tensor, key: Tensor, value: Tensor) throws -> AttentionOutput {
    let flash = try OperatorRegistry.builtIn["flash"]
    let inputs = AttentionInputs(query: query, key: key, value: value)
    return try flash.forward(inputs, options: AttentionOptions(mask: .causal))
}

/// A model in which every third layer sees everything and the others a window.
func model() throws -> Transformer {
    let near = AttentionSpecification(name: "local", options: .init(mask: .window(left: 255, right: 0)))
    let far = AttentionSpecification(name: "flash", options: .init(mask: .causal))
    return Transformer(width: 384) {
        TokenEmbedding(vocabulary: 30_522)
        for layer in 0..<6 {
            Residual {
                LayerNorm()
                SelfAttention(heads: 12, using: layer % 3 == 2 ? far : near)
            }
            Residual {
                LayerNorm()
                FeedForward(hidden: 1536, activation: .gelu)
            }
        }
        LanguageModelHead(tied: true)
    }
}

/// The README's Swift is this file's.
@Suite struct ReadmeTests {
    @Test func theReadmeShowsWhatIsCompiledHere() throws {
        let file = URL(fileURLWithPath: #filePath)
        let readme = try String(
            contentsOf: file.deletingLastPathComponent().appendingPathComponent("../../README.md").standardizedFileURL,
            encoding: .utf8)
        let block = try #require(
            readme.components(separatedBy: "```swift\n").dropFirst().first?
                .components(separatedBy: "```").first)
        let source = try String(contentsOf: file, encoding: .utf8)
        let shown = block.replacing("import AttentionZoo\n", with: "", maxReplacements: 1)
        #expect(source.contains(shown.trimmingCharacters(in: .newlines)))
    }

    @Test func theExamplesRun() throws {
        let output = try attend(
            query: .random(uniform: [1, 20, 4, 16], seed: 1), key: .random(uniform: [1, 20, 2, 16], seed: 2),
            value: .random(uniform: [1, 20, 2, 16], seed: 3))
        #expect(output.output.shape == [1, 20, 4, 16])
        try model().model.validate(in: .builtIn, context: ComputeContext())
    }
}
