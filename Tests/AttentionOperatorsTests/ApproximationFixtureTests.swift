import AttentionCore
import AttentionOperators
import AttentionTesting
import Foundation
import Kernels
import TensorCore
import Testing

/// Approximations against their papers' equations, computed naively in float64 with PyTorch and its gradients.
@Suite struct ApproximationFixtureTests {
    struct Case: Decodable, Sendable, CustomStringConvertible {
        let name: String
        let `operator`: String
        let config: [String: ConfigurationValue]
        let causal: Bool
        let seed: UInt64
        let queryLengths: [Int]?
        let keyLengths: [Int]?
        let scale: Float?
        let parameters: [String]

        var description: String { name }
        var options: AttentionOptions { AttentionOptions(scale: scale, mask: causal ? .causal : .full, seed: seed) }
    }

    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../Fixtures/approximations").standardizedFileURL
    static let cases: [Case] =
        (try? JSONDecoder().decode([Case].self, from: Data(contentsOf: folder.appendingPathComponent("cases.json"))))
        ?? []

    private func tensor(_ one: Case, _ name: String) throws -> Tensor {
        try SafetensorsFile(path: Self.folder.appendingPathComponent("expected.safetensors").path)
            .tensor(named: "\(one.name).\(name)")
    }

    private func inputs(_ one: Case, _ dtype: DType) throws -> AttentionInputs {
        var result = AttentionInputs(
            query: try tensor(one, "query").converted(to: dtype), key: try tensor(one, "key").converted(to: dtype),
            value: try tensor(one, "value").converted(to: dtype), queryLengths: one.queryLengths,
            keyLengths: one.keyLengths)
        for name in one.parameters {
            result.parameters[name] = try tensor(one, "parameter.\(name)").converted(to: dtype)
        }
        return result
    }

    private func configured(_ one: Case) throws -> ConfiguredOperator {
        one.operator == "efficient"
            ? try EfficientAttentionTests.configured()
            : try OperatorRegistry.builtIn.make(one.operator, configuration: one.config)
    }

    private func compare(_ ours: Tensor?, _ one: Case, _ name: String, _ limit: Double) throws {
        let truth = try tensor(one, name)
        let size = truth.doubles().reduce(1) { $1.isFinite ? max($0, abs($1)) : $0 }
        let error = try ours?.maxAbsoluteDifference(truth) ?? .infinity
        #expect(error <= limit * size, "\(one.name), \(name): off by \(error)")
    }

    private func compare(_ gradients: AttentionGradients, _ one: Case, _ limit: Double) throws {
        try compare(gradients.query, one, "query.gradient", limit)
        try compare(gradients.key, one, "key.gradient", limit)
        try compare(gradients.value, one, "value.gradient", limit)
        for name in one.parameters { try compare(gradients.parameters[name], one, "parameter.\(name).gradient", limit) }
    }

    @Test func thereAreCasesOfEveryOperator() {
        #expect(Set(Self.cases.map(\.operator)).count == 5)
    }

    @Test(arguments: cases)
    func referencesInDoubleAreThePapers(one: Case) throws {
        let configured = try configured(one)
        let inputs = try inputs(one, .float64)
        let gradient = OutputGradient(output: try tensor(one, "output.gradient"))
        let result = try configured.reference(inputs, options: one.options, precision: .double)
        try compare(result.output, one, "output", 1e-11)
        if result.logSumExp != nil { try compare(result.logSumExp, one, "log_sum_exp", 1e-11) }
        try compare(
            configured.referenceGradients(inputs, gradient: gradient, options: one.options, precision: .double), one,
            1e-10)
    }

    @Test(arguments: cases, ComputeContext.availableISAs)
    func resultsAndGradientsAreThePapers(one: Case, isa: String) throws {
        let configured = try configured(one)
        let context = try ComputeContext(threads: 2, isa: isa)
        let inputs = try inputs(one, .float32)
        let gradient = OutputGradient(output: try tensor(one, "output.gradient").converted(to: .float32))
        let result = try configured.forward(inputs, options: one.options, context: context)
        try compare(result.output, one, "output", 2e-6)
        if result.logSumExp != nil { try compare(result.logSumExp, one, "log_sum_exp", 2e-6) }
        try compare(
            configured.backward(inputs, gradient: gradient, options: one.options, context: context), one, 1e-5)
    }
}
