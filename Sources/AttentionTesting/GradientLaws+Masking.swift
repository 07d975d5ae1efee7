import AttentionCore
import TensorCore

extension GradientLaws {
    /// What is hidden has no gradient and reaches none.
    static let masking: [Law] = [
        Law(name: "a row that sees no key has no gradient") { laws in
            let problem = try laws.prepared("empty", 40, 10, config: ["causal": true], usesLogSumExp: true)
            let result = try laws.backward(problem)
            let rows = try result.query.sliced(1, 0..<30).doubles()
            var other = problem
            other.gradient.output = try laws.replacing(problem.gradient.output, 0..<30, by: 7)
            other.gradient.logSumExp = try problem.gradient.logSumExp.map {
                try laws.replacing($0, axis: 2, 0..<30, by: 7)
            }
            return (rows.allSatisfy { $0 == 0 } ? [] : ["the gradient of an empty row is not zero"])
                + laws.same(result, try laws.backward(other), "another gradient of empty rows")
        },
        Law(name: "padding has no gradient and reaches none, even as NaN") { laws in
            let problem = try laws.prepared("padding", 40, 60, heads: 4, kvHeads: 2, usesLogSumExp: true, adapts: true)
            {
                $0.queryLengths = [23]
                $0.keyLengths = [37]
            }
            let clean = try laws.backward(problem)
            var spoilt = problem
            spoilt.inputs.query = try laws.replacing(problem.inputs.query, 23..<40, by: .nan)
            spoilt.inputs.key = try laws.replacing(problem.inputs.key, 37..<60, by: .nan)
            spoilt.inputs.value = try laws.replacing(problem.inputs.value, 37..<60, by: .nan)
            spoilt.gradient.output = try laws.replacing(problem.gradient.output, 23..<40, by: .nan)
            spoilt.gradient.logSumExp = try problem.gradient.logSumExp.map {
                try laws.replacing($0, axis: 2, 23..<40, by: .nan)
            }
            let padding = [
                try clean.query.sliced(1, 23..<40), try clean.key.sliced(1, 37..<60),
                try clean.value.sliced(1, 37..<60),
            ]
            return (padding.allSatisfy { $0.doubles().allSatisfy { $0 == 0 } } ? [] : ["padding has a gradient"])
                + (try laws.near(try laws.backward(spoilt), clean, "NaN in the padding"))
        },
        Law(name: "NaN in keys that nobody sees never reaches a gradient") { laws in
            // With more keys than queries a top-left triangle leaves keys that no query sees.
            let problem = try laws.prepared("unseen", 40, 70, config: ["causal": "top-left"], usesLogSumExp: true)
            var spoilt = problem
            spoilt.inputs.key = try laws.replacing(problem.inputs.key, 40..<70, by: .nan)
            spoilt.inputs.value = try laws.replacing(problem.inputs.value, 40..<70, by: .infinity)
            return try laws.near(laws.backward(spoilt), laws.backward(problem), "NaN in keys that nobody sees")
        },
        Law(name: "NaN in a key reaches no row that may not see it") { laws in
            let problem = try laws.prepared("one", 70, 70, config: ["causal": true])
            let clean = try laws.backward(problem)
            return try [69, 40].flatMap { key in
                var spoilt = problem
                spoilt.inputs.key = try laws.replacing(problem.inputs.key, key..<key + 1, by: .nan)
                spoilt.inputs.value = try laws.replacing(problem.inputs.value, key..<key + 1, by: .nan)
                let result = try laws.backward(spoilt)
                return try laws.near(
                    result.query.sliced(1, 0..<key), clean.query.sliced(1, 0..<key),
                    "NaN in key \(key): the gradient of the queries before it")
            }
        },
        Law(name: "NaN in a hidden cell of the bias never reaches a gradient") { laws in
            let problem = try laws.prepared("hidden-bias", 40, config: ["causal": true]) {
                $0.bias = .init(shape: [40, 40], seed: 8, amplitude: 1)
            }
            var numbers = problem.inputs.bias?.floats() ?? []
            for cell in numbers.indices where cell % 40 > cell / 40 { numbers[cell] = .nan }
            var spoilt = problem
            spoilt.inputs.bias = try Tensor(numbers, shape: [40, 40])
            return try laws.near(laws.backward(spoilt), laws.backward(problem), "NaN in hidden cells")
        },
        Law(name: "a key that a row may not see has no part in its gradient") { laws in
            let problem = try laws.prepared("reach", 70, 70, config: ["causal": true])
            let clean = try laws.backward(problem)
            var moved = problem
            moved.inputs.key = try laws.replacing(problem.inputs.key, 50..<51, by: 0.5)
            moved.inputs.value = try laws.replacing(problem.inputs.value, 50..<51, by: 0.5)
            let result = try laws.backward(moved)
            let before = try result.query.sliced(1, 0..<50).contiguous()
            return before.bitwiseEquals(try clean.query.sliced(1, 0..<50).contiguous())
                ? [] : ["key 50 changes the gradient of a query before it"]
        },
    ]
}
