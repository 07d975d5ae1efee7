import Foundation
import Kernels
import TensorCore
import Testing
import TransformerBlocks

/// Checkpoints in few bits, as other tools pack them, run as transformers runs their dequantised weights.
@Suite struct QuantizedCheckpointTests {
    static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/quantization-formats/checkpoints").path
    static let names = ["awq-gemm-4", "compressed-4", "gptq-2", "gptq-4-ordered", "gptq-8", "gptq-v2-3"]

    static func context(_ activations: Activations) throws -> ComputeContext {
        var context = try ComputeContext(threads: 2)
        context.activations = activations
        return context
    }

    static func logits(_ directory: String, _ activations: Activations) throws -> (ours: [Float], theirs: [Float]) {
        let model = try CausalLanguageModel(
            directory: directory, registry: Support.registry, context: context(activations))
        let expected = try SafetensorsFile(path: directory + "/expected.safetensors")
        let ids = try expected.tensor(named: "ids").integers()
        let theirs = try expected.tensor(named: "logits").converted(to: .float32).floats()
        let ours = try model.network.forward(RaggedBatch([ids])).floats()
        return (ours, theirs)
    }

    @Test func everyFixtureIsHere() throws {
        #expect(try FileManager.default.contentsOfDirectory(atPath: Self.directory).sorted() == Self.names)
    }

    @Test(arguments: names) func logitsAreThoseOfTransformers(name: String) throws {
        let directory = Self.directory + "/" + name
        let (ours, theirs) = try Self.logits(directory, .float32)
        try #require(ours.count == theirs.count)
        let largest = theirs.map(abs).max() ?? 0
        let difference = zip(ours, theirs).map { abs($0 - $1) }.max() ?? .infinity
        #expect(difference <= 1e-4 * largest, "\(difference) of \(largest)")
        // Rows in bytes: 1/254 of the largest of 32 inputs, in each of fourteen products.
        let bytes = try Self.logits(directory, .int8).ours
        let distance = zip(bytes, theirs).map { abs($0 - $1) }.max() ?? .infinity
        #expect(distance <= 0.05 * largest, "\(distance) of \(largest)")
        #expect(bytes != ours)
    }

    @Test(arguments: names) func weightsTakeTheirBits(name: String) throws {
        let model = try CausalLanguageModel(
            directory: Self.directory + "/" + name, registry: Support.registry, context: Self.context(.int8))
        let whole = try CausalLanguageModel(
            configurationOf: Self.directory + "/" + name, randomWeights: 1, registry: Support.registry,
            context: Self.context(.int8))
        #expect(model.network.weightBytes < whole.network.weightBytes * 2 / 3)
    }
}
