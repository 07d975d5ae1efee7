import Foundation
import Quantization
import TensorCore

/// The cases of `Tests/Fixtures/quantization-algorithms`, which AutoGPTQ and AutoAWQ computed in float32.
struct AlgorithmFixtures {
    struct GPTQCase: Decodable {
        let name: String
        let operands: String
        let bits: Int
        let groupSize: Int?
        let isSymmetric: Bool
        let isActOrdered: Bool
        let isStaticGroups: Bool
        let scaleType: DType
        let leastError: Bool
        let objective: Double
        let objectiveOfUsualBlock: Double

        var scheme: QuantizationScheme {
            QuantizationScheme(bits: bits, groupSize: groupSize, isSymmetric: isSymmetric, scaleType: scaleType)
        }
        var quantiser: GPTQ {
            GPTQ(
                isActOrdered: isActOrdered, isStaticGroups: isStaticGroups, fit: leastError ? .leastError() : .range)
        }
    }

    struct AWQCase: Decodable {
        let name: String
        let bits: Int
        let groupSize: Int?
        let usesWeightMagnitudes: Bool
        let error: Double

        var scheme: QuantizationScheme {
            QuantizationScheme(bits: bits, groupSize: groupSize, scaleType: .float32)
        }
    }

    private struct Cases: Decodable {
        let gptq: [GPTQCase]
        let awq: [AWQCase]
    }

    let gptq: [GPTQCase]
    let awq: [AWQCase]
    private let file: SafetensorsFile

    init() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../Fixtures/quantization-algorithms").standardizedFileURL
        let cases = try JSONDecoder().decode(
            Cases.self, from: Data(contentsOf: folder.appendingPathComponent("cases.json")))
        gptq = cases.gptq
        awq = cases.awq
        file = try SafetensorsFile(path: folder.appendingPathComponent("expected.safetensors").path)
    }

    /// A tensor in F32.
    func floats(_ name: String) throws -> Tensor { try file.tensor(named: name).converted(to: .float32) }
    func integers(_ name: String) throws -> [Int] { try file.tensor(named: name).integers() }
    func has(_ name: String) -> Bool { file.names.contains(name) }
}
