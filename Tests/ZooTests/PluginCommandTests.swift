import Foundation
import Testing

/// `docs/plugins.md` from an empty folder: its file, compiled by its command, used by its commands.
@Suite struct PluginCommandTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../..").standardizedFileURL
    private let folder: TemporaryFolder
    private let library: String

    private static func block(_ language: String) throws -> String {
        let guide = try String(contentsOf: root.appendingPathComponent("docs/plugins.md"), encoding: .utf8)
        return try #require(
            guide.components(separatedBy: "```\(language)\n").dropFirst().first?.components(separatedBy: "```").first)
    }

    init() throws {
        folder = try TemporaryFolder()
        library = folder.path("libtiny.so")
        try Data(Self.block("c").utf8).write(to: URL(fileURLWithPath: folder.path("tiny.c")))
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", try Self.block("sh").replacing("cc -O3", with: "cc -O3 -Wall -Wextra -Werror")]
        process.currentDirectoryURL = folder.url
        process.environment = ProcessInfo.processInfo.environment.merging([
            "HEADERS": Self.root.appendingPathComponent("Sources/CZooPlugin/include").path
        ]) { $1 }
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "the guide's plugin does not compile")
    }

    /// A library product of the package, beside the executable.
    private func built(_ product: String) throws -> String {
        let folder = try #require(ZooProcess.executable).deletingLastPathComponent()
        let names = ["so", "dylib"].map { folder.appendingPathComponent("lib\(product).\($0)").path }
        return try #require(names.first { FileManager.default.fileExists(atPath: $0) })
    }

    @Test(arguments: [
        ["--plugin", "LIB", "list"], ["--plugin=LIB", "list"], ["list", "--plugin", "LIB"],
    ])
    func itIsListed(arguments: [String]) throws {
        let outcome = try ZooProcess.run(arguments.map { $0.replacing("LIB", with: library) })
        #expect(outcome.status == 0, "\(outcome.error)")
        #expect(outcome.out.contains("\ntiny "))
        #expect(outcome.out.contains("\nflash "))
    }

    @Test func itIsFoundByRegistryFiles() throws {
        let file = folder.path("registry.json")
        try Data("{\"plugins\": [\"libtiny.so\"]}".utf8).write(to: URL(fileURLWithPath: file))
        for (arguments, environment) in [
            (["list", "--registry", file], [:]), (["--registry", file, "list"], [:]),
            (["list"], ["ZOO_REGISTRY": file]),
        ] {
            let outcome = try ZooProcess.run(arguments, environment: environment)
            #expect(outcome.status == 0, "\(outcome.error)")
            #expect(outcome.out.contains("\ntiny "))
        }
    }

    @Test func itIsDescribedAndExplained() throws {
        let facts = try ZooProcess.run(["--plugin", library, "describe", "tiny", "--json"])
        #expect(facts.object["title"] as? String == "Tiny attention")
        #expect(
            facts.object["features"] as? [String] == [
                "causal", "cross-length", "key-lengths", "query-lengths", "value-dim", "window",
            ])
        let page = try ZooProcess.run(["--plugin", library, "describe", "tiny"])
        #expect(page.out.hasPrefix("Tiny attention\n"))
        let explained = try ZooProcess.run(
            ["--plugin", library, "explain", "--heads", "4", "--kv-heads", "2", "--length", "64", "--json"])
        let candidates = try #require(explained.object["candidates"] as? [[String: Any]])
        let tiny = try #require(candidates.first { $0["id"] as? String == "tiny" })
        let reasons = try #require(tiny["reasons"] as? [[String: Any]])
        #expect(reasons.map { $0["aspect"] as? String } == ["grouped-query"])
        let able = try ZooProcess.run(["--plugin", library, "explain", "--heads", "4", "--length", "64"])
        #expect(able.out.contains("+  tiny"))
    }

    @Test func itIsProbedRunAndBenchmarked() throws {
        let probe = try ZooProcess.run(["--plugin", library, "probe", "tiny", "--causal", "--length", "32"])
        #expect(probe.status == 0, "\(probe.error)")
        let input = folder.path("in.safetensors")
        try OperandFile.write(OperandFile.random(heads: 2), to: input)
        let run = try ZooProcess.run(
            ["--plugin", library, "run", "tiny", "--input", input, "--verify", "--config", "{\"window\": [8, 0]}"])
        #expect(run.status == 0, "\(run.error)")
        let json = folder.path("bench.jsonl")
        let bench = try ZooProcess.run([
            "--plugin", library, "bench", "--operators", "tiny,flash", "--lengths", "64", "--seconds", "0.2", "--json",
            json,
        ])
        #expect(bench.status == 0, "\(bench.error)")
        let lines = try String(contentsOfFile: json, encoding: .utf8).split(separator: "\n")
        #expect(lines.contains { $0.contains("\"operator\":\"tiny\"") && $0.contains("\"passed\":true") })
        let worker = try ZooProcess.run(
            ["bench-worker", "--plugin", library, "--operator", "tiny", "--input", input], input: "run 2\nquit\n")
        #expect(worker.status == 0 && worker.out.contains("seconds"), "\(worker.error)")
    }

    @Test(.enabled(if: ModelFolder.path != nil, "the package index cannot be reached"))
    func itEmbeds() throws {
        let model = try #require(ModelFolder.path)
        func vectors(_ name: String) throws -> [[Double]] {
            let outcome = try ZooProcess.run([
                "--plugin", library, "embed", "--model", model, "--attention", name, "--json", "a cat sleeps",
                "a feline rests on the sofa",
            ])
            #expect(outcome.status == 0, "\(outcome.error)")
            return try #require(outcome.object["vectors"] as? [[Double]])
        }
        for (ours, theirs) in zip(try vectors("tiny"), try vectors("flash")) {
            #expect(zip(ours, theirs).allSatisfy { abs($0 - $1) < 1e-5 })
            #expect(ours != theirs, "the plugin must have been used")
        }
    }

    @Test func theLeakingPluginIsCaught() throws {
        let outcome = try ZooProcess.run([
            "--plugin", try built("LeakyPlugin"), "probe", "leaky", "--causal", "--length", "32", "--json",
        ])
        #expect(outcome.status == 1)
        #expect((outcome.failure["message"] as? String)?.contains("pairs leak the future") == true)
        let honest = try ZooProcess.run([
            "--plugin", try built("PlainPlugin"), "probe", "plain-c", "--causal", "--length", "32",
        ])
        #expect(honest.status == 0, "\(honest.error)")
    }

    @Test func mistakesAreExplained() throws {
        let missing = try ZooProcess.run(["--plugin", "/nowhere/lib.so", "list"])
        #expect(missing.status == 65)
        #expect(
            missing.error
                == "zoo: plugin '/nowhere/lib.so' does not exist\nSee docs/plugins.md for what a plugin must give.\n")
        let json = try ZooProcess.run(["--plugin", "/nowhere/lib.so", "list", "--json"])
        #expect(json.status == 65)
        #expect(json.failure["message"] as? String == "plugin '/nowhere/lib.so' does not exist")
        #expect(json.failure["kind"] as? String == "bad-input")
        let file = try ZooProcess.run(["list", "--registry", "/nowhere/registry.json"])
        #expect(file.status == 65)
        #expect(
            file.error
                == "zoo: registry file '/nowhere/registry.json' cannot be used: it cannot be read\n"
                + "A registry file is {\"plugins\": [\"path of a library\"]}.\n")
        let command = try ZooProcess.run(["--plugin", library, "lits"])
        #expect(command.status == 64)
        #expect(command.error.hasPrefix("zoo: there is no command 'lits'; did you mean 'list'?"))
        let bare = try ZooProcess.run(["--plugin", library])
        #expect(bare.status == 64)
        #expect(bare.error == "zoo: --plugin stands alone\nGive a command, for example 'zoo --plugin lib.so list'.\n")
        let twice = folder.path("libother.so")
        try FileManager.default.copyItem(atPath: library, toPath: twice)
        let taken = try ZooProcess.run(["--plugin", library, "--plugin", twice, "list"])
        #expect(taken.status == 65)
        #expect(
            taken.error.hasPrefix(
                "zoo: plugin '\(twice)': the name 'tiny' is taken by 'tiny' of '\(library)', so 'tiny' of '\(twice)' "
                    + "cannot have it\n"))
    }
}
