import AttentionCore
import Kernels
import TensorCore

extension PropertyChecks {
    /// What must not change a single bit.
    static let invariance: [Law] = [
        Law(name: "the number of threads does not change a bit") { checks in
            let shapes = [(70, 300, 4, 2), (1, 5000, 4, 1), (400, 400, 1, 1)]
            return try shapes.flatMap { (queries, keys, heads, kvHeads) in
                let inputs = checks.inputs(queries, keys, heads: heads, kvHeads: kvHeads, adapts: true)
                let mask = try checks.preferred(.causal, inputs)
                let results = try [1, 2, 3].map { threads in
                    try checks.forward(
                        inputs, mask, context: ComputeContext(threads: threads, isa: checks.context.isa))
                }
                return checks.same(results[0], results[1], "2 threads, \(queries)x\(keys)")
                    + checks.same(results[0], results[2], "3 threads, \(queries)x\(keys)")
            }
        },
        Law(name: "repeating a call does not change a bit, nor its inputs") { checks in
            let plain = checks.inputs(70, 130, adapts: true)
            let decorated = try checks.decorated(plain)
            let inputs = try checks.takes(decorated, .causal) ? decorated : plain
            let mask = try checks.preferred(.causal, inputs)
            let operands = { [inputs] in
                [inputs.query, inputs.key, inputs.value, inputs.bias, inputs.mask].compactMap { $0 }
            }
            let before = operands().map { $0.copied() }
            let first = try checks.forward(inputs, mask)
            let second = try checks.forward(inputs, mask)
            let intact = zip(before, operands()).allSatisfy { $0.bitwiseEquals($1) }
            return checks.same(first, second, "second call") + (intact ? [] : ["operands were modified"])
        },
        Law(name: "batch company and padding do not change a bit") { checks in
            let lengths =
                checks.isSquare ? [(40, 40), (70, 70), (5, 5), (64, 64)] : [(40, 40), (7, 70), (33, 5), (1, 64)]
            let plain = checks.inputs(40, 70, heads: 4, kvHeads: 2, batch: 4, adapts: true)
            return try [plain, checks.decorated(plain)].enumerated().flatMap { number, operands in
                var batch = operands
                batch.queryLengths = lengths.map { $0.0 }
                batch.keyLengths = lengths.map { $0.1 }
                // Not every operator takes every modifier, but each is asked about the plain batch.
                if number > 0, try !checks.takes(batch, .causal) { return [String]() }
                let mask = try checks.preferred(.causal, batch)
                batch = try checks.initialised(batch, mask)
                let together = try checks.forward(batch, mask)
                return try lengths.enumerated().flatMap { [batch] index, length in
                    let alone = try checks.sharing(
                        batch.parameters, sequence(index, of: batch, queries: length.0, keys: length.1), mask)
                    let part = AttentionOutput(
                        output: try together.output.sliced(0, index..<index + 1).sliced(1, 0..<length.0).contiguous(),
                        logSumExp: try together.logSumExp?.sliced(0, index..<index + 1).sliced(2, 0..<length.0)
                            .contiguous())
                    return checks.same(part, try checks.forward(alone, mask), "sequence \(index) alone")
                }
            }
        },
        Law(name: "long sequences keep their bits in a padded batch") { checks in
            var batch = checks.inputs(30, 2300, heads: 1, kvHeads: 1, batch: 2)
            batch.keyLengths = [2300, 700]
            batch.queryLengths = [30, 30]
            batch = try checks.initialised(batch)
            let together = try checks.forward(batch)
            let alone = try checks.sharing(
                batch.parameters,
                AttentionInputs(
                    query: batch.query.sliced(0, 1..<2), key: batch.key.sliced(0, 1..<2).sliced(1, 0..<700),
                    value: batch.value.sliced(0, 1..<2).sliced(1, 0..<700)))
            let part = AttentionOutput(
                output: try together.output.sliced(0, 1..<2).contiguous(),
                logSumExp: try together.logSumExp?.sliced(0, 1..<2).contiguous())
            return checks.same(part, try checks.forward(alone), "sequence 1 alone")
        },
        Law(name: "strides do not change a bit") { checks in
            let plain = checks.inputs(50, 70, heads: 4, kvHeads: 2, batch: 2, adapts: true)
            let decorated = try checks.decorated(plain)
            let inputs = try checks.takes(decorated, .causal) ? decorated : plain
            var views = inputs
            views.query = AttentionCase.strided(inputs.query)
            views.key = AttentionCase.strided(inputs.key)
            views.value = AttentionCase.strided(inputs.value)
            views.bias = inputs.bias.map(AttentionCase.transposed)
            views.mask = inputs.mask.map(AttentionCase.transposed)
            let mask = try checks.preferred(.causal, inputs)
            return checks.same(try checks.forward(inputs, mask), try checks.forward(views, mask), "views")
        },
        Law(name: "the other queries of a call do not change a bit", needs: [.rowIndependent]) { checks in
            let inputs = checks.inputs(300, 300, heads: 4, kvHeads: 2)
            let mask = try checks.preferred(.causal(.topLeft), inputs)
            let whole = try checks.forward(inputs, mask)
            // Queries from the start keep their places under a top-left mask.
            var part = inputs
            part.query = try inputs.query.sliced(1, 0..<123)
            return checks.same(
                try checks.rows(whole, 0..<123), try checks.forward(part, mask), "queries 0 to 123")
        },
    ]
    /// One sequence of a batch, without its padding.
    private static func sequence(
        _ index: Int, of batch: AttentionInputs, queries: Int, keys: Int
    ) throws -> AttentionInputs {
        let only = index..<index + 1
        return AttentionInputs(
            query: try batch.query.sliced(0, only).sliced(1, 0..<queries),
            key: try batch.key.sliced(0, only).sliced(1, 0..<keys),
            value: try batch.value.sliced(0, only).sliced(1, 0..<keys),
            bias: try batch.bias?.sliced(0, only).sliced(2, 0..<queries).sliced(3, 0..<keys),
            mask: try batch.mask?.sliced(0, only).sliced(2, 0..<queries).sliced(3, 0..<keys),
            alibiSlopes: batch.alibiSlopes, sinks: batch.sinks)
    }
}
