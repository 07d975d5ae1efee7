import AttentionCore
import AttentionOperators
import AttentionTesting
import Foundation
import TensorCore

/// The cases of `Tests/Fixtures/mixing`: operators written from their papers in float64, gradients by PyTorch's autograd.
struct MixingFixtures {
    /// What a case says beside its operands.
    struct Details: Decodable {
        let `operator`: String
        let configuration: [String: ConfigurationValue]
        let parameters: [String: [Int]]
    }

    let cases: [(attention: AttentionCase, details: Details)]
    private let tensors: SafetensorsFile

    init() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../Fixtures/mixing").standardizedFileURL
        let data = try Data(contentsOf: folder.appendingPathComponent("cases.json"))
        let decoder = JSONDecoder()
        cases = Array(
            zip(try decoder.decode([AttentionCase].self, from: data), try decoder.decode([Details].self, from: data))
        ).map { (attention: $0.0, details: $0.1) }
        tensors = try SafetensorsFile(path: folder.appendingPathComponent("expected.safetensors").path)
    }

    /// The operands with their parameters.
    func inputs(_ attention: AttentionCase, _ details: Details) throws -> AttentionInputs {
        var inputs = attention.inputs()
        for (number, name) in details.parameters.keys.sorted().enumerated() {
            inputs.parameters[name] = .random(
                uniform: Shape(details.parameters[name] ?? []), seed: attention.seeds.query + 100 + UInt64(number),
                amplitude: 0.5)
        }
        return inputs
    }

    /// What PyTorch made of a case.
    func expected(_ attention: AttentionCase, _ name: String) throws -> Tensor {
        try tensors.tensor(named: "\(attention.name).\(name)")
    }

    /// The error of a tensor as a part of the largest expected number, or of 1 where that is larger.
    func error(_ tensor: Tensor, _ attention: AttentionCase, _ name: String) throws -> Double {
        let expected = try expected(attention, name)
        let largest = expected.doubles().reduce(1) { max($0, abs($1)) }
        return try tensor.maxAbsoluteDifference(expected) / largest
    }
}
