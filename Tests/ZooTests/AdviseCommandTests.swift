import BenchHarness
import Foundation
import Testing

/// `zoo advise` on the real model.
@Suite(.enabled(if: ModelFolder.path != nil, "the package index cannot be reached, so all-MiniLM-L6-v2 is not here"))
struct AdviseCommandTests {
    private func advise(_ arguments: [String]) throws -> ZooProcess.Outcome {
        try ZooProcess.run(
            [
                "advise", "--model", try #require(ModelFolder.path), "--seconds", "0.05", "--operators",
                "flash,full,local",
            ]
                + arguments)
    }

    @Test func itRanksEveryLayerAndEndsWithAChoice() throws {
        let folder = try TemporaryFolder()
        let outcome = try advise([
            "--lengths", "24,40", "--svg", folder.path("a.svg"), "--markdown", folder.path("a.md"),
        ])
        #expect(outcome.status == 0, "\(outcome.error)")
        #expect(outcome.out.contains("- Nothing lost: choose `"))
        #expect(outcome.out.contains("6 attention layers"))
        #expect(outcome.out.contains("- local: window: left is unlimited"))
        #expect(outcome.out.contains("text of 24 tokens") && outcome.out.contains("text of 40 tokens"))
        #expect(outcome.error.contains("[6/6] layers[24][0]"))
        let svg = try String(contentsOfFile: folder.path("a.svg"), encoding: .utf8)
        #expect(svg.contains("layer 6") && svg.contains("at 40 tokens"))
        let markdown = try String(contentsOfFile: folder.path("a.md"), encoding: .utf8)
        #expect(markdown.contains("## What to choose"))
    }

    @Test func asJSON() throws {
        let outcome = try advise(["--text", "A short text about a cat that sleeps all day.", "--json"])
        #expect(outcome.status == 0, "\(outcome.error)")
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        let advice = try #require(try decoder.decode([Advice].self, from: Data(outcome.out.utf8)).first)
        #expect(advice.layers.map(\.number) == Array(1...6))
        #expect(advice.length == 13)
        let flash = try #require(advice.whole.first { $0.operator == "flash" })
        #expect((flash.error ?? 1) < 1e-6)
        #expect(abs((flash.resultCosine ?? 1) - 1) < 1e-6)
        let narrow = try #require(advice.whole.first { $0.setting == "window [4, 4]" })
        #expect((narrow.error ?? 0) > 0.01)
        #expect(advice.choices[0].best != nil)
    }

    @Test func mistakesAreNamed() throws {
        let long = try advise(["--lengths", "600"])
        #expect(long.status == 64)
        #expect(long.error.contains("has 512 places"))
        #expect(try advise(["--text-file", "/none"]).status == 65)
        #expect(try advise(["--text", "a", "--text-file", "b"]).status == 64)
        let nowhere = try ZooProcess.run(["advise", "--model", "/none"])
        #expect(nowhere.status == 65)
        let unknown = try ZooProcess.run(["advise", "--model", try #require(ModelFolder.path), "--operators", "flahs"])
        #expect(unknown.status == 64 && unknown.error.contains("flash"))
    }
}
