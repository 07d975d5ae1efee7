import Foundation
import Testing

/// Shared libraries for tests: those of the package, and small ones compiled on the spot.
enum PluginFiles {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../..").standardizedFileURL

    #if os(macOS)
        static let suffix = "dylib"
    #else
        static let suffix = "so"
    #endif

    /// A dynamic library product of the package, beside the test bundle.
    static func built(_ product: String) throws -> String {
        var starts = [URL(fileURLWithPath: CommandLine.arguments[0]), Bundle.main.bundleURL]
        starts += Bundle.allBundles.map(\.bundleURL)
        starts += CommandLine.arguments.filter { $0.contains(".xctest") }.map { URL(fileURLWithPath: $0) }
        for start in starts {
            var folder = start.resolvingSymlinksInPath()
            for _ in 0..<5 {
                folder = folder.deletingLastPathComponent()
                let candidate = folder.appendingPathComponent("lib\(product).\(suffix)").path
                if FileManager.default.fileExists(atPath: candidate) { return candidate }
            }
        }
        return try #require(nil, "lib\(product).\(suffix) is not beside the test bundle")
    }

    /// Compiles C into `folder`, as docs/plugins.md says, without warnings.
    static func compile(_ source: String, name: String, in folder: URL) throws -> String {
        let file = folder.appendingPathComponent("\(name).c")
        try Data(source.utf8).write(to: file)
        let library = folder.appendingPathComponent("lib\(name).\(suffix)").path
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "cc", "-O2", "-w", "-shared", "-fPIC", "-I",
            root.appendingPathComponent("Sources/CZooPlugin/include").path, "-o", library, file.path, "-lm",
        ]
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "cc cannot compile \(name).c")
        return library
    }
}

/// A folder that goes away with the value.
final class PluginFolder: Sendable {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appendingPathComponent("zoo-plugins-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    func path(_ name: String) -> String { url.appendingPathComponent(name).path }
}
