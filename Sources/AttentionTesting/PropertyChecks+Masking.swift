import AttentionCore
import TensorCore

extension PropertyChecks {
    /// What a row may not see does not reach it.
    static let masking: [Law] = [
        Law(name: "a key that a row may not see leaves the row's bits alone") { checks in
            let inputs = checks.inputs(150)
            let whole = try checks.forward(inputs, .causal)
            return try [1, 13, 14, 40, 100, 149].flatMap { limit in
                var changed = inputs
                changed.key = try checks.replacing(inputs.key, rows: limit..<150, by: 1e3)
                changed.value = try checks.replacing(inputs.value, rows: limit..<150, by: -1e3)
                let result = try checks.forward(changed, .causal)
                return checks.same(
                    try checks.rows(whole, 0..<limit), try checks.rows(result, 0..<limit), "rows before key \(limit)")
            }
        },
        Law(name: "NaN in hidden keys and values never reaches a row") { checks in
            let inputs = checks.inputs(150)
            let whole = try checks.forward(inputs, .causal)
            return try [1, 13, 14, 15, 33, 70, 149].flatMap { limit in
                var poisoned = inputs
                poisoned.key = try checks.replacing(inputs.key, rows: limit..<limit + 1, by: .nan)
                poisoned.value = try checks.replacing(inputs.value, rows: limit..<limit + 1, by: .nan)
                let result = try checks.forward(poisoned, .causal)
                var failures = checks.same(
                    try checks.rows(whole, 0..<limit), try checks.rows(result, 0..<limit), "rows before NaN \(limit)")
                let seeing = try checks.rows(result, limit..<150).output.doubles()
                if !seeing.allSatisfy(\.isNaN) { failures.append("rows that see the NaN at \(limit) are not NaN") }
                return failures
            }
        },
        Law(name: "infinite values behind a window stay there") { checks in
            let inputs = checks.inputs(90)
            let mask = AttentionMask.window(left: 10, right: 4)
            var poisoned = inputs
            poisoned.value = try checks.replacing(inputs.value, rows: 50..<51, by: .infinity)
            let result = try checks.forward(poisoned, mask)
            let whole = try checks.forward(inputs, mask)
            return checks.same(try checks.rows(whole, 0..<46), try checks.rows(result, 0..<46), "rows before")
                + checks.same(try checks.rows(whole, 61..<90), try checks.rows(result, 61..<90), "rows after")
        },
        Law(name: "padding is never read and comes out empty") { checks in
            var inputs = checks.inputs(40, 70, batch: 3)
            inputs.queryLengths = [40, 11, 0]
            inputs.keyLengths = [33, 70, 5]
            let clean = try checks.forward(inputs, .causal)
            for (batch, length) in [40, 11, 0].enumerated() {
                inputs.query = try checks.replacing(inputs.query, rows: length..<40, batch: batch, by: .nan)
            }
            for (batch, length) in [33, 70, 5].enumerated() {
                inputs.key = try checks.replacing(inputs.key, rows: length..<70, batch: batch, by: .nan)
                inputs.value = try checks.replacing(inputs.value, rows: length..<70, batch: batch, by: .nan)
            }
            let result = try checks.forward(inputs, .causal)
            let padded = try result.output.sliced(0, 1..<2).sliced(1, 11..<40).doubles()
            let logarithms = try result.logSumExp?.sliced(0, 1..<2).sliced(2, 11..<40).doubles() ?? [-.infinity]
            return checks.same(clean, result, "NaN in padding")
                + (padded.allSatisfy { $0 == 0 } ? [] : ["padded rows are not zero"])
                + (logarithms.allSatisfy { $0 == -.infinity } ? [] : ["padded rows' logSumExp is not -infinity"])
        },
        Law(name: "a row that sees no key is zero, with logSumExp -infinity") { checks in
            let inputs = checks.inputs(40, 10)
            let result = try checks.forward(inputs, .causal)
            let empty = try checks.rows(result, 0..<30)
            return (empty.output.doubles().allSatisfy { $0 == 0 } ? [] : ["output is not zero"])
                + (empty.logSumExp?.doubles().allSatisfy { $0 == -.infinity } ?? true
                    ? [] : ["logSumExp is not -infinity"])
        },
        Law(name: "a named mask is its materialised mask") { checks in
            let masks: [AttentionMask] = [
                .causal, .causal(.topLeft), .window(left: 5, right: 9), .window(left: nil, right: 2),
                .and([.causal, .window(left: 20, right: nil)]),
            ]
            return try masks.flatMap { mask in
                var inputs = checks.inputs(50, 75)
                let named = try checks.forward(inputs, mask)
                let cells = mask.materialize(MaskGeometry(queryLength: 50, keyLength: 75))
                inputs.mask = try Tensor(cells, shape: [50, 75])
                let dense = try checks.forward(inputs)
                return try checks.near(named.output, dense.output, "\(mask)")
            }
        },
    ]
}
