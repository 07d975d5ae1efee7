import AttentionCore
import AttentionOperators
import Foundation
import TensorCore
import Testing

/// `zoo embed` on the real model.
@Suite(.enabled(if: ModelFolder.path != nil, "the package index cannot be reached, so all-MiniLM-L6-v2 is not here"))
struct EmbedCommandTests {
    private let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../Fixtures/minilm").standardizedFileURL

    private func embed(_ arguments: [String], input: String = "") throws -> ZooProcess.Outcome {
        try ZooProcess.run(["embed", "--model", try #require(ModelFolder.path)] + arguments, input: input)
    }

    private func vectors(_ outcome: ZooProcess.Outcome) throws -> [[Double]] {
        #expect(outcome.status == 0, "\(outcome.error)")
        return try #require(outcome.object["vectors"] as? [[Double]])
    }

    @Test(arguments: [
        "full", "memory-efficient", "flash", "grouped-query", "{\"name\": \"local\", \"window\": [511, 511]}",
    ])
    func vectorsAreThoseOfTransformers(attention: String) throws {
        let sentences = fixtures.appendingPathComponent("sentences.json")
        let count = try JSONDecoder().decode([String].self, from: Data(contentsOf: sentences)).count
        let file = try SafetensorsFile(path: fixtures.appendingPathComponent("embeddings.safetensors").path)
        let expected = try file.tensor(named: "embeddings")
        let folder = try TemporaryFolder()
        let out = folder.path("vectors.safetensors")
        let outcome = try embed(["--attention", attention, "--output", out, "--json", "--file", sentences.path])
        #expect(try vectors(outcome).count == count)
        let ours = try SafetensorsFile(path: out).tensor(named: "embeddings")
        #expect(try ours.maxAbsoluteDifference(expected) <= 2e-5)
    }

    /// Operators that own tensors and run the model's layers.
    static let owners = OperatorRegistry.builtIn.entries.map(\.id).filter { id in
        guard let configured = try? OperatorRegistry.builtIn[id] else { return false }
        // The shortest text below has five tokens, which make no grid.
        return [5, 512].map { AttentionProblem(queryLength: $0, heads: 12, headDim: 32) }.allSatisfy {
            configured.unsupportedReasons(for: $0).isEmpty && !configured.parameters(for: $0).isEmpty
        }
    }

    @Test(arguments: owners)
    func operatorsThatOwnTensorsSayWhatTheyBegan(id: String) throws {
        let problem = AttentionProblem(queryLength: 512, heads: 12, headDim: 32)
        let names = try OperatorRegistry.builtIn[id].parameters(for: problem).map(\.name)
        let texts = ["a cat sleeps", "the price of copper rose for the third day in a row"]
        let outcome = try embed(["--attention", "{\"name\": \"\(id)\"}", "--json"] + texts)
        let found = try vectors(outcome)
        #expect(found.count == 2 && found.allSatisfy { $0.allSatisfy(\.isFinite) })
        let initialised = try #require(outcome.object["initialised"] as? [String])
        #expect(initialised == (0..<6).flatMap { layer in names.map { "layers.\(4 + 4 * layer).0.attention.\($0)" } })
        let text = try embed(["--attention", id, texts[0]])
        #expect(text.out.contains("not in the model, so begun by the operator's rule"))
    }

    @Test func linesOfFilesAndOfStandardInput() throws {
        let folder = try TemporaryFolder()
        let text = "a cat sleeps\n\nstock prices fell\n"
        try Data(text.utf8).write(to: URL(fileURLWithPath: folder.path("lines.txt")))
        let fromFile = try embed(["--file", folder.path("lines.txt"), "--json"])
        let fromInput = try embed(["--json", "--batch", "1"], input: text)
        let fromArguments = try embed(["--json", "a cat sleeps", "", "stock prices fell"])
        #expect(fromFile.object["texts"] as? [String] == ["a cat sleeps", "", "stock prices fell"])
        #expect(try vectors(fromFile) == vectors(fromArguments))
        #expect(try vectors(fromInput) == vectors(fromArguments))
    }

    @Test func peopleSeeNormsAndCosines() throws {
        let outcome = try embed(["a cat sleeps", "a feline rests"])
        #expect(outcome.status == 0)
        #expect(outcome.out.contains("1  a cat sleeps         5  1.00000"))
        #expect(outcome.out.contains("     1  1.0000  0.4397\n"))
    }

    @Test func mistakesAreExplained() throws {
        let operatorName = try embed(["--attention", "{\"name\":\"flahs\"}", "x"])
        #expect(operatorName.status == 64)
        #expect(
            operatorName.error
                == "zoo: no operator is called 'flahs'; did you mean 'flash'?\n'zoo list' shows every operator.\n")
        let option = try embed(["--attention", "{\"name\":\"flash\",\"keyTil\":3}", "x"])
        #expect(option.status == 64)
        #expect(option.error.contains("flash has no option 'keyTil'; did you mean 'keyTile'?"))
        let window = try embed(["--attention", "local", "--json", "x"])
        #expect(window.status == 69)
        #expect((window.failure["message"] as? String)?.contains("window: left is unlimited") == true)
        let folder = try ZooProcess.run(["embed", "--model", "/no/such/model", "x"])
        #expect(folder.status == 65)
        #expect(folder.error.contains("/no/such/model/config.json"))
        #expect(try embed(["--file", "/no/such/file"]).status == 65)
        #expect(try embed(["--batch", "0", "x"]).status == 64)
    }
}
