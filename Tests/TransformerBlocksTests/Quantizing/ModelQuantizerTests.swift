import AttentionCore
import Foundation
import Kernels
import Quantization
import TensorCore
import Testing
import TransformerBlocks

/// Whole models in whole numbers: what is written is what was computed with, in the order that was promised.
@Suite struct ModelQuantizerTests {
    enum Way: String, CaseIterable {
        case rtn, gptq, gptqAtOnce, gptqOrdered, awq

        var method: QuantizationMethod {
            switch self {
            case .rtn: .roundToNearest
            case .gptq: .gptq(GPTQ(), isSequential: true)
            case .gptqAtOnce: .gptq(GPTQ(), isSequential: false)
            case .gptqOrdered: .gptq(GPTQ(isActOrdered: true), isSequential: true)
            case .awq: .awq(AWQ(), clips: true)
            }
        }
    }

    static let scheme = QuantizationScheme(bits: 4, groupSize: 32)

    /// Quantises a model, with what came out of every block.
    static func quantize(
        _ model: SmallCheckpoint, _ method: QuantizationMethod, _ scheme: QuantizationScheme = scheme,
        format: QuantizationConfiguration.Method = .gptq(isVersion2: true), head: Bool = false,
        text: [[Int]] = SmallCheckpoint.text(), to name: String = "out"
    ) throws -> (report: QuantizationReport, outputs: [[Tensor]]) {
        let quantizer = try ModelQuantizer(
            directory: model.directory, method: method, scheme: scheme, format: format, quantizesHead: head,
            registry: Support.registry)
        var outputs: [[Tensor]] = []
        let report = try quantizer.quantize(
            calibration: text, to: "\(model.folder)/\(name)", progress: { _ in }
        ) { block, rows in
            #expect(block == outputs.count)
            outputs.append(rows)
        }
        return (report, outputs)
    }

    @Test(arguments: SmallCheckpoint.families, Way.allCases)
    func writtenWeightsMakeTheReportedRows(family: String, way: Way) throws {
        let model = try SmallCheckpoint(family, kvHeads: family == "qwen3" ? 4 : 2)
        let text = SmallCheckpoint.text()
        let (report, outputs) = try Self.quantize(model, way.method)
        #expect(report.layers.map(\.module) == model.allModules)
        #expect(report.blocks.map(\.index) == [0, 1])
        let out = model.folder + "/out"
        let tensors = try model.dequantized(out, try SmallCheckpoint.stored(out))
        let batch = try RaggedBatch(text)
        for block in 0..<model.blocks {
            let rows = try model.network(blocks: block + 1, tensors).forward(batch)
            try #require(outputs[block].count == 1)
            #expect(rows.bitwiseEquals(outputs[block][0]))
        }
        // The errors that are reported are those of the written weights, from the same rows.
        let original = try SafetensorsFile(path: model.directory + "/model.safetensors")
        var mixed = tensors
        for name in original.names where name.hasPrefix("model.layers.1.") { mixed[name] = original[name] }
        let truth = try model.network(blocks: 2, mixed).forward(batch).doubles()
        let error = zip(truth, outputs[1][0].doubles()).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        let expected = error / truth.reduce(0) { $0 + $1 * $1 }
        #expect(abs(report.blocks[1].outputError / expected - 1) < 1e-6)
        #expect(expected > 1e-6 && expected < 0.05)
    }

    @Test(arguments: SmallCheckpoint.families)
    func roundingIsThatOfEveryTensor(family: String) throws {
        let model = try SmallCheckpoint(family)
        let (report, _) = try Self.quantize(model, .roundToNearest, text: [])
        #expect(report.blocks.isEmpty && report.tokens == 0)
        #expect(report.layers.allSatisfy { $0.outputError == nil && $0.weightError > 0 })
        let out = model.folder + "/out"
        let configuration = try SmallCheckpoint.stored(out)
        let file = try SafetensorsFile(path: out + "/model.safetensors")
        let original = try SafetensorsFile(path: model.directory + "/model.safetensors")
        for module in model.allModules {
            let weight = try #require(original[module + ".weight"])
            let read = try CheckpointFormat.read(module: module, configuration: configuration) { file[$0] }
            #expect(read == (try RoundToNearest.quantize(weight, Self.scheme)))
            #expect(file[module + ".weight"] == nil)
        }
        // All else is there, bit by bit.
        for name in original.names where !model.allModules.contains(where: { $0 + ".weight" == name }) {
            #expect(try #require(file[name]).bitwiseEquals(try #require(original[name])))
        }
    }

