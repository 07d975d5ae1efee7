import Foundation
import Testing

/// The built command, run as a process: what a user meets.
enum ZooProcess {
    struct Outcome {
        let status: Int32
        let out: String
        let error: String

        /// The JSON object on standard output.
        var object: [String: Any] { Self.parse(out) }
        /// The object under `error` on standard error.
        var failure: [String: Any] { Self.parse(error)["error"] as? [String: Any] ?? [:] }

        private static func parse(_ text: String) -> [String: Any] {
            (try? JSONSerialization.jsonObject(with: Data(text.utf8))) as? [String: Any] ?? [:]
        }
    }

    /// The command.
    static let executable = built("zoo")

    /// An executable beside the test bundle, whatever the build folder and configuration are called.
    static func built(_ name: String) -> URL? {
        var starts = [URL(fileURLWithPath: CommandLine.arguments[0]), Bundle.main.bundleURL]
        starts += Bundle.allBundles.map(\.bundleURL)
        // macOS runs tests in a helper and names the bundle in an argument.
        starts += CommandLine.arguments.filter { $0.contains(".xctest") }.map { URL(fileURLWithPath: $0) }
        for start in starts {
            var folder = start.resolvingSymlinksInPath()
            for _ in 0..<5 {
                folder = folder.deletingLastPathComponent()
                let candidate = folder.appendingPathComponent(name)
                var isFolder: ObjCBool = false
                if FileManager.default.fileExists(atPath: candidate.path, isDirectory: &isFolder), !isFolder.boolValue,
                    FileManager.default.isExecutableFile(atPath: candidate.path)
                {
                    return candidate
                }
            }
        }
        return nil
    }

    /// Runs the command, or another executable, to its end.
    static func run(
        _ arguments: [String], input: String = "", environment: [String: String] = [:],
        executable: URL? = Self.executable
    ) throws -> Outcome {
        let process = Process()
        let binary: URL = try #require(executable, "the executable is not beside the test bundle")
        process.executableURL = binary
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let folder = try TemporaryFolder()
        // Files rather than pipes: a full pipe would stop the command.
        let files = try ["in", "out", "error"].map { name in
            let path = folder.path(name)
            try Data((name == "in" ? input : "").utf8).write(to: URL(fileURLWithPath: path))
            return path
        }
        process.standardInput = FileHandle(forReadingAtPath: files[0])
        process.standardOutput = FileHandle(forWritingAtPath: files[1])
        process.standardError = FileHandle(forWritingAtPath: files[2])
        try process.run()
        process.waitUntilExit()
        return Outcome(
            status: process.terminationStatus, out: try String(contentsOfFile: files[1], encoding: .utf8),
            error: try String(contentsOfFile: files[2], encoding: .utf8))
    }
}

/// A folder that goes away with the value.
final class TemporaryFolder: Sendable {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appendingPathComponent("zoo-tests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    func path(_ name: String) -> String { url.appendingPathComponent(name).path }
}
