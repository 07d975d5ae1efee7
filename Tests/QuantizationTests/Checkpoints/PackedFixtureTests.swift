import Foundation
import Kernels
import Quantization
import TensorCore
import Testing

/// Layers packed by AutoGPTQ, GPTQModel, AutoAWQ and compressed-tensors.
@Suite struct PackedFixtureTests {
    @Test func thereAreCases() {
        #expect(PackedFixture.all.count == 53)
        #expect(PackedFixture.all.allSatisfy { !$0.tensors.isEmpty })
    }

    @Test(arguments: PackedFixture.readable) func tensorsMeanWhatTheReferenceSays(_ fixture: PackedFixture) throws {
        let weight = try fixture.read(outputs: fixture.outputs, inputs: fixture.inputs)
        #expect(weight.outputs == fixture.outputs)
        #expect(weight.inputs == fixture.inputs)
        #expect(weight.codes.map { Int($0) } == (try fixture.value("codes").integers()))
        #expect(weight.scales == (try fixture.value("scales").floats()))
        #expect(weight.scaleType == .float16)
        let middle = 1 << (weight.bits - 1)
        let zeros = try fixture.value("zeros").integers()
        #expect(weight.zeros.map { $0.map { Int($0) } } == (zeros.allSatisfy { $0 == middle } ? nil : zeros))
        let order = try fixture.value("g_idx").integers()
        let isTrivial = order.enumerated().allSatisfy { $1 == $0 / weight.groupSize }
        #expect(weight.groupIndex.map { $0.map { Int($0) } } == (isTrivial ? nil : order))
        #expect(weight.dequantized().bitwiseEquals(try fixture.value("dequantized")))
        // Extents come from the tensors as well.
        #expect(try fixture.read() == weight)
    }

    @Test(arguments: PackedFixture.readable) func writingGivesTheSameBytes(_ fixture: PackedFixture) throws {
        let weight = try fixture.read()
        // What is read but not written: each is refused.
        let reason: String? =
            switch fixture.name {
            case let name where name.hasPrefix("awq-gemv"): "version"
            case let name where name.contains("tensor"), let name where name.hasPrefix("ct-int"): "format"
            case "ct-pack-4-ordered": "groupIndex"
            case let name where name.hasSuffix("borrowed"): "zeros"
            default: nil
            }
        if let reason {
            let error = #expect(throws: CheckpointFormatError.self) {
                try CheckpointFormat.write(weight, module: fixture.module, configuration: fixture.configuration)
            }
            #expect(error?.field == reason)
            #expect(error?.place == fixture.module)
            return
        }
        let written = try CheckpointFormat.write(
            weight, module: fixture.module, configuration: fixture.configuration)
        #expect(Set(written.keys) == Set(fixture.tensors.keys))
        for (name, expected) in fixture.tensors {
            let tensor = try #require(written[name])
            #expect(tensor.bitwiseEquals(expected), "\(name)")
        }
        let names = CheckpointFormat.tensorNames(module: fixture.module, configuration: try fixture.configuration)
        #expect(Set(names).isSuperset(of: written.keys))
    }

    @Test(arguments: [2, 3, 4, 8], ["asymmetric", "ordered", "row"])
    func versionsTurnIntoEachOther(_ bits: Int, _ kind: String) throws {
        let fixtures = [
            try PackedFixture.named("gptq-v1-\(bits)-\(kind)"), try PackedFixture.named("gptq-v2-\(bits)-\(kind)"),
        ]
        for (from, to) in [(fixtures[0], fixtures[1]), (fixtures[1], fixtures[0])] {
            let written = try CheckpointFormat.write(from.read(), module: to.module, configuration: to.configuration)
            for (name, expected) in to.tensors {
                #expect(try #require(written[name]).bitwiseEquals(expected), "\(name) of \(to.name)")
            }
        }
        // They differ in the zeros and in nothing else.
        #expect(
            fixtures[0].tensors.filter { !(fixtures[1].tensors[$0]?.bitwiseEquals($1) ?? false) }.map(\.key)
                == ["\(fixtures[0].module).qzeros"])
    }

    @Test(arguments: [2, 4, 8]) func zerosThatAPackerOverwroteAreRefused(_ bits: Int) throws {
        let fixture = try PackedFixture.named("gptq-v1-\(bits)-overwritten")
        let error = #expect(throws: CheckpointFormatError.self) { try fixture.read() }
        #expect(error?.place == "\(fixture.module).qzeros")
        #expect(error?.field == "values")
        // The first zero of 0 that has others above it in its word.
        let zeros = try fixture.value("zeros").integers()
        let first = try #require(zeros.indices.first { zeros[$0] == 0 && ($0 + 1) * bits % 32 != 0 })
        #expect(error?.actual.hasSuffix("[0, \(first * bits / 32)]") == true)
    }

    @Test(arguments: ["gptq-4-ordered", "gptq-v2-3", "gptq-8", "gptq-2", "awq-gemm-4", "compressed-4"])
    func everyTensorOfACheckpointIsAccountedFor(_ name: String) throws {
        let directory = "\(PackedFixture.directory)/checkpoints/\(name)"
        let file = try SafetensorsFile(path: directory + "/model.safetensors")
        let text = try String(contentsOfFile: directory + "/config.json", encoding: .utf8)
        let configuration = try #require(try QuantizationConfiguration(json: text.utf8))
        var rest = Set(file.names)
        var quantised = 0
        for layer in 0..<2 {
            for (part, outputs, inputs) in [
                ("self_attn.q_proj", 64, 64), ("self_attn.k_proj", 32, 64), ("self_attn.v_proj", 32, 64),
                ("self_attn.o_proj", 64, 64), ("mlp.gate_proj", 96, 64), ("mlp.up_proj", 96, 64),
                ("mlp.down_proj", 64, 96),
            ] {
                let module = "model.layers.\(layer).\(part)"
                let weight = try #require(
                    try CheckpointFormat.read(
                        module: module, outputs: outputs, inputs: inputs, configuration: configuration
                    ) { file[$0] })
                quantised += 1
                #expect((weight.groupIndex != nil) == (name == "gptq-4-ordered"))
                rest.subtract(CheckpointFormat.tensorNames(module: module, configuration: configuration))
                // What is written again is what was read.
                for (name, tensor) in try CheckpointFormat.write(
                    weight, module: module, configuration: configuration)
                {
                    #expect(try file.tensor(named: name).bitwiseEquals(tensor), "\(name)")
                }
            }
        }
        #expect(quantised == 14)
        #expect(rest.allSatisfy { $0.hasSuffix("norm.weight") || $0 == "lm_head.weight" || $0.contains("embed") })
        let head = try CheckpointFormat.read(module: "lm_head", configuration: configuration) { file[$0] }
        #expect(head == nil)
    }
}
