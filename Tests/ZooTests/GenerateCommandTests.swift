import Foundation
import Testing

/// The engine's commands, with the model that comes with `zoo`.
@Suite struct GenerateCommandTests {
    private func texts(_ outcome: ZooProcess.Outcome) throws -> [[String: Any]] {
        try outcome.out.split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
    }

    private func completions(_ object: [String: Any]) -> [[String: Any]] { object["outputs"] as? [[String: Any]] ?? [] }

    /// The continuations of the first prompt.
    private func first(_ outcome: ZooProcess.Outcome) throws -> [[String: Any]] {
        completions(try #require(try texts(outcome).first, "\(outcome.error)"))
    }

    @Test func aTextGrowsOnAFreshMachine() throws {
        let outcome = try ZooProcess.run([
            "generate", "--temperature", "0", "--ignore-eos", "--max-tokens", "12", "Once upon a time",
        ])
        #expect(outcome.status == 0, "\(outcome.error)")
        #expect(outcome.out.hasPrefix("Once upon a time"))
        #expect(outcome.out.count > "Once upon a time".count + 12)
    }

    @Test func textsDoNotDependOnTheirCompany() throws {
        let options = ["--json", "--max-tokens", "24", "--seed", "3", "--logprobs", "1"]
        let alone = try ZooProcess.run(["generate", "The cat"] + options)
        let together = try ZooProcess.run(
            ["generate", "--page-size", "5", "--max-num-batched-tokens", "16", "--max-num-seqs", "4", "--file", "-"]
                + options,
            input: "A dog ran home\nThe cat\n\nOne day\n")
        #expect(together.status == 0, "\(together.error)")
        let lines = try texts(together)
        try #require(lines.map { $0["prompt"] as? String } == ["A dog ran home", "The cat", "One day"])
        let one = try first(alone)
        #expect(completions(lines[1]).first?["tokenIds"] as? [Int] == one.first?["tokenIds"] as? [Int])
        #expect(completions(lines[1]).first?["text"] as? String == one.first?["text"] as? String)
        #expect((one.first?["tokenIds"] as? [Int])?.isEmpty == false)
    }

    @Test func severalAndRankedContinuations() throws {
        let several = try ZooProcess.run(["generate", "--n", "3", "--max-tokens", "8", "--json", "The"])
        #expect(try first(several).count == 3)
        let beams = try ZooProcess.run(["generate", "--beam-width", "3", "--max-tokens", "8", "--json", "The"])
        let scores = try first(beams).compactMap { $0["cumulativeLogprob"] as? Double }
        #expect(scores.count == 3)
    }

    @Test func chatsByTheModelsTemplate() throws {
        let outcome = try ZooProcess.run(
            ["chat", "--temperature", "0", "--max-tokens", "20"], input: "What is flash attention?\n/quit\n")
        #expect(outcome.status == 0, "\(outcome.error)")
        #expect(outcome.out.trimmingCharacters(in: .whitespacesAndNewlines).count > 3)
    }

    @Test func perplexityIsMeasured() throws {
        let folder = try TemporaryFolder()
        let file = folder.path("text.txt")
        try Data(String(repeating: "Once upon a time there was a little cat. ", count: 40).utf8)
            .write(to: URL(fileURLWithPath: file))
        func measure(_ options: [String]) throws -> [String: Any] {
            try ZooProcess.run(["perplexity", "--file", file, "--json"] + options).object
        }
        let report = try measure(["--context", "64", "--overlap", "32"])
        let perplexity = try #require(report["perplexity"] as? Double)
        #expect(perplexity > 1 && perplexity < 200)
        // Another operator and another cut of the work foretell the same.
        let other = try measure(["--context", "64", "--overlap", "32", "--attention", "flash", "--page-size", "7"])
        #expect(abs((other["perplexity"] as? Double ?? 0) - perplexity) < 1e-3 * perplexity)
        // A cache in bytes costs little.
        let bytes = try measure(["--context", "64", "--overlap", "32", "--kv-cache-dtype", "I8"])
        let rounded = bytes["perplexity"] as? Double ?? 0
        #expect(rounded != perplexity && abs(rounded - perplexity) < 1e-2 * perplexity)
    }

    @Test func theCacheCanBeInBytes() throws {
        let options = ["generate", "--temperature", "0", "--ignore-eos", "--max-tokens", "16", "--logprobs", "1"]
        let texts = try ["I8", "int8", "int8_per_token_head", "F32"].map {
            try first(ZooProcess.run(options + ["--json", "--kv-cache-dtype", $0, "Once upon a time"])).first
        }
        let numbers = try texts.map { try #require($0?["cumulativeLogprob"] as? Double) }
        // One type by three names, and near another.
        #expect(numbers[0] == numbers[1] && numbers[0] == numbers[2])
        #expect(numbers[0] != numbers[3] && abs(numbers[0] - numbers[3]) < 0.05 * abs(numbers[3]))
    }

    @Test func enginesAreTimed() throws {
        let outcome = try ZooProcess.run([
            "bench", "engine", "--prompts", "6", "--input-len", "20", "--output-len", "10", "--n", "2",
            "--request-rate",
            "200", "--goodput", "ttft:10000", "--json", "-",
        ])
        #expect(outcome.status == 0, "\(outcome.error)")
        let report = outcome.object
        #expect(report["requests"] as? Int == 6)
        #expect(report["outputTokens"] as? Int == 120)
        for name in ["ttft", "tpot", "itl", "e2el"] {
            #expect((report[name] as? [String: Double])?["p99"] ?? 0 > 0, "\(name)")
        }
        #expect(report["goodputPerSecond"] as? Double ?? 0 > 0)
        #expect(report["shared"] as? Double ?? 0 > 0)
    }

    @Test func badUsageIsRefused() throws {
        for (arguments, status, text) in [
            (["generate", "--top-p", "3", "x"], Int32(64), "topP is 3.0"),
            (["generate", "--model", "/no/such/model", "x"], 65, "/no/such/model/config.json"),
            (["generate", "--kv-cache-dtype", "I4", "x"], 64, "expected F32, F16, BF16 or I8"),
            (["generate", "--memory-utilization", "0.0000001", "x"], 69, "raise memoryUtilization"),
            (["generate", "--logit-bias", "a", "x"], 64, "as 42=-3.5"),
            (["perplexity", "--file", "/no/such/file"], 65, "cannot be read"),
            (["bench", "engine", "--goodput", "speed:1"], 64, "expected ttft, tpot or e2el"),
        ] {
            let outcome = try ZooProcess.run(arguments)
            #expect(outcome.status == status, "\(arguments): \(outcome.error)")
            #expect(outcome.error.contains(text), "\(arguments): \(outcome.error)")
        }
    }
}
