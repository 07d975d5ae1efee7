import AttentionCore
import AttentionOperators
import AttentionTesting
import Foundation
import Kernels
import TensorCore
import Testing

/// Cases that PyTorch computed in float64: `Tests/Fixtures/sdpa`.
@Suite struct SDPAFixtureTests {
    struct Expectation: Decodable {
        let rows: [Int]
        let torchFloatError: Double
    }

    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../Fixtures/sdpa").standardizedFileURL
    static let cases: [(AttentionCase, Expectation)] = {
        guard let data = try? Data(contentsOf: folder.appendingPathComponent("cases.json")),
            let cases = try? JSONDecoder().decode([AttentionCase].self, from: data),
            let expectations = try? JSONDecoder().decode([Expectation].self, from: data)
        else { return [] }
        return Array(zip(cases, expectations))
    }()

    @Test func casesAreMany() { #expect(Self.cases.count >= 60) }

    @Test(arguments: OperatorRegistry.builtIn.entries.map(\.id))
    func operatorsAgreeWithPyTorch(id: String) throws {
        let expected = try SafetensorsFile(path: Self.folder.appendingPathComponent("expected.safetensors").path)
        let configured = try OperatorRegistry.builtIn[id]
        var accepted = 0
        for (attentionCase, expectation) in Self.cases {
            let inputs = attentionCase.inputs()
            let options = try attentionCase.options()
            guard configured.unsupportedReasons(for: try AttentionProblem(inputs, options: options)).isEmpty else {
                continue
            }
            accepted += 1
            let result = try configured.forward(inputs, options: options)
            let output = try expected.tensor(named: "\(attentionCase.name).output")
            let logSumExp = try expected.tensor(named: "\(attentionCase.name).log_sum_exp")
            let storage = attentionCase.dtype == .bfloat16 ? 0x1p-8 : attentionCase.dtype == .float16 ? 0x1p-11 : 0
            let magnitude = Double(attentionCase.amplitude)
            let limit = max(2e-6 * magnitude, 2 * expectation.torchFloatError) + storage * magnitude
            let difference = try pick(result.output, 1, expectation.rows).maxAbsoluteDifference(output)
            #expect(difference <= limit, "\(id), \(attentionCase.name): output off by \(difference), allowed \(limit)")
            if let ours = result.logSumExp {
                let off = try pick(ours, 2, expectation.rows).maxAbsoluteDifference(logSumExp)
                let largest = logSumExp.doubles().reduce(1) { $1.isFinite ? max($0, abs($1)) : $0 }
                #expect(off <= 1e-6 * largest, "\(id), \(attentionCase.name): logSumExp off by \(off)")
            }
        }
        #expect(accepted >= (id == "local" ? 12 : 90))
    }

    /// Some rows along one axis.
    private func pick(_ tensor: Tensor, _ axis: Int, _ rows: [Int]) throws -> Tensor {
        var dimensions = tensor.shape.dimensions
        dimensions[axis] = rows.count
        let outer = dimensions[..<axis].reduce(1, *)
        let inner = dimensions[(axis + 1)...].reduce(1, *)
        let numbers = tensor.doubles()
        var result: [Double] = []
        for block in 0..<outer {
            for row in rows {
                let start = (block * tensor.shape[axis] + row) * inner
                result += numbers[start..<start + inner]
            }
        }
        return try Tensor(result, shape: Shape(dimensions))
    }
}
