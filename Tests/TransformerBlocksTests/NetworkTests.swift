import AttentionCore
import Kernels
import TensorCore
import Testing
import TransformerBlocks

/// Small models that run.
@Suite struct NetworkTests {
    private func logits(
        _ model: ModelDescription, _ sequences: [[Int]], weights: any WeightSource = SeededWeights(seed: 3),
        threads: Int? = nil
    ) throws -> Tensor {
        let network = try Network(
            model, weights: weights, registry: Support.registry, context: try ComputeContext(threads: threads))
        return try network.forward(RaggedBatch(sequences))
    }

    @Test(
        arguments: [("flash", nil), ("full", 2), ("grouped-query", 1), ("memory-efficient", 4), ("auto", 2)]
            as [(String, Int?)])
    func matchesPlainArithmetic(name: String, kvHeads: Int?) throws {
        // A large deviation makes every part count.
        let weights = SeededWeights(seed: 11, deviation: 0.3)
        let model = Support.languageModel(kvHeads: kvHeads, attention: AttentionSpecification(name: name))
        let ids = Support.sequence(19, seed: 5)
        let expected = PlainModel(model, weights: weights).logits(ids, heads: 4, kvHeads: kvHeads ?? 4)
        let actual = try logits(model, [ids], weights: weights).doubles()
        #expect(actual.count == expected.count)
        let scale = expected.map(abs).max() ?? 0
        let worst = zip(actual, expected).map { abs($0 - $1) }.max() ?? .infinity
        #expect(scale > 1 && worst <= 1e-5 * scale, "error \(worst) of \(scale)")
    }

    /// Operators that run the model below, causal with grouped heads; their own tensors begin by their rules.
    static let able = Support.registry.entries.map(\.id).filter { id in
        let mask: AttentionMask = id == "local" ? .window(left: 5, right: 5) : .causal
        let problem = AttentionProblem(
            queryLength: 24, heads: 4, kvHeads: 2, headDim: 4, options: AttentionOptions(mask: mask))
        guard let configured = try? Support.registry[id] else { return false }
        return configured.unsupportedReasons(for: problem).isEmpty
    }

    @Test(arguments: able)
    func companyAndThreadsDoNotChangeABit(name: String) throws {
        var specification = AttentionSpecification(name: name)
        if name == "local" { specification.options.mask = .window(left: 5, right: 5) }
        let model = Support.languageModel(kvHeads: 2, attention: specification)
        let sequences = [1, 24, 7, 16, 2].enumerated().map { Support.sequence($1, seed: UInt64($0)) }
        let together = try logits(model, sequences, threads: 2)
        let one = try logits(model, sequences, threads: 1)
        #expect(together.bitwiseEquals(one))
        var start = 0
        for sequence in sequences {
            let alone = try logits(model, [sequence])
            let part = try together.sliced(0, start..<start + sequence.count)
            #expect(alone.shape == [sequence.count, 37])
            #expect(part.bitwiseEquals(alone))
            start += sequence.count
        }
    }

    @Test func operatorsGivenByValueNeedNoRegistry() throws {
        let configured = try Support.registry["full"]
        let model = Transformer(width: 8) {
            TokenEmbedding(vocabulary: 9)
            SelfAttention(heads: 2, using: configured)
        }
        let network = try model.network(weights: SeededWeights(seed: 1), registry: OperatorRegistry())
        #expect(try network.forward(RaggedBatch([[1, 2, 3]])).shape == [3, 8])
        #expect(
            try Support.message {
                _ = try Transformer(ModelDescription(json: model.model.json)).network(
                    weights: SeededWeights(seed: 1), registry: OperatorRegistry())
            }.contains("attention is 'full'"))
    }

    @Test func poolingAndNormalisation() throws {
        let model = Transformer(width: 4) {
            TokenEmbedding(vocabulary: 3)
            Pooling([.mean, .cls, .max])
        }.model
        let table = try Tensor([1, 2, 3, 4, 5, 0, -1, -2, 3, 4, 1, 0] as [Float], shape: [3, 4])
        let weights = TensorWeights(["layers.0.weight": table])
        let rows = try logits(model, [[0, 1], [2]], weights: weights)
        #expect(rows.shape == [2, 12])
        #expect(
            rows.floats() == [3, 1, 1, 1, 1, 2, 3, 4, 5, 2, 3, 4] + [3, 4, 1, 0, 3, 4, 1, 0, 3, 4, 1, 0])
        var normal = model
        normal.layers = [model.layers[0], .normalize(Normalize())]
        let zero = TensorWeights([
            "layers.0.weight": try Tensor([3, 4, 0, 0] + [Float](repeating: 0, count: 8), shape: [3, 4])
        ])
        #expect(try logits(normal, [[0, 1]], weights: zero).floats() == [0.6, 0.8, 0, 0, 0, 0, 0, 0])
    }

    @Test func inputsAreChecked() throws {
        let model = Support.languageModel()
        #expect(
            try Support.message { _ = try logits(model, [[1], [1, 37]]) }
                == "token at layers[0] is 37; expected a number from 0 to 36")
        #expect(
            try Support.message { _ = try logits(model, [[1], Support.sequence(25, seed: 1)]) }
                == "sequence 1 is 25 tokens long; expected at most the 24 tokens of the position-embedding")
        #expect(
            try Support.message { _ = try RaggedBatch([[1], []]) } == "sequence 1 is empty; expected at least one token"
        )
        #expect(
            try Support.message { _ = try RaggedBatch([[1]], typeIds: [[0, 1]]) }
                == "typeIds is of lengths [2]; expected as many as tokens, in each sequence")
        #expect(try logits(model, []).shape == [0, 37])
    }
}
