import AttentionCore
import AttentionOperators
import AttentionTesting
import Kernels
import TensorCore
import Testing

/// Problems on which mixing operators are something else that is known.
@Suite struct MixingLimitTests {
    private static func problem(_ name: String, heads: Int = 4, kvHeads: Int = 4, causal: Bool) -> AttentionCase {
        var result = AttentionCase(name, queryLength: 70, keyLength: 130, headDim: 16, valueDim: 12)
        result.heads = heads
        result.kvHeads = kvHeads
        result.batch = 2
        if causal { result.config = ["causal": true] }
        return result
    }

    /// One position has nothing to mix with.
    @Test func transformOfOnePositionIsItsValue() throws {
        let problem = AttentionCase("alone", queryLength: 1, headDim: 8, valueDim: 13)
        let configured = try OperatorRegistry.builtIn.make("fourier-mix", configuration: ["hidden": false])
        #expect(try configured.forward(problem.inputs()).output.bitwiseEquals(problem.inputs().value))
    }

    /// One retrieval is nothing to choose from.
    @Test(arguments: ComputeContext.availableISAs, [false, true])
    func compositionalOfOneKeyHeadIsAttention(isa: String, causal: Bool) throws {
        let context = try ComputeContext(isa: isa)
        var problem = Self.problem("one", heads: 4, kvHeads: 1, causal: causal)
        problem.sinks = [0.5, -1, 2, 0]
        let options = try problem.options()
        let configured = try OperatorRegistry.builtIn["compositional"]
        let inputs = try configured.initialising(problem.inputs(), options: options).inputs
        let ours = try configured.forward(inputs, options: options, context: context).output
        let plain = try DenseReference.forward(problem.inputs(), options: options, precision: .double).output
        #expect(try ours.maxAbsoluteDifference(plain) < 2e-6)
        let weights = GradientCase(problem).gradient()
        let gradients = try configured.backward(inputs, gradient: weights, options: options, context: context)
        let expected = try DenseReference.backward(
            problem.inputs(), gradient: weights, options: options, precision: .double)
        for (own, other) in zip(gradients.named, expected.named) {
            #expect(try own.tensor.maxAbsoluteDifference(other.tensor) < 2e-5, "\(own.name)")
        }
        #expect(gradients.parameters.values.allSatisfy { $0.doubles().allSatisfy { abs($0) < 1e-5 } })
    }

    /// Queries that ask for nothing get the mean of all retrievals.
    @Test func compositionalWithoutPreferenceIsTheMeanOverValueHeads() throws {
        let problem = Self.problem("mean", causal: true)
        let options = try problem.options()
        let configured = try OperatorRegistry.builtIn["compositional"]
        var inputs = try configured.initialising(problem.inputs(), options: options).inputs
        inputs.parameters["retrieval-query"] = Tensor(zeros: [16, 32])
        let ours = try configured.forward(inputs, options: options).output.doubles()
        var sums = [Double](repeating: 0, count: ours.count)
        for head in 0..<4 {
            var one = problem.inputs()
            let value = try one.value.sliced(2, head..<head + 1)
            one.value = try value.broadcast(to: [2, 130, 4, 12]).contiguous()
            let output = try DenseReference.forward(one, options: options, precision: .double).output.doubles()
            for index in sums.indices { sums[index] += output[index] / 4 }
        }
        #expect(zip(ours, sums).allSatisfy { abs($0 - $1) < 2e-6 })
    }

    /// Equal keys, no embeddings and queries that add up to 1: the mean of what is seen, attention of scale 0.
    @Test(arguments: ComputeContext.availableISAs, [false, true])
    func lambdaOfEqualKeysIsTheMean(isa: String, causal: Bool) throws {
        let problem = Self.problem("equal", heads: 4, kvHeads: 2, causal: causal)
        var options = try problem.options()
        let configured = try OperatorRegistry.builtIn["lambda"]
        var inputs = problem.inputs()
        inputs.key = try Tensor([Float](repeating: 0.7, count: inputs.key.count), shape: inputs.key.shape)
        inputs.query = try Tensor([Float](repeating: 1 / 16, count: inputs.query.count), shape: inputs.query.shape)
        var own = inputs
        own.parameters["position-embeddings"] = Tensor(zeros: [23, 16])
        let ours = try configured.forward(own, options: options, context: ComputeContext(isa: isa)).output
        options.scale = 0
        let plain = try DenseReference.forward(inputs, options: options, precision: .double).output
        #expect(try ours.maxAbsoluteDifference(plain) < 2e-6)
    }

    /// Embeddings for every place are a radius that reaches every place.
    @Test func globalEmbeddingsAreAWideRadius() throws {
        let problem = Self.problem("wide", heads: 4, kvHeads: 2, causal: true)
        let options = try problem.options()
        let global = try OperatorRegistry.builtIn.make("lambda", configuration: ["maxLength": 130])
        let wide = try OperatorRegistry.builtIn.make("lambda", configuration: ["radius": 129])
        let inputs = try global.initialising(problem.inputs(), options: options).inputs
        let first = try global.forward(inputs, options: options).output
        #expect(first.bitwiseEquals(try wide.forward(inputs, options: options).output))
        var long = problem
        long.keyLength = 131
        let reasons = global.unsupportedReasons(for: try AttentionProblem(long.inputs(), options: options))
        #expect(
            reasons == [
                .init(
                    .configuration, "maxLength 130 is less than the 131 positions",
                    remedy: "set maxLength to 131, or radius")
            ])
        #expect(throws: AttentionError.self) {
            try OperatorRegistry.builtIn.make("lambda", configuration: ["maxLength": 9, "radius": 2])
        }
    }

    /// A row that sees the first keys alone computes what it computes in a sequence of those keys.
    @Test func lambdasLookBackOnly() throws {
        var problem = AttentionCase("prefix", queryLength: 300, headDim: 8)
        problem.heads = 2
        problem.kvHeads = 1
        let configured = try OperatorRegistry.builtIn["lambda"]
        let options = AttentionOptions(mask: .causal)
        let inputs = try configured.initialising(problem.inputs(), options: options).inputs
        let whole = try configured.forward(inputs, options: options).output
        for length in [1, 127, 128, 129, 200] {
            var part = inputs
            part.query = try inputs.query.sliced(1, 0..<length)
            part.key = try inputs.key.sliced(1, 0..<length)
            part.value = try inputs.value.sliced(1, 0..<length)
            let own = try configured.forward(part, options: options).output
            #expect(own.bitwiseEquals(try whole.sliced(1, 0..<length).contiguous()), "\(length)")
        }
    }
}
