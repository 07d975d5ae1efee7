import Foundation
import TensorCore
import Testing
import TransformerBlocks

/// Weights from files, memory and seeds.
@Suite struct WeightTests {
    private static let model = Transformer(width: 4) {
        TokenEmbedding(vocabulary: 3)
        Residual { FeedForward(hidden: 2) }
        LayerNorm()
    }.model

    private func seeded() -> [String: Tensor] {
        var tensors: [String: Tensor] = [:]
        for parameter in Self.model.parameters {
            tensors[parameter.name] = SeededWeights(seed: 1, deviation: 0.5).tensor(for: parameter)
        }
        return tensors
    }

    private func rows(_ weights: any WeightSource) throws -> Tensor {
        try Transformer(Self.model).network(weights: weights, registry: Support.registry)
            .forward(RaggedBatch([[0, 1], [2]]))
    }

    @Test func parametersHaveNamesByPlace() {
        #expect(
            Self.model.parameters.map { "\($0.name) \($0.shape)" } == [
                "layers.0.weight [3, 4]", "layers.1.0.up.weight [2, 4]", "layers.1.0.up.bias [2]",
                "layers.1.0.down.weight [4, 2]", "layers.1.0.down.bias [4]", "layers.2.weight [4]",
                "layers.2.bias [4]",
            ])
    }

    @Test func everyMismatchAtOnce() throws {
        var tensors = seeded()
        tensors["layers.0.weight"] = Tensor(zeros: [4, 3])
        tensors["layers.1.0.up.bias"] = Tensor(zeros: [2], dtype: .int32)
        tensors["layers.2.weigth"] = tensors.removeValue(forKey: "layers.2.weight")
        let expected = """
            memory: the weights do not fit the model:
              - layers.0.weight is [4, 3] F32; expected [3, 4] F32, F16, BF16
              - layers.1.0.up.bias is [2] I32; expected [2] F32, F16, BF16
              - layers.2.weight is missing; expected [4] F32, F16, BF16; near to it: layers.2.weigth
            """
        let message = try Support.message { _ = try rows(TensorWeights(tensors)) }
        #expect(message == expected)
    }

    @Test func filesAndMemoryGiveTheSameBits() throws {
        let expected = try rows(TensorWeights(seeded()))
        #expect(expected.shape == [3, 4])
        try Support.withDirectory([:]) { folder throws in
            let path = folder + "/w.safetensors"
            let renamed = seeded().map { ("model." + $0.key, $0.value) }
            try SafetensorsFile.write(renamed, to: path)
            let names = Dictionary(uniqueKeysWithValues: seeded().keys.map { ($0, "model." + $0) })
            #expect(try rows(SafetensorsWeights(path: path, renaming: names)).bitwiseEquals(expected))
            #expect(try Support.message { _ = try rows(SafetensorsWeights(path: path)) }.contains("is missing"))
        }
        #expect(
            try Support.message { _ = try SafetensorsWeights(path: "/nowhere/w.safetensors") }
                == "/nowhere/w.safetensors: /nowhere/w.safetensors: No such file or directory")
    }

    @Test(arguments: [DType.float16, .bfloat16])
    func narrowWeightsAreThoseNumbers(dtype: DType) throws {
        let narrow = seeded().mapValues { $0.converted(to: dtype) }
        let wide = narrow.mapValues { $0.converted(to: .float32) }
        #expect(try rows(TensorWeights(narrow)).bitwiseEquals(rows(TensorWeights(wide))))
        #expect(!(try rows(TensorWeights(seeded())).bitwiseEquals(rows(TensorWeights(wide)))))
    }

    @Test func seedsDecideEverything() throws {
        let one = try rows(SeededWeights(seed: 1))
        #expect(try rows(SeededWeights(seed: 1)).bitwiseEquals(one))
        #expect(!(try rows(SeededWeights(seed: 2)).bitwiseEquals(one)))
        let table = try #require(SeededWeights(seed: 4).tensor(for: Self.model.parameters[0]))
        let large = ParameterDescription(name: "x", shape: [100, 100], role: .matrix)
        let numbers = try #require(SeededWeights(seed: 4).tensor(for: large)).doubles()
        let deviation = (numbers.reduce(0) { $0 + $1 * $1 } / 10_000).squareRoot()
        #expect(abs(deviation - 0.02) < 0.001)
        #expect(table.floats() != Array(numbers.prefix(12)).map(Float.init))
    }
}
