import AttentionCore
import Foundation
import TensorCore

/// A checkpoint's directory while it is written: it stands beside its place under another name, and takes its place when
/// everything is in it.
struct CheckpointDraft {
    /// Checkpoints up to these bytes are one file; larger ones stay in the files of their blocks.
    ///
    /// It is the size above which transformers splits files.
    static let singleFileBytes = 5_000_000_000

    /// The place.
    let target: String
    private let folder: String
    private var shards: [(file: String, names: [String])] = []
    private var bytes = 0

    /// Files that belong to a model beside its weights and its configuration.
    private static let companions = [
        "added_tokens.json", "chat_template.jinja", "chat_template.json", "generation_config.json", "merges.txt",
        "preprocessor_config.json", "processor_config.json", "special_tokens_map.json", "tokenizer.json",
        "tokenizer.model", "tokenizer_config.json", "vocab.json", "LICENSE", "LICENSE.txt", "LICENSE.md",
    ]

    /// Begins a directory.
    /// - Throws: ``ModelError/unwritable(path:reason:)`` when something is at the place already, or nothing can be
    ///   written beside it.
    init(target: String) throws(ModelError) {
        let place = URL(fileURLWithPath: target).standardizedFileURL
        let manager = FileManager.default
        if let found = try? manager.contentsOfDirectory(atPath: place.path) {
            guard found.isEmpty else { throw .unwritable(path: target, reason: "the directory is not empty") }
        } else if manager.fileExists(atPath: place.path) {
            throw .unwritable(path: target, reason: "it is a file")
        }
        let parent = place.deletingLastPathComponent()
        let folder = parent.appendingPathComponent(
            ".\(place.lastPathComponent).\(ProcessInfo.processInfo.processIdentifier).partial"
        ).path
        self.target = place.path
        self.folder = folder
        try Self.writing(target) {
            if manager.fileExists(atPath: folder) { try manager.removeItem(atPath: folder) }
            try manager.createDirectory(atPath: folder, withIntermediateDirectories: true)
        }
    }

    private static func writing(_ path: String, _ body: () throws -> Void) throws(ModelError) {
        do {
            try body()
        } catch {
            throw .unwritable(path: path, reason: error.localizedDescription)
        }
    }

    /// Writes tensors as one file of the checkpoint.
    ///
    /// - Throws: ``ModelError`` when the system refuses.
    mutating func add(_ tensors: [(name: String, tensor: Tensor)]) throws(ModelError) {
        let file = "shard-\(shards.count).safetensors"
        try ModelError.weightFile(folder + "/" + file) { () throws(SafetensorsError) in
            try SafetensorsFile.write(tensors, metadata: ["format": "pt"], to: folder + "/" + file)
        }
        bytes += tensors.reduce(0) { $0 + $1.tensor.byteCount }
        shards.append((file, tensors.map(\.name)))
    }

    /// Adds the configuration and the files that go with a model, and moves the directory to its place.
    ///
    /// - Parameter source: the directory whose tokenizer and generation settings are copied.
    /// - Returns: bytes of all tensors.
    /// - Throws: ``ModelError`` when the system refuses.
    mutating func finish(configuration: ConfigurationValue, source: String) throws(ModelError) -> Int {
        if bytes <= Self.singleFileBytes { try join() } else { try index() }
        let folder = folder
        let target = target
        let manager = FileManager.default
        try Self.writing(target) {
            try Data((configuration.jsonText + "\n").utf8).write(to: URL(fileURLWithPath: folder + "/config.json"))
            for name in Self.companions where manager.fileExists(atPath: source + "/" + name) {
                // A link would point into the source: what is copied is the file.
                let file = URL(fileURLWithPath: source + "/" + name).resolvingSymlinksInPath()
                try manager.copyItem(at: file, to: URL(fileURLWithPath: folder + "/" + name))
            }
            if manager.fileExists(atPath: target) { try manager.removeItem(atPath: target) }
            try manager.moveItem(atPath: folder, toPath: target)
        }
        return bytes
    }

    /// Removes what was written.
    func abandon() { try? FileManager.default.removeItem(atPath: folder) }

    /// Makes one file of all, tensor by tensor.
    private func join() throws(ModelError) {
        let folder = folder
        let path = folder + "/model.safetensors"
        var tensors: [(name: String, tensor: Tensor)] = []
        for shard in shards {
            let file = try ModelError.weightFile(folder + "/" + shard.file) { () throws(SafetensorsError) in
                try SafetensorsFile(path: folder + "/" + shard.file)
            }
            for name in shard.names {
                guard let tensor = file[name] else { continue }
                tensors.append((name, tensor))
            }
        }
        try ModelError.weightFile(path) { () throws(SafetensorsError) in
            try SafetensorsFile.write(tensors, metadata: ["format": "pt"], to: path)
        }
        let files = shards.map(\.file)
        try Self.writing(target) {
            for file in files { try FileManager.default.removeItem(atPath: folder + "/" + file) }
        }
    }

    /// Names the files as transformers does, and writes which tensor lies in which.
    private func index() throws(ModelError) {
        var map: [String: ConfigurationValue] = [:]
        let folder = folder
        func name(_ number: Int) -> String {
            func digits(_ value: Int) -> String {
                String(repeating: "0", count: max(0, 5 - "\(value)".count)) + "\(value)"
            }
            return "model-\(digits(number + 1))-of-\(digits(shards.count)).safetensors"
        }
        for (number, shard) in shards.enumerated() {
            for tensor in shard.names { map[tensor] = .string(name(number)) }
            try Self.writing(target) {
                try FileManager.default.moveItem(atPath: folder + "/" + shard.file, toPath: folder + "/" + name(number))
            }
        }
        let index: ConfigurationValue = .object([
            "metadata": .object(["total_size": .integer(bytes)]), "weight_map": .object(map),
        ])
        try Self.writing(target) {
            try Data((index.jsonText + "\n").utf8).write(
                to: URL(fileURLWithPath: folder + "/model.safetensors.index.json"))
        }
    }
}
