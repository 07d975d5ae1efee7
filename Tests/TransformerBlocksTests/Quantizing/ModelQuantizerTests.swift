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

    /// Errors are shares of what a layer makes of its inputs, which scales and their inverse leave as it is.
    ///
    /// Value and up are left out: their outputs are divided by the scales of the step behind them.
    @Test(arguments: SmallCheckpoint.families)
    func scalesStayOutOfTheReport(family: String) throws {
        let model = try SmallCheckpoint(family, kvHeads: SmallCheckpoint.heads)
        // Eight bits, so that the steps before change little.
        let scheme = QuantizationScheme(bits: 8, groupSize: 32)
        let plain = try Self.quantize(model, .roundToNearest, scheme, to: "rtn").report
        let scaled = try Self.quantize(model, Way.awq.method, scheme, to: "awq").report
        for (one, other) in zip(scaled.layers, plain.layers)
        where !one.module.hasSuffix("v_proj") && !one.module.hasSuffix("up_proj") {
            let wholes = try [one, other].map { try #require($0.objective) / #require($0.outputError) }
            #expect(abs(wholes[0] / wholes[1] - 1) < 0.02, "\(one.module): \(wholes)")
        }
    }

    /// A tensor's numbers in Double by rows.
    private func rows(_ tensor: Tensor?) throws -> [[Double]] {
        let tensor = try #require(tensor)
        let (numbers, width) = (tensor.doubles(), tensor.shape[1])
        return (0..<tensor.shape[0]).map { Array(numbers[$0 * width..<($0 + 1) * width]) }
    }

    /// ‖(Q − W)X‖² / ‖WX‖² in Double.
    private func outputError(_ quantized: [[Double]], _ weight: [[Double]], _ inputs: [[Double]]) -> Double {
        var (error, norm) = (0.0, 0.0)
        for x in inputs {
            for (q, w) in zip(quantized, weight) {
                let truth = zip(w, x).reduce(0) { $0 + $1.0 * $1.1 }
                let other = zip(q, x).reduce(0) { $0 + $1.0 * $1.1 }
                error += (other - truth) * (other - truth)
                norm += truth * truth
            }
        }
        return error / norm
    }

    @Test func errorsOfScaledWeightsAreThoseOfTheScaledInputs() throws {
        let model = try SmallCheckpoint("llama", blocks: 1)
        let (report, _) = try Self.quantize(model, .awq(AWQ(), clips: true))
        let out = model.folder + "/out"
        let written = try model.dequantized(out, try SmallCheckpoint.stored(out))
        let original = try SafetensorsFile(path: model.directory + "/model.safetensors")
        let norm = "model.layers.0.input_layernorm.weight"
        let (old, new) = (try #require(original[norm]).doubles(), try #require(written[norm]).doubles())
        #expect(zip(old, new).contains { abs($0 / $1 - 1) > 0.1 })
        let table = try rows(original["model.embed_tokens.weight"])
        let inputs = SmallCheckpoint.text().joined().map { id -> [Double] in
            let row = table[id]
            let root = (row.reduce(0) { $0 + $1 * $1 } / Double(row.count) + 1e-6).squareRoot()
            return zip(row, new).map { $0 / root * $1 }
        }
        for (place, module) in model.modules(0).prefix(3).enumerated() {
            // What the gain has lost the columns have gained.
            let weight = try rows(original[module.name + ".weight"]).map { row in
                row.indices.map { row[$0] * old[$0] / new[$0] }
            }
            let expected = outputError(try rows(written[module.name + ".weight"]), weight, inputs)
            let reported = try #require(report.layers[place].outputError)
            #expect(abs(reported / expected - 1) < 1e-3, "\(module.name): \(reported), not \(expected)")
        }
    }

    @Test func clippingLeavesQueriesAndKeysWhole() throws {
        let model = try SmallCheckpoint("llama", blocks: 1)
        let scheme = QuantizationScheme(bits: 3, groupSize: 32)
        _ = try Self.quantize(model, .awq(AWQ(), clips: false), scheme, to: "whole")
        _ = try Self.quantize(model, .awq(AWQ(), clips: true), scheme, to: "cut")
        let both = try ["whole", "cut"].map { name in
            try model.dequantized("\(model.folder)/\(name)", try SmallCheckpoint.stored("\(model.folder)/\(name)"))
        }
        for (name, isCut) in [("q_proj", false), ("k_proj", false), ("v_proj", true), ("o_proj", true)] {
            let weights = try both.map { try #require($0["model.layers.0.self_attn.\(name).weight"]) }
            #expect(weights[0].bitwiseEquals(weights[1]) != isCut, "\(name)")
        }
    }

    @Test(arguments: ["llama", "gemma2"]) func theErrorOfAHeadIsThatOfItsLogits(family: String) throws {
        let model = try SmallCheckpoint(family, blocks: 1)
        let method = QuantizationMethod.gptq(GPTQ(), isSequential: true)
        let report = try Self.quantize(model, method, head: true, to: "all").report
        _ = try Self.quantize(model, method, to: "blocks")
        var context = try ComputeContext()
        context.activations = .float32
        let logits = try ["all", "blocks"].map { name in
            let whole = try CausalLanguageModel(
                directory: "\(model.folder)/\(name)", registry: Support.registry, context: context)
            // Beyond the cap all logits are alike: the head's own are those before it.
            return try whole.network.forward(try RaggedBatch(SmallCheckpoint.text())).doubles().map {
                family == "gemma2" ? 30 * atanh($0 / 30) : $0
            }
        }
        let error = zip(logits[0], logits[1]).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        let expected = error / logits[1].reduce(0) { $0 + $1 * $1 }
        let reported = try #require(report.layers.last?.outputError)
        #expect(abs(reported / expected - 1) < 0.01, "\(reported), not \(expected)")
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
