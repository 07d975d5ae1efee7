import Foundation
import TensorCore

/// Files that commands write.
enum OutputFile {
    /// Fails before any work is done when the file could not be written for want of its folder.
    static func checkFolder(_ path: String?) throws {
        guard let path else { return }
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue else {
            throw CommandFailure(.usage, "--output: there is no folder '\(folder)'", advice: "make it first")
        }
    }

    /// Writes a file whole or not at all.
    static func write(_ tensors: [(name: String, tensor: Tensor)], metadata: [String: String], to path: String) throws {
        do {
            try SafetensorsFile.write(tensors, metadata: metadata, to: path)
        } catch {
            throw CommandFailure(.usage, "--output '\(path)' cannot be written: \(error.description)")
        }
    }

    /// Writes the line of `--json`.
    static func write(_ line: String, to path: String) throws {
        do {
            try Data(line.utf8).write(to: URL(fileURLWithPath: path))
        } catch {
            throw CommandFailure(.usage, "--json '\(path)' cannot be written")
        }
    }
}
