import AttentionCore
import Kernels
import TensorCore
import Testing
import TransformerBlocks

/// Passes over parts of sequences, with keys and values kept between them.
@Suite struct StoreTests {
    private func network(_ model: ModelDescription = Support.languageModel(kvHeads: 2)) throws -> Network {
        try Network(model, weights: SeededWeights(seed: 5, deviation: 0.3), registry: Support.registry)
    }

    private func row(_ tensor: Tensor, _ index: Int) throws -> [Float] {
        try tensor.sliced(0, index..<index + 1).floats()
    }

    @Test func partsGiveTheBitsOfTheWhole() throws {
        let network = try network()
        let sequences = [Support.sequence(23, seed: 1), Support.sequence(17, seed: 2)]
        let whole = try network.forward(RaggedBatch(sequences), store: GrowingStore())
        let plain = try network.forward(RaggedBatch(sequences))
        #expect(zip(whole.floats(), plain.floats()).allSatisfy { abs($0 - $1) < 1e-5 })
        let store = GrowingStore()
        var done = [0, 0]
        // Prompts in two parts of unequal length, then token by token.
        for counts in [[9, 4], [7, 1]] + [[Int]](repeating: [1, 1], count: 7) {
            let parts = zip(sequences, zip(done, counts)).map { Array($0[$1.0..<$1.0 + $1.1]) }
            let batch = try RaggedBatch(parts, starts: done)
            let logits = try network.forward(batch, store: store)
            for (sequence, span) in batch.spans.enumerated() {
                for index in 0..<span.count {
                    let place = (sequence == 0 ? 0 : 23) + done[sequence] + index
                    #expect(try row(logits, span.lowerBound + index) == row(whole, place), "token \(place)")
                }
            }
            done = zip(done, counts).map(+)
        }
        #expect(done == [23, 12])
    }

    @Test func onlyTheRowsWanted() throws {
        let network = try network()
        let batch = try RaggedBatch([Support.sequence(9, seed: 1), Support.sequence(5, seed: 2)])
        let all = try network.forward(batch)
        let some = try network.forward(batch, outputRows: [13, 0, 8])
        #expect(some.shape == [3, 37])
        for (place, index) in [13, 0, 8].enumerated() { #expect(try row(some, place) == row(all, index)) }
        #expect(try network.forward(batch, outputRows: Array(0..<14)).bitwiseEquals(all))
        #expect(try network.forward(batch, outputRows: []).shape == [0, 37])
        #expect(
            try Support.message { _ = try network.forward(batch, outputRows: [14]) }
                == "outputRows is 14; expected numbers of the 14 rows of the batch")
        var pooled = Support.languageModel()
        pooled.layers = Array(pooled.layers.dropLast()) + [.pooling(Pooling(.mean))]
        #expect(
            try Support.message { _ = try self.network(pooled).forward(batch, outputRows: [1]) }
                == "outputRows is a list; expected nil for a model that makes one row of each sequence")
    }

    @Test func layersAreKnown() throws {
        let window = AttentionSpecification(name: "local", options: AttentionOptions(mask: .window(left: 7, right: 0)))
        let model = Support.languageModel(kvHeads: 2, attention: window)
        let network = try network(model)
        #expect(network.attentionLayers.map(\.place) == ["layers[2][1]", "layers[4][1]"])
        for layer in network.attentionLayers {
            #expect(layer.heads == 4 && layer.kvHeads == 2 && layer.headDim == 4 && layer.window == 8)
            #expect(layer.options.mask == .and([.window(left: 7, right: 0), .causal]))
        }
        #expect(try self.network().attentionLayers.allSatisfy { $0.window == nil })
        // The tied table counts twice, as rows and as panels of whole widths.
        #expect(network.weightBytes >= 4 * (model.parameterCount + 37 * 16))
    }

    @Test func batchesAreChecked() throws {
        #expect(
            try Support.message { _ = try RaggedBatch([[1], [2]], starts: [0]) }
                == "starts is 1 numbers; expected one for each of the 2 sequences")
        #expect(
            try Support.message { _ = try RaggedBatch([[1]], starts: [-1]) }.hasPrefix("the start of sequence 0 is -1"))
        #expect(try RaggedBatch([[1, 2], [3]], starts: [5, 0]).positions == [5, 6, 0])
        let late = try RaggedBatch([[1, 2]], starts: [23])
        #expect(
            try Support.message { _ = try network().forward(late) }
                == "sequence 0 is 25 tokens long; expected at most the 24 tokens of the position-embedding")
    }
}
