import AttentionCore
import AttentionTesting
import TensorCore
import Testing

/// The reference's derivatives against central differences of the reference itself, in Double.
@Suite struct DenseGradientTests {
    /// `Σ w · output + Σ u · logSumExp` over rows that see a key.
    private static func loss(
        _ inputs: AttentionInputs, _ options: AttentionOptions, _ gradient: OutputGradient
    ) throws -> Double {
        let result = try DenseReference.forward(inputs, options: options, precision: .double)
        var sum = zip(result.output.doubles(), gradient.output.doubles()).reduce(0) { $0 + $1.0 * $1.1 }
        if let weights = gradient.logSumExp, let values = result.logSumExp {
            for (value, weight) in zip(values.doubles(), weights.doubles()) where value > -.infinity {
                sum += value * weight
            }
        }
        return sum
    }

    private static func differences(
        _ tensor: Tensor, _ loss: (Tensor) throws -> Double
    ) throws -> [Double] {
        let step = 1e-5
        let numbers = tensor.doubles()
        return try numbers.indices.map { index in
            var moved = numbers
            moved[index] = numbers[index] + step
            let above = try loss(Tensor(moved, shape: tensor.shape))
            moved[index] = numbers[index] - step
            return (above - (try loss(Tensor(moved, shape: tensor.shape)))) / (2 * step)
        }
    }

    private static func expect(_ analytic: Tensor?, _ numeric: [Double], _ name: String) throws {
        let analytic = try #require(analytic).doubles()
        let size = numeric.reduce(1) { max($0, abs($1)) }
        for (left, right) in zip(analytic, numeric) { #expect(abs(left - right) < 2e-8 * size, "\(name)") }
    }

    static let options: [(String, AttentionOptions)] = {
        let cube = ScoreFunction("cube", derivative: { score, place in 0.1 + 0.03 * score * score }) { score, place in
            0.1 * score + 0.01 * score * score * score + 0.1 * Double(place.key % 3)
        }
        return [
            ("plain", .init()), ("causal", .init(mask: .causal)), ("softcap", .init(mask: .causal, softcap: 1.5)),
            ("dropout", .init(dropout: 0.4, seed: 3)), ("function", .init(softcap: 2, scoreFunction: cube)),
            ("empty", .init(mask: .window(left: 0, right: 0, corner: .bottomRight))),
        ]
    }()

    @Test(arguments: options.map(\.0))
    func matchesDifferences(name: String) throws {
        let options = try #require(Self.options.first { $0.0 == name }).1
        var attentionCase = AttentionCase("gradient", queryLength: 5, keyLength: 4, headDim: 3, valueDim: 2)
        attentionCase.heads = 4
        attentionCase.kvHeads = 2
        attentionCase.batch = 2
        attentionCase.dtype = .float64
        attentionCase.keyLengths = [4, 3]
        attentionCase.queryLengths = [5, 4]
        attentionCase.alibiSlopes = [0.1, 0.2, 0.3, 0.4]
        var inputs = attentionCase.inputs()
        inputs.bias = Tensor.random(uniform: [2, 1, 5, 1], seed: 9).converted(to: .float64)
        inputs.sinks = [0.5, -1, 0, 2]
        let gradient = OutputGradient(
            output: Tensor.random(uniform: [2, 5, 4, 2], seed: 1).converted(to: .float64),
            logSumExp: Tensor.random(uniform: [2, 4, 5], seed: 2).converted(to: .float64))
        let result = try DenseReference.backward(inputs, gradient: gradient, options: options, precision: .double)
        func loss(_ change: @escaping (inout AttentionInputs, Tensor) -> Void) -> (Tensor) throws -> Double {
            { tensor in
                var moved = inputs
                change(&moved, tensor)
                return try Self.loss(moved, options, gradient)
            }
        }
        try Self.expect(result.query, Self.differences(inputs.query, loss { $0.query = $1 }), "query")
        try Self.expect(result.key, Self.differences(inputs.key, loss { $0.key = $1 }), "key")
        try Self.expect(result.value, Self.differences(inputs.value, loss { $0.value = $1 }), "value")
        try Self.expect(
            result.bias, Self.differences(try #require(inputs.bias), loss { $0.bias = $1 }), "bias")
        // Sinks are Float, so their step is larger and the agreement coarser.
        let sinks = try #require(result.sinks).doubles()
        for head in 0..<4 {
            var (above, below) = (inputs, inputs)
            above.sinks?[head] += 0x1p-8
            below.sinks?[head] -= 0x1p-8
            let slope =
                (try Self.loss(above, options, gradient) - Self.loss(below, options, gradient)) / 0x1p-7
            #expect(abs(slope - sinks[head]) < 1e-4)
        }
        let float = try DenseReference.backward(inputs, gradient: gradient, options: options, precision: .float)
        #expect(try float.key.maxAbsoluteDifference(result.key) < 1e-4)
    }

    @Test func hiddenNaNNeverReachesADerivative() throws {
        var attentionCase = AttentionCase("hidden", queryLength: 4, keyLength: 6, headDim: 3)
        attentionCase.keyLengths = [4]
        var inputs = attentionCase.inputs()
        var numbers = inputs.key.floats()
        for index in 12..<18 { numbers[index] = .nan }
        inputs.key = try Tensor(numbers, shape: inputs.key.shape)
        inputs.value = inputs.key
        let gradient = OutputGradient(output: Tensor.random(uniform: [1, 4, 1, 3], seed: 1))
        let result = try DenseReference.backward(
            inputs, gradient: gradient, options: .init(mask: .causal), precision: .float)
        for tensor in [result.query, result.key, result.value] {
            #expect(tensor.floats().allSatisfy { $0.isFinite })
        }
        #expect(result.key.floats().suffix(6).allSatisfy { $0 == 0 })
    }
}
