import AttentionCore
import BenchHarness
import Foundation
import Testing

/// `--max-bytes` of `run`, `bench` and `explain`.
@Suite struct MemoryCommandTests {
    @Test func bytesAreReadAsPeopleWriteThem() {
        #expect(Quantity.bytes(from: "4096") == 4096)
        #expect(Quantity.bytes(from: "64MiB") == 64 << 20)
        #expect(Quantity.bytes(from: "1GB") == 1_000_000_000)
        #expect(Quantity.bytes(from: "1.5 gib") == 3 << 29)
        for text in ["", "MiB", "64M", "0", "-1", "1e3", "12 apples", "1 2"] {
            #expect(Quantity.bytes(from: text) == nil, "\(text)")
        }
    }

    private func reasons(_ outcome: ZooProcess.Outcome) -> [[String: Any]] {
        outcome.failure["reasons"] as? [[String: Any]] ?? []
    }

    @Test func runMakesDoWithLessOrRefuses() throws {
        let folder = try TemporaryFolder()
        let input = folder.path("in.safetensors")
        try OperandFile.write(OperandFile.random(length: 600), to: input)
        func run(_ name: String, _ bytes: String?, _ output: String) throws -> ZooProcess.Outcome {
            try ZooProcess.run(
                ["run", name, "--input", input, "--output", folder.path(output), "--json"]
                    + (bytes.map { ["--max-bytes", $0] } ?? []))
        }
        let free = try run("flash", nil, "free")
        let refused = try run("flash", "1KiB", "none")
        #expect(refused.status != 0)
        let shortage = try #require(reasons(refused).first?["shortage"] as? [String: Any])
        let smallest = try #require(shortage["smallestBytes"] as? Int)
        #expect(shortage["maxBytes"] as? Int == 1024)
        #expect(shortage["neededBytes"] as? Int == free.object["peakBytes"] as? Int)
        let small = try run("flash", "\(smallest)", "small")
        #expect(small.status == 0, "\(small.error)")
        #expect(try #require(small.object["peakBytes"] as? Int) <= smallest)
        #expect(
            try Data(contentsOf: URL(fileURLWithPath: folder.path("small")))
                == Data(contentsOf: URL(fileURLWithPath: folder.path("free"))))
    }

    @Test func explainSaysWhoFits() throws {
        let outcome = try ZooProcess.run(["explain", "--length", "4096", "--max-bytes", "16MiB", "--json"])
        #expect(outcome.status == 0, "\(outcome.error)")
        let candidates = try #require(outcome.object["candidates"] as? [[String: Any]])
        for candidate in candidates {
            if let plan = candidate["plan"] as? [String: Any] {
                #expect(try #require(plan["peakBytes"] as? Int) <= 16 << 20)
            }
        }
        let short = candidates.filter { candidate in
            (candidate["reasons"] as? [[String: Any]] ?? []).contains { $0["aspect"] as? String == "memory" }
        }
        #expect(!short.isEmpty)
        #expect(outcome.object["chosen"] is String)
        #expect(try ZooProcess.run(["explain", "--max-bytes", "64M"]).status != 0)
    }

    @Test func benchKeepsToTheBytes() throws {
        let outcome = try ZooProcess.run([
            "bench", "--preset", "lengths", "--lengths", "512", "--head-dims", "64", "--operators", "flash,favor",
            "--seconds", "1", "--max-bytes", "1.6MiB", "--json", "-",
        ])
        #expect(outcome.status == 0, "\(outcome.error)")
        let lines = try JSONLines.read(outcome.out).lines
        let flash = try #require(lines.first { $0.operator == "flash" })
        #expect(flash.reasons.isEmpty && (flash.peakBytes ?? .max) <= Int(1.6 * 1_048_576))
        #expect(lines.first { $0.operator == "favor" }?.reasons.map(\.aspect) == [.memory])
    }
}