    /// What goes into the projection back of the first block, from tensors by the files' names.
    private func outputInputs(_ model: SmallCheckpoint, _ tensors: [String: Tensor]) throws -> Tensor {
        var rows: [Float] = []
        let box = Box()
        _ = try model.network(blocks: 1, tensors).forward(try RaggedBatch(SmallCheckpoint.text())) {
            box.calls.append($0)
        }
        for call in box.calls {
            let output = try call.configured.forward(
                call.inputs, options: call.options, context: try ComputeContext.shared())
            rows += output.output.floats()
        }
        let width = SmallCheckpoint.heads * SmallCheckpoint.headDim
        return try Tensor(rows, shape: [rows.count / width, width])
    }

    private final class Box {
        var calls: [AttentionCall] = []
    }

    @Test(arguments: [true, false])
    func stepsSeeTheStepsBefore(isSequential: Bool) throws {
        let model = try SmallCheckpoint("llama", blocks: 1)
        let scheme = QuantizationScheme(bits: 2, groupSize: 32)
        _ = try Self.quantize(model, .gptq(GPTQ(), isSequential: isSequential), scheme)
        let out = model.folder + "/out"
        let configuration = try SmallCheckpoint.stored(out)
        #expect(configuration.isTrueSequential == isSequential)
        let file = try SafetensorsFile(path: out + "/model.safetensors")
        let module = "model.layers.0.self_attn.o_proj"
        let written = try CheckpointFormat.read(module: module, configuration: configuration) { file[$0] }
        let original = try SafetensorsFile(path: model.directory + "/model.safetensors")
        let floats = Dictionary(uniqueKeysWithValues: original.names.map { ($0, original[$0]) }).compactMapValues { $0 }
        let quantized = try model.dequantized(out, configuration)
        func expected(_ tensors: [String: Tensor]) throws -> QuantizedWeight {
            var hessian = InputHessian(inputs: SmallCheckpoint.width)
            let context = try ComputeContext.shared()
            try hessian.add(try outputInputs(model, tensors), context: context)
            return try GPTQ().quantize(
                try #require(original[module + ".weight"]), scheme, hessian: hessian, context: context
            ).weight
        }
        let (afterFloat, afterQuantized) = (try expected(floats), try expected(quantized))
        #expect(afterFloat != afterQuantized)
        #expect(written == (isSequential ? afterQuantized : afterFloat))
    }

    @Test(arguments: [Way.gptq, .awq])
    func calibrationPays(way: Way) throws {
        for family in SmallCheckpoint.families {
            let model = try SmallCheckpoint(family)
            let scheme = QuantizationScheme(bits: 3, groupSize: 32)
            let plain = try Self.quantize(model, .roundToNearest, scheme, to: "rtn").report
            let better = try Self.quantize(model, way.method, scheme, to: "better").report
            #expect(plain.blocks.count == 2 && better.blocks.count == 2)
            for (one, other) in zip(better.blocks, plain.blocks) {
                #expect(one.outputError < other.outputError, "\(family)")
            }
        }
    }

    @Test func unwatchedWeightsAreSpoiltByNothing() throws {
        // A second run with the same text gives the same files; another text, others.
        let model = try SmallCheckpoint("qwen2")
        for (name, seed) in [("a", 5), ("b", 5), ("c", 6)] {
            _ = try Self.quantize(
                model, .gptq(GPTQ(), isSequential: true), text: SmallCheckpoint.text(seed: UInt64(seed)), to: name)
        }
        func bytes(_ name: String) throws -> Data {
            try Data(contentsOf: URL(fileURLWithPath: "\(model.folder)/\(name)/model.safetensors"))
        }
        #expect(try bytes("a") == bytes("b"))
        #expect(try bytes("a") != bytes("c"))
    }
}
