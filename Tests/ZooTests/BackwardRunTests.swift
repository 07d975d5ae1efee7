import AttentionCore
import AttentionOperators
import AttentionTesting
import BenchHarness
import Foundation
import TensorCore
import Testing

/// `zoo run --backward`, and operators that own tensors.
@Suite struct BackwardRunTests {
    private struct Case: Decodable {
        let gradientCase: GradientCase
        let torchFloatErrors: [String: Double]
        let largestLogSumExp: Double

        private enum CodingKeys: String, CodingKey { case usesLogSumExp, torchFloatErrors, largestLogSumExp }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            gradientCase = GradientCase(
                try AttentionCase(from: decoder),
                usesLogSumExp: try container.decode(Bool.self, forKey: .usesLogSumExp))
            torchFloatErrors = try container.decode([String: Double].self, forKey: .torchFloatErrors)
            largestLogSumExp = try container.decode(Double.self, forKey: .largestLogSumExp)
        }
    }

    private static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../Fixtures/gradients").standardizedFileURL

    private func write(_ inputs: AttentionInputs, _ gradient: OutputGradient?, to path: String) throws {
        var extra: [(name: String, tensor: Tensor)] = []
        if let gradient {
            extra.append(("output_gradient", gradient.output))
            if let logSumExp = gradient.logSumExp { extra.append(("log_sum_exp_gradient", logSumExp)) }
        }
        try OperandFile.write(inputs, to: path, adding: extra)
    }

    /// Every case through the process; the operators take turns.
    @Test func commandAgreesWithPyTorch() throws {
        let cases = try JSONDecoder().decode(
            [Case].self, from: Data(contentsOf: Self.fixtures.appendingPathComponent("cases.json")))
        #expect(cases.count >= 60)
        let expected = try SafetensorsFile(path: Self.fixtures.appendingPathComponent("expected.safetensors").path)
        let names = ["full", "flash", "memory-efficient", "grouped-query"]
        let folder = try TemporaryFolder()
        var derived = 0
        for (index, item) in cases.enumerated() {
            let attention = item.gradientCase.attention
            let name = attention.dtype == .float64 ? "full" : names[index % names.count]
            try write(attention.inputs(), item.gradientCase.gradient(), to: folder.path("in.safetensors"))
            let outcome = try ZooProcess.run([
                "run", name, "--backward", "--input", folder.path("in.safetensors"), "--output",
                folder.path("out.safetensors"), "--config", ConfigurationValue.object(attention.config).jsonText,
            ])
            if attention.dtype == .float64, outcome.status == 69 { continue }
            guard outcome.status == 0 else {
                Issue.record("\(name), \(attention.name): status \(outcome.status): \(outcome.error)")
                continue
            }
            derived += 1
            let file = try SafetensorsFile(path: folder.path("out.safetensors"))
            for (operand, floatError) in item.torchFloatErrors {
                let own = try file.tensor(named: "\(operand)_gradient")
                let wanted = try expected.tensor(named: "\(attention.name).\(operand)")
                let limit = ErrorLimit.allowed(
                    floatError: floatError, magnitude: wanted.doubles().reduce(0) { max($0, abs($1)) },
                    scores: item.largestLogSumExp, stored: own.dtype)
                let error = try own.maxAbsoluteDifference(wanted)
                #expect(error <= limit, "\(name), \(attention.name), \(operand): off by \(error), allowed \(limit)")
            }
        }
        #expect(derived >= 60)
    }

    @Test func verifyComparesGradients() throws {
        let folder = try TemporaryFolder()
        var inputs = OperandFile.random()
        inputs.sinks = [0.5, -1, 0, 2]
        inputs.bias = .random(uniform: [1, 4, 1, 33], seed: 4)
        let gradient = OutputGradient(
            output: .random(uniform: [1, 33, 4, 16], seed: 5), logSumExp: .random(uniform: [1, 4, 33], seed: 6))
        try write(inputs, gradient, to: folder.path("in"))
        let arguments = [
            "run", "flash", "--backward", "--verify", "--input", folder.path("in"), "--config", "{\"causal\": true}",
        ]
        let outcome = try ZooProcess.run(arguments + ["--json"])
        #expect(outcome.status == 0, "\(outcome.error)")
        let verdicts = try #require(outcome.object["verifyGradients"] as? [[String: Any]])
        #expect(verdicts.map { $0["operand"] as? String } == ["query", "key", "value", "bias", "sinks"])
        for verdict in verdicts {
            let error = try #require(verdict["maxError"] as? Double)
            #expect(error > 0 && error <= (verdict["tolerance"] as? Double ?? 0))
        }
        #expect((outcome.object["backwardSeconds"] as? Double ?? 0) > 0)
        #expect(try ZooProcess.run(arguments).out.contains("gradient  by sinks: error "))
    }

    @Test func wrongGradientsAreFound() throws {
        let inputs = OperandFile.random()
        let gradient = OutputGradient(output: .random(uniform: [1, 33, 4, 16], seed: 5))
        let configured = try OperatorRegistry.builtIn["flash"]
        let check = try GradientCheck(configured, inputs, gradient: gradient, options: .init())
        var ours = try configured.backward(inputs, gradient: gradient)
        #expect(check.verdicts(on: ours).map(\.passed) == [true, true, true])
        var numbers = ours.key.floats()
        numbers[70] += 1e-4
        ours.key = try Tensor(numbers, shape: ours.key.shape)
        #expect(check.verdicts(on: ours).map(\.passed) == [true, false, true])
        ours.sinks = Tensor(zeros: [4])
        #expect(check.verdicts(on: ours).last?.maxError == .infinity)
    }

    @Test func missingAndBadGradientsAreNamed() throws {
        let folder = try TemporaryFolder()
        func fails(_ gradient: OutputGradient?, _ text: String) throws {
            try write(OperandFile.random(), gradient, to: folder.path("in"))
            let outcome = try ZooProcess.run([
                "run", "flash", "--backward", "--input", folder.path("in"), "--output", folder.path("out"),
            ])
            #expect(outcome.status == 65)
            #expect(outcome.error.contains(text), "\(outcome.error)")
        }
        try fails(nil, "has no tensor 'output_gradient', which --backward needs")
        try fails(OutputGradient(output: Tensor(zeros: [1, 33, 4, 15])), "output_gradient has shape [1, 33, 4, 15]")
        try fails(
            OutputGradient(output: Tensor(zeros: [1, 33, 4, 16]), logSumExp: Tensor(zeros: [1, 33, 4])),
            "log_sum_exp_gradient has shape [1, 33, 4]")
        #expect(!FileManager.default.fileExists(atPath: folder.path("out")))
    }

    @Test func strayParametersAreNamed() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("in")
        try OperandFile.write(
            OperandFile.random(), to: path, adding: [("parameter.projection", Tensor(zeros: [2, 2]))])
        let outcome = try ZooProcess.run(["run", "flash", "--input", path, "--verify", "--json"])
        #expect(outcome.status == 65)
        let message = outcome.failure["message"] as? String ?? ""
        #expect(message.hasSuffix("but 'flash' owns no parameter 'projection'; it owns none"), "\(message)")
    }
}
