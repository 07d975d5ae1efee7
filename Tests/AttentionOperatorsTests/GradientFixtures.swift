import AttentionCore
import AttentionTesting
import Foundation
import TensorCore

/// The cases of `Tests/Fixtures/gradients`, which PyTorch's autograd derived in float64 and stored in float32.
struct GradientFixtures {
    /// One case, and what the script says beside its operands.
    struct Case: Decodable {
        let gradientCase: GradientCase
        /// The errors of PyTorch's own float32 gradients, by operand.
        let torchFloatErrors: [String: Double]
        /// What scores come to: their size decides how well an output can be known.
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

    let cases: [Case]
    private let tensors: SafetensorsFile

    init() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../Fixtures/gradients").standardizedFileURL
        let data = try Data(contentsOf: folder.appendingPathComponent("cases.json"))
        cases = try JSONDecoder().decode([Case].self, from: data)
        tensors = try SafetensorsFile(path: folder.appendingPathComponent("expected.safetensors").path)
    }

    /// What is wrong with gradients; empty when they are PyTorch's.
    func failures(_ gradients: AttentionGradients, _ item: Case) throws -> [String] {
        let name = item.gradientCase.attention.name
        var failures: [String] = []
        let ours = Dictionary(uniqueKeysWithValues: gradients.named.map { ($0.name, $0.tensor) })
        if ours.keys.sorted() != item.torchFloatErrors.keys.sorted() {
            failures.append("\(name): derives \(ours.keys.sorted()), PyTorch \(item.torchFloatErrors.keys.sorted())")
        }
        for (operand, floatError) in item.torchFloatErrors.sorted(by: { $0.key < $1.key }) {
            guard let own = ours[operand] else { continue }
            let expected = try tensors.tensor(named: "\(name).\(operand)")
            let magnitude = expected.doubles().reduce(0) { max($0, abs($1)) }
            let limit = ErrorLimit.allowed(
                floatError: floatError, magnitude: magnitude, scores: item.largestLogSumExp, stored: own.dtype)
            let error = try own.maxAbsoluteDifference(expected)
            if !(error <= limit) {
                failures.append("\(name): the gradient of \(operand) is off by \(error), allowed \(limit)")
            }
        }
        return failures
    }
}
