import AttentionCore
import Foundation
import TensorCore

extension PropertyChecks {
    /// Identities of softmax attention.
    static let algebra: [Law] = [
        Law(name: "keys and values may be permuted together", needs: [.keyOrderFree]) { checks in
            let inputs = checks.inputs(20, 97)
            let whole = try checks.forward(inputs)
            var shuffled = inputs
            let order = (0..<97).map { ($0 * 41 + 5) % 97 }
            shuffled.key = try reorder(inputs.key, order)
            shuffled.value = try reorder(inputs.value, order)
            return try checks.near(whole.output, checks.forward(shuffled).output, "output")
        },
        Law(name: "constant values come out unchanged", needs: [.weightedMean]) { checks in
            var inputs = checks.inputs(70)
            inputs.value = try checks.replacing(inputs.value, rows: 0..<70, by: 3.25)
            let constant = try checks.replacing(inputs.value, rows: 0..<70, by: 3.25)
            return try checks.near(
                checks.forward(inputs, checks.preferred(.causal, inputs)).output, constant, "output")
        },
        Law(name: "a constant added to a row of scores shifts logSumExp alone", needs: [.softmax]) { checks in
            var inputs = checks.inputs(40, 60)
            let plain = try checks.forward(inputs)
            let shifts = (0..<40).map { Float($0 % 7) - 3 }
            inputs.bias = try Tensor(shifts, shape: [40, 1])
            let shifted = try checks.forward(inputs)
            var failures = try checks.near(plain.output, shifted.output, "output")
            if let before = plain.logSumExp, let after = shifted.logSumExp {
                let expected = before.doubles().enumerated().map { $0.element + Double(shifts[$0.offset % 40]) }
                failures += try checks.near(after, Tensor(expected, shape: after.shape), "logSumExp")
            }
            return failures
        },
        Law(name: "grouped heads are repeated key heads") { checks in
            let inputs = checks.inputs(45, 60, heads: 6, kvHeads: 2)
            var repeated = inputs
            repeated.key = try repeatHeads(inputs.key, 3)
            repeated.value = try repeatHeads(inputs.value, 3)
            let mask = try checks.preferred(.causal, inputs)
            return try checks.near(
                checks.forward(inputs, mask).output, checks.forward(repeated, mask).output, "output")
        },
        Law(name: "a sink of 0 is a key of zeros with a value of zeros", needs: [.softmax, .keyOrderFree]) { checks in
            var inputs = checks.inputs(30, 50)
            var extended = inputs
            extended.key = try append(inputs.key)
            extended.value = try append(inputs.value)
            let expected = try checks.forward(extended)
            inputs.sinks = [0, 0]
            let result = try checks.forward(inputs)
            var failures = try checks.near(result.output, expected.output, "output")
            if let left = result.logSumExp, let right = expected.logSumExp {
                failures += try checks.near(left, right, "logSumExp")
            }
            return failures
        },
        Law(name: "parts of the keys merge to the whole by logSumExp", needs: [.softmax, .keyOrderFree]) { checks in
            let inputs = checks.inputs(20, 200)
            let whole = try checks.forward(inputs)
            guard whole.logSumExp != nil else { return [] }
            var numerators = [Double](repeating: 0, count: whole.output.count)
            var denominators = [Double](repeating: 0, count: 20 * 2)
            for range in [0..<1, 1..<70, 70..<71, 71..<200] {
                var part = inputs
                part.key = try inputs.key.sliced(1, range)
                part.value = try inputs.value.sliced(1, range)
                let result = try checks.forward(part)
                let output = result.output.doubles()
                let logarithms = result.logSumExp?.doubles() ?? []
                for index in output.indices {
                    let row = index / 24 / 2
                    let head = index / 24 % 2
                    numerators[index] += output[index] * exp(logarithms[head * 20 + row])
                }
                for index in denominators.indices { denominators[index] += exp(logarithms[index]) }
            }
            let merged = numerators.indices.map { index in
                numerators[index] / denominators[index / 24 % 2 * 20 + index / 24 / 2]
            }
            return try checks.near(whole.output, Tensor(merged, shape: whole.output.shape), "output")
        },
        Law(name: "slices of the keys merge to the whole, whatever is placed", needs: [.softmax, .keyOrderFree]) {
            checks in
            var inputs = try checks.decorated(checks.inputs(30, 210, heads: 4, kvHeads: 2, batch: 2))
            inputs.queryLengths = [30, 17]
            inputs.keyLengths = [210, 143]
            let relative = ScoreFunction("relative") { score, place in
                score - 0.01 * Double((place.query - place.key) % 5) + 0.1 * Double(place.batch)
            }
            let parity = MaskFunction("parity") { query, key, geometry in (query + key + geometry.batch) % 3 != 0 }
            return try [
                (.causal, nil), (.window(left: 90, right: 4), nil), (.causal(.topLeft), relative),
                (.or([.prefix(length: 20), .and([.causal, .function(parity)])]), relative),
            ].flatMap { (mask: AttentionMask, function: ScoreFunction?) -> [String] in
                var options = checks.options(mask)
                options.scoreFunction = function
                let problem = try AttentionProblem(inputs, options: options)
                if mask != .causal, !checks.configured.unsupportedReasons(for: problem).isEmpty { return [] }
                let whole = try checks.configured.forward(inputs, options: options, context: checks.context)
                let parts = try [0..<1, 1..<100, 100..<100, 100..<210].map {
                    try checks.configured.partial(inputs, keys: $0, options: options, context: checks.context)
                }
                let merged = try AttentionOutput.merging(
                    parts, sinks: inputs.sinks, queryLengths: inputs.queryLengths)
                return try checks.near(merged.output, whole.output, "\(mask), output")
                    + checks.near(
                        merged.logSumExp ?? merged.output, whole.logSumExp ?? whole.output, "\(mask), logSumExp")
            }
        },
        Law(name: "row i of a prompt is decoding step i", needs: [.rowIndependent, .keyOrderFree]) { checks in
            let inputs = checks.inputs(60, heads: 4, kvHeads: 2)
            let prompt = try checks.forward(inputs, .causal)
            return try [0, 1, 13, 14, 33, 59].flatMap { step in
                var one = inputs
                one.query = try inputs.query.sliced(1, step..<step + 1)
                one.key = try inputs.key.sliced(1, 0..<step + 1)
                one.value = try inputs.value.sliced(1, 0..<step + 1)
                return try checks.near(
                    checks.rows(prompt, step..<step + 1).output, checks.forward(one, .causal).output, "step \(step)")
            }
        },
        Law(name: "logits from -1e5 to 1e5 stay finite and right", needs: [.anyScore]) { checks in
            var inputs = checks.inputs(40, 90, dim: 16, adapts: true)
            inputs.query = inputs.query.scaled(by: 110)
            inputs.key = inputs.key.scaled(by: 110)
            inputs = try checks.initialised(inputs)
            let result = try checks.forward(inputs)
            return try Tolerance(checks.configured, inputs, options: checks.options()).errors(of: result)
                .filter { !($0.ratio <= 1) }.map { "\($0.operand) is off by \($0.error), allowed \($0.limit)" }
        },
    ]

