import AttentionCore
import TensorCore

extension PropertyChecks {
    /// What a row may not see does not reach it.
    static let masking: [Law] = [
        Law(name: "a key that a row may not see leaves the row's bits alone") { checks in
            try sightings(checks).flatMap { sighting in
                try [0, 13, 14, 40, 99].flatMap { key in
                    try sighting.disturb(key, key: 1e3, value: -1e3, checks).failures
                }
            }
        },
        Law(name: "NaN in hidden keys and values never reaches a row") { checks in
            let others = checks.configured.capabilities.dtypes.filter { $0 == .float16 || $0 == .bfloat16 }
            let all = try sightings(checks) + others.flatMap { try sightings(checks, dtype: $0).prefix(2) }
            return try all.flatMap { sighting in
                try [1, 13, 14, 15, 33, 99].flatMap { key in
                    let (failures, seeing) = try sighting.disturb(key, key: .nan, value: .nan, checks)
                    return failures
                        + (seeing.allSatisfy(\.isNaN) ? [] : ["\(sighting.name): rows that see key \(key) are not NaN"])
                }
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
            var inputs = checks.inputs(40, 70, batch: 3, adapts: true)
            inputs.queryLengths = [40, 11, 0]
            inputs.keyLengths = [33, 70, 5]
            let mask = try checks.preferred(.causal, inputs)
            let clean = try checks.forward(inputs, mask)
            for (batch, length) in [40, 11, 0].enumerated() {
                inputs.query = try checks.replacing(inputs.query, rows: length..<40, batch: batch, by: .nan)
            }
            for (batch, length) in [33, 70, 5].enumerated() {
                inputs.key = try checks.replacing(inputs.key, rows: length..<70, batch: batch, by: .nan)
                inputs.value = try checks.replacing(inputs.value, rows: length..<70, batch: batch, by: .nan)
            }
            let result = try checks.forward(inputs, mask)
            let padded = try result.output.sliced(0, 1..<2).sliced(1, 11..<40).doubles()
            let logarithms = try result.logSumExp?.sliced(0, 1..<2).sliced(2, 11..<40).doubles() ?? [-.infinity]
            return checks.same(clean, result, "NaN in padding")
                + (padded.allSatisfy { $0 == 0 } ? [] : ["padded rows are not zero"])
                + (logarithms.allSatisfy { $0 == -.infinity } ? [] : ["padded rows' logSumExp is not -infinity"])
        },
        Law(name: "NaN in a hidden cell of the bias never reaches a row") { checks in
            var inputs = checks.inputs(40, 60, batch: 2)
            inputs.queryLengths = [40, 23]
            inputs.keyLengths = [60, 37]
            let mask = AttentionMask.and([.causal, .window(left: 15, right: nil)])
            var numbers = Tensor.random(uniform: [2, 2, 40, 60], seed: 8, amplitude: 2).floats()
            inputs.bias = try Tensor(numbers, shape: [2, 2, 40, 60])
            let clean = try checks.forward(inputs, mask)
            for (batch, lengths) in zip([0, 1], [(40, 60), (23, 37)]) {
                let geometry = MaskGeometry(queryLength: lengths.0, keyLength: lengths.1)
                for cell in 0..<2 * 40 * 60 where !mask.allows(query: cell / 60 % 40, key: cell % 60, geometry) {
                    numbers[batch * 2 * 40 * 60 + cell] = .nan
                }
            }
            inputs.bias = try Tensor(numbers, shape: [2, 2, 40, 60])
            return checks.same(clean, try checks.forward(inputs, mask), "NaN in the bias")
        },
        Law(name: "a bias of -infinity hides as a mask does") { checks in
            var inputs = checks.inputs(40, 60)
            var cells = Tensor.random(uniform: [40, 60], seed: 9).floats().map { $0 > -0.5 }
            // One row sees nothing, one key is seen by nobody.
            for cell in cells.indices where cell / 60 == 17 || cell % 60 == 30 { cells[cell] = false }
            inputs.bias = try Tensor(cells.map { $0 ? 0 : -Float.infinity }, shape: [40, 60])
            let result = try checks.forward(inputs)
            let expected = try checks.truth(
                AttentionInputs(
                    query: inputs.query, key: inputs.key, value: inputs.value, mask: try Tensor(cells, shape: [40, 60]))
            )
            var failures = try checks.near(result.output, expected.output, "output")
            if let ours = result.logSumExp, let theirs = expected.logSumExp {
                failures += try checks.near(ours, theirs, "logSumExp")
            }
            inputs.value = try checks.replacing(inputs.value, rows: 30..<31, by: .nan)
            return failures + checks.same(result, try checks.forward(inputs), "NaN in the value that nobody sees")
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
    /// The masks whose reach is watched; those that the operator refuses are left out.
    private static func sightings(_ checks: PropertyChecks, dtype: DType = .float32) throws -> [Sighting] {
        let inputs = checks.inputs(70, 100, dtype: dtype)
        var masked = inputs
        masked.mask = try Tensor(
            Tensor.random(uniform: [70, 100], seed: 4).floats().map { $0 > 0.1 }, shape: [70, 100])
        let all = [
            Sighting(name: "causal", inputs: inputs, mask: .causal),
            Sighting(name: "window", inputs: inputs, mask: .window(left: 10, right: 4)),
            Sighting(name: "top-left causal", inputs: inputs, mask: .causal(.topLeft)),
            Sighting(name: "prefix or causal", inputs: inputs, mask: .or([.prefix(length: 20), .causal(.topLeft)])),
            Sighting(name: "not a window", inputs: inputs, mask: .not(.window(left: 20, right: 3))),
            Sighting(name: "dense mask", inputs: masked, mask: .full),
            Sighting(name: "dense mask, causal", inputs: masked, mask: .causal),
        ]
        let taken = try all.filter { try checks.takes($0.inputs, $0.mask) }
        // Refused altogether: let the operator say why.
        if taken.isEmpty { _ = try checks.forward(inputs, .causal) }
        return taken
    }
}

/// A problem whose mask says which rows see a key.
private struct Sighting {
    let name: String
    let inputs: AttentionInputs
    let mask: AttentionMask

    /// Whether a head of a row may see a key: by the problem's mask, the mask tensor and the operator's own pattern.
    private func sees(_ query: Int, _ key: Int, head: Int, _ pattern: AttentionMask) -> Bool {
        let geometry = MaskGeometry(queryLength: inputs.query.shape[1], keyLength: inputs.key.shape[1], head: head)
        guard mask.allows(query: query, key: key, geometry), pattern.allows(query: query, key: key, geometry) else {
            return false
        }
        guard let cell = try? inputs.mask?.sliced(0, query..<query + 1).sliced(1, key..<key + 1) else { return true }
        return cell.doubles() == [1]
    }

    /// Replaces one key and its value: which rows that may not see it have changed, and the numbers of those that may.
    func disturb(
        _ changed: Int, key: Float, value: Float, _ checks: PropertyChecks
    ) throws -> (failures: [String], seeing: [Double]) {
        var disturbed = inputs
        disturbed.key = try checks.replacing(inputs.key, rows: changed..<changed + 1, by: key)
        disturbed.value = try checks.replacing(inputs.value, rows: changed..<changed + 1, by: value)
        let before = try checks.forward(inputs, mask)
        let after = try checks.forward(disturbed, mask)
        let pattern = checks.configured.pattern(for: try AttentionProblem(inputs, options: checks.options(mask)))
        var failures: [String] = []
        var seeing: [Double] = []
        let promises = checks.configured.capabilities.traits.contains(.seesEveryKey)
        for row in 0..<inputs.query.shape[1] {
            for head in 0..<inputs.query.shape[2] {
                let result = try checks.cells(after, row: row, head: head)
                if sees(row, changed, head: head, pattern) {
                    if promises { seeing += result.output.doubles() }
                } else {
                    failures += checks.same(
                        try checks.cells(before, row: row, head: head), result,
                        "\(name): row \(row), which cannot see key \(changed)")
                }
            }
        }
        return (failures, seeing)
    }
}
