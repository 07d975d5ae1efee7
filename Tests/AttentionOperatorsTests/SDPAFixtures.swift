import AttentionCore
import AttentionTesting
import Foundation
import TensorCore

/// The cases of `Tests/Fixtures/sdpa`, which PyTorch computed in float64 and stored in float32.
struct SDPAFixtures {
    /// What the script says about a case beside its operands.
    struct Expectation: Decodable {
        /// The rows that are stored.
        let rows: [Int]
        /// The error of PyTorch's own float32 result.
        let torchFloatError: Double
    }

    /// Stored rows, and how far a result is from them.
    struct Comparison {
        let output: Tensor
        let logSumExp: Tensor
        let outputError: Double
        let logSumExpError: Double
    }

    let cases: [(AttentionCase, Expectation)]
    private let tensors: SafetensorsFile

    init() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../Fixtures/sdpa").standardizedFileURL
        let data = try Data(contentsOf: folder.appendingPathComponent("cases.json"))
        let decoder = JSONDecoder()
        cases = Array(
            zip(
                try decoder.decode([AttentionCase].self, from: data), try decoder.decode([Expectation].self, from: data)
            ))
        tensors = try SafetensorsFile(path: folder.appendingPathComponent("expected.safetensors").path)
    }

    /// Compares the stored rows of a result.
    func expected(_ attentionCase: AttentionCase, rows: [Int], of result: AttentionOutput) throws -> Comparison {
        let output = try tensors.tensor(named: "\(attentionCase.name).output")
        let logSumExp = try tensors.tensor(named: "\(attentionCase.name).log_sum_exp")
        return Comparison(
            output: output, logSumExp: logSumExp,
            outputError: try Self.pick(result.output, 1, rows).maxAbsoluteDifference(output),
            logSumExpError: try result.logSumExp.map { try Self.pick($0, 2, rows).maxAbsoluteDifference(logSumExp) }
                ?? 0)
    }

    /// Some rows along one axis, in Double.
    private static func pick(_ tensor: Tensor, _ axis: Int, _ rows: [Int]) throws -> Tensor {
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
