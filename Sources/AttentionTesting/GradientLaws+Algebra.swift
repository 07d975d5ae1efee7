import AttentionCore
import TensorCore

extension GradientLaws {
    /// What gradients of softmax attention add up to.
    static let algebra: [Law] = [
        Law(name: "a constant added to a row of scores changes the log-sum-exp alone", needs: [.softmax]) { laws in
            // The bias is one number for each row, so its derivative is that of the row's log-sum-exp.
            let problem = try laws.prepared("shift", 40, 60, heads: 4, kvHeads: 2, batch: 2, usesLogSumExp: true) {
                $0.bias = .init(shape: [2, 4, 40, 1], seed: 5, amplitude: 1)
            }
            let result = try laws.backward(problem)
            guard let bias = result.bias, let weights = problem.gradient.logSumExp else {
                return ["the gradient of the bias is missing"]
            }
            return try laws.near(bias.reshaped([2, 4, 40]), weights, "the gradient of a row's constant")
        },
        Law(name: "sinks and rows share the derivative of the log-sum-exp", needs: [.softmax]) { laws in
            // Sink and constant together shift every logarithm by as much, and no output.
            let problem = try laws.prepared("sinks", 40, 60, heads: 4, kvHeads: 2, batch: 2, usesLogSumExp: true) {
                $0.bias = .init(shape: [1, 4, 1, 1], seed: 5, amplitude: 1)
                $0.sinks = [1, 0, -2, 3]
            }
            let result = try laws.backward(problem)
            guard let bias = result.bias?.doubles(), let sinks = result.sinks?.doubles(),
                let weights = problem.gradient.logSumExp?.doubles()
            else { return ["the gradient of bias or sinks is missing"] }
            let totals = zip(bias, sinks).map { $0 + $1 }
            let expected = (0..<4).map { head in
                (0..<2).reduce(0.0) { total, batch in
                    let start = (batch * 4 + head) * 40
                    return total + weights[start..<start + 40].reduce(0, +)
                }
            }
            return try laws.near(
                Tensor(totals, shape: [4]), Tensor(expected, shape: [4]), "the sum of both gradients")
        },
        Law(name: "dropout drops the same weights forward and backward", needs: [.linearInValues]) { laws in
            // The output is linear in the values with weights that dropout has decided: Σ dO · O = Σ dV · V.
            try [0.0, 0.5, 0.9].flatMap { probability -> [String] in
                let problem = try laws.prepared(
                    "dropout-\(probability)", 64, 64, heads: 4, kvHeads: 2, batch: 2,
                    config: ["dropout": .number(probability), "seed": 11])
                if !laws.takes(problem), probability == 0 { return [] }
                let output = try laws.configured.forward(
                    problem.inputs, options: problem.options, context: laws.context)
                let result = try laws.backward(problem)
                let byOutput = Self.inner(output.output, problem.gradient.output)
                let byValue = Self.inner(result.value, problem.inputs.value)
                let limit = 1e-5 * max(1, abs(byOutput))
                return abs(byOutput - byValue) <= limit
                    ? [] : ["dropout \(probability): Σ dO O is \(byOutput), Σ dV V is \(byValue)"]
            }
        },
        Law(name: "grouped heads sum the gradients of repeated key heads") { laws in
            let problem = try laws.prepared(
                "groups", 64, 64, heads: 6, kvHeads: 2, config: ["causal": true], usesLogSumExp: true)
            let plain = try laws.prepared("groups", 64, 64, heads: 6, kvHeads: 6, config: ["causal": true])
            var repeated = problem
            repeated.inputs.key = try Self.repeated(problem.inputs.key, times: 3)
            repeated.inputs.value = try Self.repeated(problem.inputs.value, times: 3)
            if laws.takes(problem), !laws.takes(plain) { return [] }
            let grouped = try laws.backward(problem)
            let single = try laws.backward(repeated)
            return try laws.near(grouped.query, single.query, "the gradient of the query")
                + laws.near(grouped.key, Self.summed(single.key, groups: 3), "the gradient of the key")
                + laws.near(grouped.value, Self.summed(single.value, groups: 3), "the gradient of the value")
        },
        Law(name: "a bias has the sum of its gradients over every axis it is repeated along") { laws in
            let whole = try laws.prepared("whole", 30, 40, heads: 4, kvHeads: 2, batch: 2) {
                $0.bias = .init(shape: [2, 4, 30, 40], seed: 5, amplitude: 0)
            }
            guard let all = try laws.backward(whole).bias?.doubles() else { return ["the gradient is missing"] }
            return try [[40], [30, 1], [4, 1, 1], [2, 1, 1, 1], [1, 4, 1, 40], [2, 1, 30, 1], [1]].flatMap { shape in
                var part = whole
                part.inputs.bias = Tensor(zeros: Shape(shape))
                guard let ours = try laws.backward(part).bias else { return ["the gradient is missing"] }
                let full = [Int](repeating: 1, count: 4 - shape.count) + shape
                var sums = [Double](repeating: 0, count: shape.reduce(1, *))
                for (index, number) in all.enumerated() {
                    let place = [index / 4800, index / 1200 % 4, index / 40 % 30, index % 40]
                    sums[zip(place, full).reduce(0) { $0 * $1.1 + ($1.1 == 1 ? 0 : $1.0) }] += number
                }
                return try laws.near(ours, Tensor(sums, shape: Shape(shape)), "bias \(shape)")
            }
        },
    ]

    private static func inner(_ left: Tensor, _ right: Tensor) -> Double {
        zip(left.doubles(), right.doubles()).reduce(0) { $0 + $1.0 * $1.1 }
    }

    /// Every head `times` times in a row.
    private static func repeated(_ tensor: Tensor, times: Int) throws -> Tensor {
        let shape = tensor.shape
        return try tensor.reshaped([shape[0], shape[1], shape[2], 1, shape[3]])
            .broadcast(to: [shape[0], shape[1], shape[2], times, shape[3]]).copied()
            .reshaped([shape[0], shape[1], shape[2] * times, shape[3]])
    }

    /// Sums of `groups` heads in a row.
    private static func summed(_ tensor: Tensor, groups: Int) throws -> Tensor {
        let shape = tensor.shape
        let numbers = tensor.doubles()
        var sums = [Double](repeating: 0, count: numbers.count / groups)
        for (index, number) in numbers.enumerated() {
            let row = index / shape[3]
            sums[row / groups * shape[3] + index % shape[3]] += number
        }
        return try Tensor(sums, shape: [shape[0], shape[1], shape[2] / groups, shape[3]])
    }
}
