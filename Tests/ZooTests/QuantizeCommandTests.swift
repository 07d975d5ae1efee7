import Foundation
import TensorCore
import Testing

#if canImport(FoundationXML)
    import FoundationXML
#endif

/// `zoo quantize` with the model that comes with `zoo`.
@Suite struct QuantizeCommandTests {
    private struct Report: Decodable {
        struct Layer: Decodable {
            let module: String
            let weightError: Double
            let outputError: Double?
            let objective: Double?
        }

        struct Block: Decodable {
            let outputError: Double
        }

        let method: String
        let tokens: Int
        let layers: [Layer]
        let blocks: [Block]
        let bitsPerWeight: Double
    }

    private static let text = String(repeating: "Once upon a time there was a little fox. It ran home.\n", count: 60)

    private static func heldOut() throws -> String {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let data = try Data(contentsOf: tests.appendingPathComponent("Fixtures/default-model/held-out.json"))
        let texts = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])["texts"] as? [String]
        return String(try #require(texts).joined().prefix(8000))
    }

    private func calibration(_ folder: TemporaryFolder) throws -> String {
        try Data(Self.text.utf8).write(to: folder.url.appendingPathComponent("text.txt"))
        return folder.path("text.txt")
    }

    private func report(_ outcome: ZooProcess.Outcome) throws -> Report {
        #expect(outcome.status == 0, "\(outcome.error)")
        return try JSONDecoder().decode(Report.self, from: Data(outcome.out.utf8))
    }

    @Test(arguments: [
        (["--method", "gptq"], 64, "--method gptq needs --calibration FILE"),
        (["--method", "awq"], 64, "--method awq needs --calibration FILE"),
        (["--method", "nearest"], 64, "nearest"),
        (["--method", "rtn", "--damping", "0.1", "--act-order"], 64, "--act-order, --damping: a setting of gptq"),
        (["--method", "rtn", "--no-clip"], 64, "--no-clip: a setting of awq"),
        (["--method", "rtn", "--duo-scaling"], 64, "--duo-scaling: a setting of awq"),
        (["--method", "rtn", "--no-duo-scaling"], 64, "--no-duo-scaling: a setting of awq"),
        (["--method", "rtn", "--samples", "3"], 64, "choose from a --calibration, and there is none"),
        (["--method", "rtn", "--report", "x.pdf"], 64, "ends in '.pdf'; expected .html, .svg or .json"),
        (["--method", "rtn", "--report", "/no/such/x.svg", "--group-size", "32"], 64, "there is no folder '/no/such'"),
        (["--method", "rtn", "--bits", "5"], 64, "--bits is 5; expected 2, 3, 4 or 8"),
        (["--method", "rtn", "--ternary", "--bits", "4"], 64, "--bits is 4, but --ternary weights have 2"),
        (["--method", "rtn", "--group-size", "0"], 64, "--group-size is 0; expected a number above 0, or -1"),
        (
            ["--method", "rtn"], 64,
            "groupSize of model.layers.5.mlp.down_proj [256, 416] is 128; expected a number that divides the 416 inputs"
        ),
        (["--method", "rtn", "--format", "awq", "--bits", "3", "--group-size", "32"], 64, "expected 4 for gemm"),
        (
            ["--method", "rtn", "--format", "awq", "--lm-head", "--group-size", "32"], 64,
            "lm_head is to be quantised; expected a head that stays as it is"
        ),
        (["--method", "rtn", "--model", "/no/such/model"], 65, "/no/such/model/config.json: no such file"),
        (
            ["--method", "gptq", "--group-size", "32", "--calibration", "/no/such/text"], 65,
            "--calibration '/no/such/text' cannot be read"
        ),
        (
            ["--method", "gptq", "--group-size", "32", "--calibration", "TEXT", "--sequence-length", "513"], 64,
            "--sequence-length is 513; expected from 1 to the model's 512"
        ),
        (["--method", "gptq", "--group-size", "32", "--calibration", "SHORT"], 65, "at least the 512 of one stretch"),
    ])
    func wrongUsageIsExplained(arguments: [String], status: Int32, text: String) throws {
        let folder = try TemporaryFolder()
        let long = try calibration(folder)
        try Data("A short text.".utf8).write(to: folder.url.appendingPathComponent("short.txt"))
        let given = arguments.map { $0 == "TEXT" ? long : $0 == "SHORT" ? folder.path("short.txt") : $0 }
        let outcome = try ZooProcess.run(["quantize", "--output", folder.path("out")] + given)
        #expect(outcome.status == status, "\(outcome.error)")
        #expect(outcome.error.contains(text), "\(outcome.error)")
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder.url.path).sorted() == ["short.txt", "text.txt"])
    }

    @Test func roundingNeedsNoText() throws {
        let folder = try TemporaryFolder()
        let outcome = try ZooProcess.run([
            "quantize", "--method", "rtn", "--group-size", "32", "--output", folder.path("out"), "--report",
            folder.path("report.svg"), "--json",
        ])
        let report = try report(outcome)
        #expect(report.method == "rtn" && report.tokens == 0 && report.layers.count == 42 && report.blocks.isEmpty)
        #expect(report.layers.allSatisfy { $0.outputError == nil && $0.weightError > 0.001 && $0.weightError < 0.02 })
        #expect(report.bitsPerWeight > 4.6 && report.bitsPerWeight < 4.8)
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path("out")).sorted()
        #expect(
            names == [
                "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
            ])
        let again = try ZooProcess.run([
            "quantize", "--method", "rtn", "--group-size", "32", "--output", folder.path("out"),
        ])
        #expect(again.status == 64 && again.error.contains("the directory is not empty"), "\(again.error)")
        let picture = try String(contentsOfFile: folder.path("report.svg"), encoding: .utf8)
        #expect(picture.hasPrefix("<svg") && picture.contains("model.layers.5.mlp.down_proj: "))
        #expect(XMLParser(data: Data(picture.utf8)).parse())
    }

    @Test(arguments: ["gptq", "awq"])
    func calibratedMethodsReportEveryLayer(method: String) throws {
        let folder = try TemporaryFolder()
        let text = try calibration(folder)
        let options = [
            "--calibration", text, "--samples", "4", "--sequence-length", "64", "--group-size", "32", "--json",
        ]
        let rounded = try report(
            try ZooProcess.run(["quantize", "--method", "rtn", "--output", folder.path("rtn")] + options))
        let mine = try report(
            try ZooProcess.run(
                ["quantize", "--method", method, "--output", folder.path("out"), "--report", folder.path("r.html")]
                    + options))
        #expect(mine.tokens == 256 && mine.layers.count == 42 && mine.blocks.count == 6)
        #expect(mine.layers.map(\.module) == rounded.layers.map(\.module))
        #expect(mine.layers.allSatisfy { $0.objective ?? 0 > 0 })
        #expect(mine.blocks[0].outputError < rounded.blocks[0].outputError)
        let page = try String(contentsOfFile: folder.path("r.html"), encoding: .utf8)
        #expect(page.contains("<svg") && page.contains("model.layers.0.self_attn.q_proj"))
        #expect(XMLParser(data: Data(page.dropFirst("<!DOCTYPE html>".count).utf8)).parse())
        let again = try ZooProcess.run(
            ["quantize", "--method", method, "--output", folder.path("again"), "--threads", "1"] + options)
        #expect(again.status == 0)
        func bytes(_ name: String) throws -> Data {
            try Data(contentsOf: URL(fileURLWithPath: folder.path(name) + "/model.safetensors"))
        }
        #expect(try bytes("out") == bytes("again"))
    }

    private struct Perplexity: Decodable {
        let quantization: String
        let bitsPerWeight: Double
        let perplexity: Double
        let ratio: Double
    }

    private struct OwnPerplexity: Decodable {
        let perplexity: Double
    }

    @Test func perplexityIsComparedWithTheModelAsItWas() throws {
        let folder = try TemporaryFolder()
        // Like what the model was trained on: elsewhere a worse model may foretell better.
        let text = folder.path("held-out.txt")
        try Data(Self.heldOut().utf8).write(to: URL(fileURLWithPath: text))
        for (name, options) in [("eight", ["--bits", "8"]), ("two", ["--bits", "2"])] {
            let outcome = try ZooProcess.run(
                ["quantize", "--method", "rtn", "--group-size", "32", "--output", folder.path(name)] + options)
            #expect(outcome.status == 0, "\(outcome.error)")
        }
        let outcome = try ZooProcess.run([
            "quantize-report", "--file", text, "--context", "256", "--json", "--report", folder.path("r.svg"),
            folder.path("eight"), folder.path("two"),
        ])
        #expect(outcome.status == 0, "\(outcome.error)")
        let results = try outcome.out.split(separator: "\n").map {
            try JSONDecoder().decode(Perplexity.self, from: Data($0.utf8))
        }
        try #require(results.count == 3)
        #expect(results.map(\.quantization) == ["bfloat16", "rtn", "rtn"])
        #expect(results[0].bitsPerWeight == 16 && results[0].ratio == 1)
        #expect(results[1].bitsPerWeight > 8.5 && results[1].bitsPerWeight < 9)
        #expect(abs(results[1].ratio - 1) < 0.003 && results[2].ratio > 1.003)
        let plain = try ZooProcess.run(["perplexity", "--file", text, "--context", "256", "--json"])
        // JSONSerialization may be off by the last bits of a number.
        let own = try JSONDecoder().decode(OwnPerplexity.self, from: Data(plain.out.utf8))
        #expect(own.perplexity == results[0].perplexity)
        let picture = try String(contentsOfFile: folder.path("r.svg"), encoding: .utf8)
        #expect(picture.contains("two: ") && XMLParser(data: Data(picture.utf8)).parse())
        let missing = try ZooProcess.run(["quantize-report", "--file", text, "/no/such/model"])
        #expect(missing.status == 65 && missing.error.contains("/no/such/model/config.json"), "\(missing.error)")
        let again = try ZooProcess.run([
            "quantize", "--method", "rtn", "--group-size", "32", "--model", folder.path("eight"), "--output",
            folder.path("again"),
        ])
        #expect(again.status == 65 && again.error.contains("quantization_config is there; expected none"))
    }
}
