import BenchHarness
import Foundation
import Testing

/// `zoo bench`, `report` and `bench-worker`.
@Suite struct BenchCommandTests {
    @Test func sweepsWriteTheirReports() throws {
        let folder = try TemporaryFolder()
        let json = folder.path("results/zoo.jsonl")
        let html = folder.path("results/zoo.html")
        let outcome = try ZooProcess.run([
            "bench", "--preset", "quick", "--seconds", "1", "--json", json, "--html", html,
        ])
        #expect(outcome.status == 0, "\(outcome.error)")
        #expect(outcome.out.contains("GFLOP/s multiply-add"))
        #expect(outcome.out.contains("results compared with the reference"))
        #expect(outcome.out.contains("0 wrong"))
        #expect(outcome.error.contains("[1/6] minilm layer: full "))
        let results = try JSONLines.read(String(contentsOfFile: json, encoding: .utf8))
        #expect(results.machine != nil)
        #expect(results.lines.allSatisfy { $0.checked != !$0.reasons.isEmpty })
        #expect(results.lines.contains { $0.case == "minilm layer" && $0.shape.headDim == 32 && $0.shape.heads == 12 })
        #expect(try String(contentsOfFile: html, encoding: .utf8).contains("<svg"))
        let again = try ZooProcess.run(["report", json, "--json"])
        #expect(again.status == 0)
        let lines = try #require(try JSONSerialization.jsonObject(with: Data(again.out.utf8)) as? [[String: Any]])
        #expect(lines.count == results.lines.count)
        #expect(try ZooProcess.run(["report", html]).status == 65)
    }

    @Test func jsonLinesOnStandardOutput() throws {
        let outcome = try ZooProcess.run([
            "bench", "--preset", "causal,gqa", "--lengths", "40", "--head-dims", "8", "--operators", "flash,local",
            "--seconds", "0.2", "--threads", "1", "--isa", "scalar", "--json", "-",
        ])
        #expect(outcome.status == 0, "\(outcome.error)")
        let results = try JSONLines.read(outcome.out)
        #expect(
            results.lines.map(\.case) == ["causal L40 D8", "causal L40 D8", "causal L40 D8 32/8", "causal L40 D8 32/8"])
        #expect(results.lines.map(\.operator) == ["flash", "local", "flash", "local"])
        #expect(results.lines.map(\.reasons.isEmpty) == [true, false, true, false])
        #expect(results.lines.allSatisfy { $0.isa == "scalar" && $0.threads == 1 })
    }

    @Test func workersAnswerLineByLine() throws {
        let arguments = [
            "bench-worker", "--operator", "flash", "--input", PresetTests.minilm, "--config", "{\"causal\": true}",
            "--threads", "2",
        ]
        let outcome = try ZooProcess.run(arguments, input: "run 3\npeak\nnonsense\nrun 0\nquit\nrun 5\n")
        #expect(outcome.status == 0, "\(outcome.error)")
        let lines = outcome.out.split(separator: "\n").map(String.init)
        try #require(lines.count == 4)
        let answers = try lines.map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        let seconds = try #require(answers[0]["seconds"] as? [Double])
        #expect(seconds.count == 3 && seconds.allSatisfy { $0 > 0 })
        #expect((answers[1]["gflops"] as? Double ?? 0) > 0)
        let expected = "expected 'run N', 'step N', 'peak', 'read' or 'quit', got 'nonsense'"
        #expect(answers[2]["error"] as? String == expected)
        #expect((answers[3]["seconds"] as? [Double])?.isEmpty == true)
    }
}
