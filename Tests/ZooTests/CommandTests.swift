import AttentionCore
import AttentionOperators
import Foundation
import Testing

/// Statuses, texts and JSON of the commands that only tell.
@Suite struct CommandTests {
    @Test(arguments: [
        (
            ["describe", "flahs"],
            "zoo: no operator is called 'flahs'; did you mean 'flash'?\n'zoo list' shows every operator.\n"
        ),
        (["lsit"], "zoo: there is no command 'lsit'; did you mean 'list'?\nRun 'zoo --help'.\n"),
        (
            ["bench", "--preset", "quikc"],
            "zoo: no preset is called 'quikc'; did you mean 'quick'?\n'zoo bench operators --help' lists the presets.\n"
        ),
        (
            ["run", "full", "--input", "x", "--verify", "--config", "{\"cuasal\": true}"],
            "zoo: full has no option 'cuasal'; did you mean 'causal'?\n'zoo describe full' shows every option.\n"
        ),
        (
            ["run", "full", "--input", "x", "--verify", "--threads", "0"],
            "zoo: threads is '0'; expected a number from 1 to 256\n"
        ),
        (
            ["run", "full", "--input", "x", "--verify", "--config", "none.json"],
            """
            zoo: --config 'none.json' is neither a JSON object nor a file that can be read
            Write JSON in single quotes, for example --config '{"causal": true}', or the path of a file.

            """
        ),
        (
            ["run", "full", "--input", "x", "--verify", "--config", "{\"name\": \"flash\"}"],
            "zoo: --config names 'flash', but the operator asked for is 'full'\nRemove 'name' from the configuration.\n"
        ),
        (
            ["run", "full", "--input", "x", "--output", "/no/such/folder/out.safetensors"],
            "zoo: --output: there is no folder '/no/such/folder'\nMake it first.\n"
        ),
    ])
    func wrongUsageIsExplained(arguments: [String], text: String) throws {
        let outcome = try ZooProcess.run(arguments)
        #expect(outcome.status == 64)
        #expect(outcome.error == text)
        #expect(outcome.out == "")
    }

    @Test(arguments: [
        ["run", "full", "--input", "x"], ["explain", "--heads", "5", "--kv-heads", "2"], ["explain", "--window", "3"],
        ["explain", "--heads", "0"], ["explain", "--page-size", "0"], ["explain", "--page-size", "4294967296"],
        ["bench", "--seconds", "-1"], ["bench", "--lengths", "a"], ["run"],
        ["bench", "--preset", "minilm", "--json", "/proc/none/x.jsonl", "--seconds", "0.1", "--operators", "flash"],
        ["report"], ["list", "--colour"],
    ])
    func otherWrongUsageHasItsStatus(arguments: [String]) throws {
        let outcome = try ZooProcess.run(arguments)
        #expect(outcome.status == 64)
        #expect(!outcome.error.isEmpty)
    }

    @Test func environmentIsChecked() throws {
        let isa = try ZooProcess.run(["explain"], environment: ["ZOO_ISA": "avx9"])
        #expect(isa.status == 64)
        #expect(isa.error.hasPrefix("zoo: ZOO_ISA is 'avx9'; expected one of "))
        let threads = try ZooProcess.run(["explain"], environment: ["ZOO_THREADS": "many"])
        #expect(threads.status == 64)
    }

    @Test func helpHasExamples() throws {
        for command in [[], ["list"], ["describe"], ["explain"], ["run"], ["bench"], ["report"], ["docs"]] {
            let outcome = try ZooProcess.run(command + ["--help"])
            #expect(outcome.status == 0)
            #expect(outcome.out.contains("EXAMPLES\n  zoo \(command.first ?? "")"), "\(command)")
        }
        #expect(try !ZooProcess.run(["--help"]).out.contains("bench-worker"))
        let version = try ZooProcess.run(["--version"])
        #expect(version.status == 0)
        #expect(version.out == "zoo 0.1.0\n")
    }

