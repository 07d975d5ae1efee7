import AttentionCore
import Foundation
import TensorCore
import Testing

/// `zoo run` on files.
@Suite struct RunCommandTests {
    private func folder(with inputs: AttentionInputs) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try OperandFile.write(inputs, to: folder.path("in.safetensors"))
        return folder
    }

    private func run(_ folder: TemporaryFolder, _ arguments: [String]) throws -> ZooProcess.Outcome {
        try ZooProcess.run(["run", "--input", folder.path("in.safetensors")] + arguments)
    }

    @Test(arguments: ["full", "memory-efficient", "flash", "grouped-query", "auto"])
    func resultsAreTheReferences(name: String) throws {
        let inputs = OperandFile.random()
        let folder = try folder(with: inputs)
        let out = folder.path("out.safetensors")
        let outcome = try run(
            folder, [name, "--output", out, "--config", "{\"causal\": true, \"scale\": 0.5}", "--verify", "--json"])
        #expect(outcome.status == 0, "\(outcome.error)")
        let report = outcome.object
        #expect(name == "auto" || report["operator"] as? String == name)
        #expect(report["output"] as? String == out)
        #expect(report["outputShape"] as? [Int] == [1, 33, 4, 16])
        let verify = try #require(report["verify"] as? [String: Any])
        let error = try #require(verify["maxError"] as? Double)
        #expect(error > 0)
        #expect(error <= (verify["tolerance"] as? Double ?? 0))
        #expect(verify["floatError"] as? Double != nil)
        let options = AttentionOptions(scale: 0.5, mask: .causal)
        let expected = try DenseReference.forward(inputs, options: options, precision: .double)
        let file = try SafetensorsFile(path: out)
        #expect(Set(file.names) == ["output", "log_sum_exp"])
        let output = try file.tensor(named: "output")
        #expect(output.dtype == .float32)
        #expect(try abs(output.maxAbsoluteDifference(expected.output) - error) < 1e-12)
        let logSumExp = try file.tensor(named: "log_sum_exp")
        #expect(logSumExp.shape == [1, 4, 33])
        #expect(try logSumExp.maxAbsoluteDifference(try #require(expected.logSumExp)) < 1e-5)
    }

    @Test(arguments: [DType.float16, .bfloat16])
    func outputHasTheTypeOfTheQuery(dtype: DType) throws {
        let folder = try folder(with: OperandFile.random(dtype: dtype))
        let outcome = try run(folder, ["flash", "--output", folder.path("out.safetensors"), "--verify"])
        #expect(outcome.status == 0, "\(outcome.error)")
        let file = try SafetensorsFile(path: folder.path("out.safetensors"))
        #expect(try file.tensor(named: "output").dtype == dtype)
        #expect(try file.tensor(named: "log_sum_exp").dtype == .float32)
    }

    @Test func configurationsFromFiles() throws {
        let folder = try folder(with: OperandFile.random())
        let texts = ["a.json": "{\"window\": [4, 0], \"softcap\": 3}", "b.yaml": "window: [4, 0]\nsoftcap: 3.0\n"]
        var results: [Tensor] = []
        for (name, text) in texts {
            try Data(text.utf8).write(to: URL(fileURLWithPath: folder.path(name)))
            let outcome = try run(
                folder,
                ["local", "--output", folder.path("out.safetensors"), "--config", folder.path(name), "--verify"])
            #expect(outcome.status == 0, "\(outcome.error)")
            results.append(try SafetensorsFile(path: folder.path("out.safetensors")).tensor(named: "output"))
        }
        #expect(results[0].bitwiseEquals(results[1]))
    }

    @Test func threadsNeverChangeABit() throws {
        let folder = try folder(with: OperandFile.random(length: 130))
        for threads in ["1", "2", "5"] {
            let path = folder.path("\(threads).safetensors")
            #expect(try run(folder, ["flash", "--output", path, "--threads", threads]).status == 0)
        }
        let bytes = try ["1", "2", "5"].map {
            try Data(contentsOf: URL(fileURLWithPath: folder.path("\($0).safetensors")))
        }
        #expect(bytes[0] == bytes[1] && bytes[1] == bytes[2])
    }

    @Test func unsupportedProblemsSayWhy() throws {
        let folder = try folder(with: OperandFile.random())
        let out = folder.path("out.safetensors")
        let text = try run(folder, ["local", "--output", out])
        #expect(text.status == 69)
        #expect(
            text.error.contains(
                "  - window: left is unlimited; set window to [left, right], for example [32, 32]\n"))
        let json = try run(folder, ["local", "--output", out, "--json"])
        #expect(json.status == 69)
        #expect(json.failure["code"] as? Int == 69)
        #expect(json.failure["kind"] as? String == "unsupported")
        #expect(json.failure["operator"] as? String == "local")
        let reasons = try #require(json.failure["reasons"] as? [[String: Any]])
        #expect(reasons.map { $0["aspect"] as? String } == ["window", "window"])
        #expect(json.out == "")
        #expect(!FileManager.default.fileExists(atPath: out))
    }

    @Test func badInputIsNamed() throws {
        let folder = try folder(with: OperandFile.random())
        let out = folder.path("out.safetensors")
        func fails(_ path: String, _ text: String) throws {
            let outcome = try ZooProcess.run(["run", "flash", "--input", path, "--output", out])
            #expect(outcome.status == 65)
            #expect(outcome.error.contains(text), "\(outcome.error)")
        }
        func write(_ name: String, _ tensors: [(name: String, tensor: Tensor)]) throws -> String {
            try SafetensorsFile.write(tensors, to: folder.path(name))
            return folder.path(name)
        }
        let ones = Tensor(zeros: [1, 4, 2, 8])
        try fails(folder.path("none"), "cannot be read: No such file or directory")
        try Data("not safetensors".utf8).write(to: URL(fileURLWithPath: folder.path("text")))
        try fails(folder.path("text"), "cannot be used: ")
        try fails(try write("a", [("query", ones), ("key", ones)]), "has no tensor 'value'; it holds key, query")
        try fails(
            try write("b", [("query", ones), ("key", ones), ("value", ones), ("biass", ones)]),
            "has a tensor 'biass', which is no operand; did you mean 'bias'?")
        try fails(
            try write("c", [("query", ones), ("key", Tensor(zeros: [1, 4, 2, 7])), ("value", ones)]),
            "key has shape [1, 4, 2, 7]")
        try fails(
            try write(
                "d", [("query", ones), ("key", ones), ("value", ones), ("key_lengths", try Tensor([9.0], shape: [1]))]),
            "expected I32 or I64 [batch]")
        try fails(
            try write(
                "e",
                [("query", ones), ("key", ones), ("value", ones), ("key_lengths", try Tensor([Int32(9)], shape: [1]))]),
            "key_lengths is 9; expected lengths from 0 to 4")
        #expect(!FileManager.default.fileExists(atPath: out))
        let left = try FileManager.default.contentsOfDirectory(atPath: folder.url.path)
        #expect(!left.contains { $0.hasSuffix(".partial") })
    }

    @Test func outputIsReplacedWholeAndKeptOnFailure() throws {
        let folder = try folder(with: OperandFile.random())
        let out = folder.path("out.safetensors")
        try Data("old".utf8).write(to: URL(fileURLWithPath: out))
        #expect(try run(folder, ["local", "--output", out]).status == 69)
        #expect(try String(contentsOfFile: out, encoding: .utf8) == "old")
        #expect(try run(folder, ["flash", "--output", out]).status == 0)
        #expect(try SafetensorsFile(path: out).metadata["operator"] == "flash")
    }

    @Test func extraTensorsAreTold() throws {
        let folder = try TemporaryFolder()
        let inputs = OperandFile.random()
        try SafetensorsFile.write(
            [("query", inputs.query), ("key", inputs.key), ("value", inputs.value), ("expected", inputs.value)],
            to: folder.path("in.safetensors"))
        let outcome = try run(folder, ["full", "--verify", "--json"])
        #expect(outcome.status == 0)
        #expect(outcome.object["ignored"] as? [String] == ["expected"])
    }
}
