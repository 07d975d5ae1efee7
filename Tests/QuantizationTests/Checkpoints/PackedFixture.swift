import Foundation
import Kernels
import Quantization
import TensorCore
import Testing

/// A module that a reference implementation packed, and what its tensors mean.
struct PackedFixture: Sendable, CustomTestStringConvertible {
    let name: String
    let module: String
    let outputs: Int
    let inputs: Int
    let configurationText: String
    private let valuesName: String

    var testDescription: String { name }

    static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Fixtures/quantization-formats").path

    private static let file = try? SafetensorsFile(path: directory + "/packed.safetensors")

    /// Every case; a file that cannot be read makes `thereAreCases` fail.
    static let all: [PackedFixture] = {
        struct Case: Decodable {
            let name, module, values: String
            let outputs, inputs: Int
        }
        guard let data = FileManager.default.contents(atPath: directory + "/cases.json"),
            let cases = try? JSONDecoder().decode([Case].self, from: data),
            let raw = try? JSONSerialization.jsonObject(with: data) as? [[String: Any]]
        else { return [] }
        return zip(cases, raw).compactMap { item, fields in
            guard let config = fields["config"], let text = try? JSONSerialization.data(withJSONObject: config) else {
                return nil
            }
            return PackedFixture(
                name: item.name, module: item.module, outputs: item.outputs, inputs: item.inputs,
                configurationText: String(decoding: text, as: UTF8.self), valuesName: item.values)
        }
    }()

    static func named(_ name: String) throws -> PackedFixture { try #require(all.first { $0.name == name }) }

    /// Cases that say what their layout can say.
    static let readable = all.filter { !$0.name.hasSuffix("overwritten") }

    var configuration: QuantizationConfiguration {
        get throws { try #require(try QuantizationConfiguration(json: Array(configurationText.utf8))) }
    }

    func stored(_ name: String) -> Tensor? { Self.file?["\(self.name)/\(name)"] }

    /// What the module's tensors mean, from the script: `codes`, `scales`, `zeros`, `g_idx`, `dequantized`.
    func value(_ name: String) throws -> Tensor { try #require(Self.file?["\(valuesName)/\(name)"]) }

    /// The module's tensors by name.
    var tensors: [String: Tensor] {
        let prefix = "\(name)/\(module)."
        let names = (Self.file?.names ?? []).filter { $0.hasPrefix(prefix) }
        return Dictionary(
            uniqueKeysWithValues: names.map { ($0, Self.file?[$0]) }.compactMap { name, tensor in
                tensor.map { (String(name.dropFirst(self.name.count + 1)), $0) }
            })
    }

    func read(
        _ tensors: [String: Tensor]? = nil, configuration: QuantizationConfiguration? = nil, outputs: Int? = nil,
        inputs: Int? = nil
    ) throws -> QuantizedWeight {
        let tensors = tensors ?? self.tensors
        let configuration = try configuration ?? self.configuration
        let weight = try CheckpointFormat.read(
            module: module, outputs: outputs, inputs: inputs, configuration: configuration
        ) { tensors[$0] }
        return try #require(weight)
    }
}
