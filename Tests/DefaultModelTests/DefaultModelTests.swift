import AttentionCore
import AttentionOperators
import DefaultModel
import Foundation
import TensorCore
import Testing
import Tokenizers
import TransformerBlocks

/// The model that comes with the project, against what transformers says of it.
@Suite struct DefaultModelTests {
    private struct Greedy: Decodable {
        let prompt: String
        let ids: [Int]
        let continuation: [Int]
        let text: String
        let chat: String
        let chatIds: [Int]
        let reply: [Int]
    }

    private struct HeldOut: Decodable {
        let perplexity: Double
        let texts: [String]
    }

    private static func fixture<Value: Decodable>(_ name: String) throws -> Value {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/default-model")
        return try JSONDecoder().decode(Value.self, from: Data(contentsOf: folder.appendingPathComponent(name)))
    }

    private let tokenizer: Tokenizer
    private let model: CausalLanguageModel
    private let configuration: TokenizerConfiguration

    init() throws {
        let directory = try DefaultModel.directory()
        tokenizer = try Tokenizer(directory: directory)
        configuration = try TokenizerConfiguration(directory: directory)
        model = try CausalLanguageModel(directory: directory, registry: .builtIn)
    }

    /// The scores of the next token after each of these.
    private func scores(_ ids: [Int]) throws -> [[Float]] {
        let logits = try model.network.forward(try RaggedBatch([ids])).floats()
        return (0..<ids.count).map { Array(logits[$0 * model.vocabulary..<($0 + 1) * model.vocabulary]) }
    }

    /// Whether a greedy run after `start` gives `continuation`: at every place the best token is the next one.
    private func isGreedy(_ start: [Int], _ continuation: [Int]) throws -> Bool {
        let rows = try scores(start + continuation)
        return continuation.enumerated().allSatisfy { place, id in
            let row = rows[start.count - 1 + place]
            return row.indices.max { row[$0] < row[$1] } == id
        }
    }

    @Test func filesAgree() throws {
        #expect(model.family == "llama" && model.vocabulary == tokenizer.vocabularySize && model.maximumLength == 512)
        let end = try #require(configuration.endToken)
        #expect(model.eosTokenIds == [tokenizer.id(of: end)])
        #expect(model.bosTokenId == tokenizer.id(of: try #require(configuration.beginToken)))
        let folder = try FileManager.default.contentsOfDirectory(atPath: DefaultModel.directory())
        #expect(Set(folder).isSuperset(of: ["README.md", "config.json", "model.safetensors", "tokenizer.json"]))
    }

    @Test func greedyTextIsThatOfTransformers() throws {
        let greedy: Greedy = try Self.fixture("greedy.json")
        #expect(try tokenizer.ids(of: greedy.prompt) == greedy.ids)
        #expect(try isGreedy(greedy.ids, greedy.continuation))
        #expect(tokenizer.decode(greedy.continuation) == greedy.text)
    }

    @Test func chatIsThatOfTransformers() throws {
        let greedy: Greedy = try Self.fixture("greedy.json")
        let template = try #require(try configuration.chatTemplate())
        let chat = try template.render(
            messages: [ChatMessage(role: "user", content: "What is flash?")],
            variables: configuration.templateVariables)
        #expect(chat == greedy.chat)
        #expect(try tokenizer.ids(of: chat, addSpecialTokens: false) == greedy.chatIds)
        #expect(try isGreedy(greedy.chatIds, greedy.reply))
        #expect(throws: ChatTemplateError.self) {
            _ = try template.render(
                messages: [ChatMessage(role: "tool", content: "x")], variables: configuration.templateVariables)
        }
    }

    @Test func perplexityIsThatOfTransformers() throws {
        let heldOut: HeldOut = try Self.fixture("held-out.json")
        var (sum, count) = (0.0, 0)
        for text in heldOut.texts {
            let ids = try tokenizer.ids(of: text, addSpecialTokens: false)
            for (row, next) in zip(try scores(ids), ids.dropFirst()) {
                let largest = Double(row.max() ?? 0)
                let logSum = largest + log(row.reduce(0) { $0 + exp(Double($1) - largest) })
                sum += logSum - Double(row[next])
                count += 1
            }
        }
        let perplexity = exp(sum / Double(count))
        #expect(count > 5000 && abs(perplexity / heldOut.perplexity - 1) < 0.01, "\(perplexity)")
    }
}