    @Test func listAndDescribe() throws {
        let table = try ZooProcess.run(["list"])
        #expect(table.status == 0)
        let listed = try ZooProcess.run(["list", "--json"])
        let entries = try #require(try JSONSerialization.jsonObject(with: Data(listed.out.utf8)) as? [[String: Any]])
        let ids = entries.compactMap { $0["id"] as? String }
        #expect(ids.starts(with: ["full", "memory-efficient", "flash", "grouped-query", "local"]))
        for id in ids { #expect(table.out.contains("\n\(id) ")) }
        let flash = try ZooProcess.run(["describe", "flash_attention", "--json"]).object
        #expect(flash["id"] as? String == "flash")
        #expect(
            (flash["options"] as? [[String: Any]])?.compactMap { $0["name"] as? String } == ["keyTile", "queryTile"])
        let page = try ZooProcess.run(["describe", "flash"], environment: ["COLUMNS": "60"])
        #expect(page.out.hasPrefix("FlashAttention-2\n================\n"))
        #expect(page.out.contains("keyTile"))
        for heading in ["Mathematics", "When to choose it", "Limits"] { #expect(page.out.contains("\n\(heading)\n")) }
        #expect(page.out.split(separator: "\n").first { $0.hasPrefix("gradients") }?.contains("by query, key") == true)
    }

    @Test func narrowTerminalsGetNarrowTables() throws {
        let outcome = try ZooProcess.run(["list"], environment: ["COLUMNS": "50"])
        #expect(outcome.out.split(separator: "\n").allSatisfy { $0.count <= 50 })
        #expect(outcome.out.contains("memory-efficient"))
    }

    @Test func explainTellsWhoAndWhyNot() throws {
        let problem = ["--heads", "32", "--kv-heads", "8", "--length", "512", "--head-dim", "128", "--causal"]
        let object = try ZooProcess.run(["explain", "--json"] + problem).object
        #expect(object["chosen"] as? String == "flash")
        let candidates = try #require(object["candidates"] as? [[String: Any]])
        let local = try #require(candidates.first { $0["id"] as? String == "local" })
        let reasons = try #require(local["reasons"] as? [[String: Any]])
        #expect(reasons.first?["aspect"] as? String == "window")
        #expect(reasons.first?["remedy"] as? String == "set window to [left, right], for example [511, 511]")
        let text = try ZooProcess.run(["explain"] + problem).out
        #expect(text.contains("chosen   flash\n"))
        #expect(text.contains("-  local"))
        let window = try ZooProcess.run(["explain", "--length", "512", "--window", "-1,3", "--json"]).object
        #expect((window["problem"] as? String)?.contains("window") == true)
        let nobody = try ZooProcess.run(["explain", "--head-dim", "9000", "--json"]).object
        #expect(nobody["problem"] != nil && nobody["chosen"] == nil)
    }

    @Test func explainTellsWhoReadsPages() throws {
        let problem = ["--batch", "3", "--heads", "8", "--kv-heads", "2", "--query-length", "1", "--key-length", "100"]
        let paged = try ZooProcess.run(["explain", "--json", "--page-size", "16"] + problem).object
        #expect(paged["chosen"] as? String == "paged")
        #expect((paged["problem"] as? String)?.contains("pages") == true)
        let candidates = try #require(paged["candidates"] as? [[String: Any]])
        #expect(candidates.count == OperatorRegistry.builtIn.entries.count)
        for candidate in candidates where candidate["id"] as? String != "paged" {
            // Whatever else an operator lacks, that it reads no pages is said.
            let reasons = try #require(candidate["reasons"] as? [[String: Any]])
            let reason = try #require(reasons.first { $0["aspect"] as? String == "pages" }, "\(candidate)")
            #expect((reason["remedy"] as? String)?.isEmpty == false)
        }
        #expect(try ZooProcess.run(["explain", "--json"] + problem).object["chosen"] as? String != "paged")
    }

    @Test func docsWritesAPageForEach() throws {
        let folder = try TemporaryFolder()
        let outcome = try ZooProcess.run(["docs", "--directory", folder.path("pages")])
        #expect(outcome.status == 0)
        let page = try String(contentsOfFile: folder.path("pages/local.md"), encoding: .utf8)
        #expect(page.hasPrefix("# Local attention\n"))
        #expect(page.contains("## Mathematics\n\n```text\n") && page.contains("\n## Limits\n"))
        let matrix = try String(contentsOfFile: folder.path("pages/README.md"), encoding: .utf8)
        for entry in OperatorRegistry.builtIn.entries {
            #expect(matrix.components(separatedBy: "\n| [`\(entry.id)`](\(entry.id).md) |").count == 3, "\(entry.id)")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path("pages")).count >= 6)
    }
}
