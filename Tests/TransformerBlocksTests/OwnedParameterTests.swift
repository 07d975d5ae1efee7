import AttentionCore
import AttentionOperators
import Kernels
import TensorCore
import Testing
import TransformerBlocks

/// Full attention of values that a learned gain for each key has stretched: an operator that owns a tensor.
private struct GainAttention: AttentionOperator {
    static let capabilities = AttentionCapabilities(
        dtypes: [.float32], headDims: 1...64, features: [.causal, .groupedQuery],
        exactness: .approximate(limit: "gain = 1"), workingMemory: "O(L^2)", arithmetic: "O(L^2)")

    let configuration: NoConfiguration

    init(_ configuration: NoConfiguration) { self.configuration = configuration }

    func parameters(for problem: AttentionProblem) -> [OperatorParameter] {
        [OperatorParameter("gain", shape: [problem.keyLength], initial: .ones, summary: "stretches values")]
    }

    func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        AttentionPlan(
            problem: problem, queryTile: 1, keyTile: 1, tasks: 1, workspaceBytes: 0, isa: "swift", threads: 1)
    }

    func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        let gain = inputs.parameters["gain"]?.floats() ?? []
        let width = plan.problem.kvHeads * plan.problem.valueDim
        var stretched = inputs
        stretched.parameters = [:]
        do throws(TensorError) {
            stretched.value = try Tensor(
                inputs.value.floats().enumerated().map { $1 * gain[$0 / width] }, shape: inputs.value.shape)
        } catch {
            throw .tensor(operand: "value", reason: error.description)
        }
        return try DenseReference.forward(stretched, options: plan.problem.options, precision: .float)
    }
}

/// Operators that own tensors, within models; and what observers see.
@Suite struct OwnedParameterTests {
    private static let registry: OperatorRegistry = {
        var registry = OperatorRegistry.builtIn
        try? registry.register(
            GainAttention.self,
            as: CatalogueEntry(
                id: "gain", type: "GainAttention", family: "test", title: "Gain", summary: "Values times a gain.",
                paper: "none"))
        return registry
    }()
    private static let model = Support.languageModel(attention: AttentionSpecification(name: "gain"))
    private static let names = ["layers.2.1.attention.gain", "layers.4.1.attention.gain"]

    private func weights(_ gain: [Float]?) throws -> TensorWeights {
        var tensors: [String: Tensor] = [:]
        for parameter in Self.model.parameters(in: Self.registry) {
            tensors[parameter.name] = SeededWeights(seed: 5, deviation: 0.3).tensor(for: parameter)
        }
        if let gain { for name in Self.names { tensors[name] = try Tensor(gain, shape: [gain.count]) } }
        return TensorWeights(tensors)
    }

    private func logits(_ network: Network, _ length: Int) throws -> Tensor {
        try network.forward(RaggedBatch([Support.sequence(length, seed: 4)]))
    }

    @Test func theyAreNamedAndCounted() {
        let owned = Self.model.parameters(in: Self.registry).filter { $0.role == .attention }
        #expect(owned.map(\.name) == Self.names)
        #expect(owned.map(\.shape) == [[24], [24]])
        let counts = [Self.model.parameterCount, Self.model.parameterCount + 48]
        let headings = [Self.model.description, Self.model.description(in: Self.registry)].map {
            $0.split(separator: "\n")[0].replacing(",", with: "")
        }
        for (count, heading) in zip(counts, headings) {
            #expect(heading.contains(" \(count) parameters"), "\(heading)")
        }
    }

    @Test func missingOnesBeginByTheOperatorsRule() throws {
        let network = try Network(Self.model, weights: weights(nil), registry: Self.registry)
        #expect(network.initialised == Self.names)
        let plain = try Network(
            Support.languageModel(attention: AttentionSpecification(name: "full")), weights: weights(nil),
            registry: Self.registry)
        #expect(plain.initialised.isEmpty)
        #expect(try logits(network, 9).maxAbsoluteDifference(logits(plain, 9)) < 1e-5)
        // A seed holds no tensor of an operator: its rule decides.
        let seeded = try Network(Self.model, weights: SeededWeights(seed: 1), registry: Self.registry)
        #expect(seeded.initialised == Self.names)
    }

    @Test func loadedOnesAreUsedAndCutForShorterSequences() throws {
        let ones = try Network(Self.model, weights: weights(nil), registry: Self.registry)
        let loaded = try Network(
            Self.model, weights: weights([Float](repeating: 1, count: 7) + [Float](repeating: 50, count: 17)),
            registry: Self.registry)
        #expect(loaded.initialised.isEmpty)
        #expect(try logits(loaded, 7).bitwiseEquals(logits(ones, 7)))
        #expect(try logits(loaded, 8).maxAbsoluteDifference(logits(ones, 8)) > 0.1)
    }

    @Test func wrongExtentsAreNamed() throws {
        let message = try Support.message {
            _ = try Network(Self.model, weights: weights([1, 2, 3]), registry: Self.registry)
        }
        #expect(message.contains("\(Self.names[0]) is [3] F32; expected [24]"), "\(message)")
    }

    @Test func observersSeeEveryCallAndChangeNothing() throws {
        let model = Support.languageModel(kvHeads: 2)
        let network = try Network(model, weights: SeededWeights(seed: 3), registry: Self.registry)
        let batch = try RaggedBatch([Support.sequence(5, seed: 1), Support.sequence(9, seed: 2)])
        final class Seen { var calls: [AttentionCall] = [] }
        let seen = Seen()
        let observed = try network.forward(batch) { seen.calls.append($0) }
        #expect(try observed.bitwiseEquals(network.forward(batch)))
        #expect(seen.calls.map(\.place) == ["layers[2][1]", "layers[2][1]", "layers[4][1]", "layers[4][1]"])
        #expect(seen.calls.map(\.sequence) == [0, 1, 0, 1])
        for (call, length) in zip(seen.calls, [5, 9, 5, 9]) {
            #expect(call.inputs.query.shape == [1, length, 4, 4])
            #expect(call.inputs.key.shape == [1, length, 2, 4])
            #expect(call.options.mask == .causal)
            #expect(call.configured.id == "flash")
        }
    }
}
