import AttentionCore
import Foundation
import PagedEngine
import Testing
import TransformerBlocks

/// Swapped pages in a file.
@Suite struct SwapDirectoryTests {
    private static let swapPages = 24

    /// Pages run short, so that requests are swapped.
    private static func engine(swapDirectory: String?) throws -> (engine: Engine, swapBytes: Int) {
        let model = try EngineSupport.model("qwen3-bf16")
        let pageBytes = model.network.attentionLayers.reduce(0) { $0 + 2 * 4 * $1.kvHeads * $1.headDim * 4 }
        let options = EngineOptions(
            pageSize: 4, pageCount: 96, swapSpace: swapPages * pageBytes, swapDirectory: swapDirectory,
            maxNumBatchedTokens: 33, maxNumSeqs: 24)
        return (try Engine(model, options: options), swapPages * pageBytes)
    }

    private static func outputs(
        _ engine: Engine, each: (Engine) throws -> Void = { _ in }
    ) throws -> [Int: [CompletionOutput]] {
        try EngineSupport.run(engine, EngineSupport.mixture(40)) { engine, _ in try each(engine) }.mapValues(\.outputs)
    }

    /// What the requests say where nothing is ever swapped.
    private static let expected = Result {
        let options = EngineOptions(pageSize: 4, pageCount: 800, maxNumBatchedTokens: 33, maxNumSeqs: 24)
        let engine = try Engine(EngineSupport.model("qwen3-bf16"), options: options)
        let result = try outputs(engine)
        try require(engine.scheduler.preemptions == (0, 0), "pages ran short")
        return result
    }

    @Test func textsAreTheSameAndTheFolderStaysEmpty() throws {
        let folder = try Folder()
        let (engine, _) = try Self.engine(swapDirectory: folder.path)
        var names: [String] = []
        let outputs = try Self.outputs(engine) { _ in names += folder.contents }
        #expect(try outputs == Self.expected.get())
        #expect(engine.scheduler.preemptions.swapped > 0)
        // The file has no name, so that it goes with the process, however that ends.
        #expect(names.isEmpty)
        #expect(engine.scheduler.blocks.statistics.freeSwapPages == Self.swapPages)
    }

    #if os(Linux)
        @Test func swappedPagesAreInTheFileUntilItGoes() throws {
            let folder = try Folder()
            do {
                let (engine, bytes) = try Self.engine(swapDirectory: folder.path)
                let mapping = try #require(folder.mappings.first)
                #expect(folder.mappings.count == 1)
                // Shared, so that what is written is the file's; of the size asked for, in whole pages of the system.
                #expect(mapping.isShared && mapping.memory.count >= bytes && mapping.memory.count < bytes + 65_536)
                #expect(mapping.memory.allSatisfy { $0 == 0 })
                _ = try Self.outputs(engine) { engine in
                    let isWritten = mapping.memory.contains { $0 != 0 }
                    #expect(isWritten == (engine.scheduler.preemptions.swapped > 0))
                }
                #expect(engine.scheduler.preemptions.swapped > 0)
            }
            #expect(folder.mappings.isEmpty)
        }

        @Test func whatComesBackIsWhatTheFileHolds() throws {
            let folder = try Folder()
            let (engine, _) = try Self.engine(swapDirectory: folder.path)
            let mapping = try #require(folder.mappings.first)
            let outputs = try Self.outputs(engine) { _ in mapping.memory.initializeMemory(as: UInt8.self, repeating: 0)
            }
            #expect(engine.scheduler.preemptions.swapped > 0)
            #expect(try outputs != Self.expected.get())
        }
    #endif
}

/// A folder of its own that goes with the test.
private final class Folder {
    /// A file in the folder that is mapped into this process.
    struct Mapping {
        let memory: UnsafeMutableRawBufferPointer
        let isShared: Bool
    }

    let path: String

    init() throws {
        let base = FileManager.default.temporaryDirectory.resolvingSymlinksInPath()
        path = base.appendingPathComponent("zoo-swap-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var contents: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? ["unreadable"] }

    #if os(Linux)
        /// What the system says of mapped files: `from-to rw-s offset device inode path (deleted)`.
        var mappings: [Mapping] {
            // Read to the end: the system calls the file empty.
            let data = (try? FileHandle(forReadingAtPath: "/proc/self/maps")?.readToEnd()) ?? Data()
            let text = String(decoding: data, as: UTF8.self)
            return text.split(separator: "\n").filter { $0.contains(path + "/") }.compactMap { line in
                let fields = line.split(separator: " ")
                let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
                guard ends.count == 2, let start = UnsafeMutableRawPointer(bitPattern: ends[0]) else { return nil }
                return Mapping(
                    memory: UnsafeMutableRawBufferPointer(start: start, count: Int(ends[1] - ends[0])),
                    isShared: fields[1].hasSuffix("s"))
            }
        }
    #endif
}