    private static func reorder(_ tensor: Tensor, _ order: [Int]) throws -> Tensor {
        let width = tensor.shape[2] * tensor.shape[3]
        let numbers = tensor.floats()
        return try Tensor(order.flatMap { numbers[$0 * width..<($0 + 1) * width] }, shape: tensor.shape)
    }

    private static func repeatHeads(_ tensor: Tensor, _ times: Int) throws -> Tensor {
        let shape = tensor.shape
        let numbers = tensor.floats()
        let rows = (0..<shape[0] * shape[1] * shape[2]).flatMap { row in
            (0..<times).flatMap { _ in numbers[row * shape[3]..<(row + 1) * shape[3]] }
        }
        return try Tensor(rows, shape: [shape[0], shape[1], shape[2] * times, shape[3]])
    }

    /// One more row of zeros.
    private static func append(_ tensor: Tensor) throws -> Tensor {
        let shape = tensor.shape
        let zeros = [Float](repeating: 0, count: shape[2] * shape[3])
        return try Tensor(tensor.floats() + zeros, shape: [1, shape[1] + 1, shape[2], shape[3]])
    }
}

extension Tensor {
    /// The tensor times a number, F32.
    fileprivate func scaled(by factor: Float) -> Tensor {
        (try? Tensor(floats().map { $0 * factor }, shape: shape)) ?? self
    }
}
