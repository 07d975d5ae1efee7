import AttentionCore
import Kernels
import TensorCore

extension PropertyChecks {
    /// Laws of operators that read keys and values from pages.
    static let paging: [Law] = [
        Law(name: "pages of any size and order do not change a bit", feature: .pages) { checks in
            try [(1, 600, 4, 2), (5, 530, 4, 4), (70, 300, 6, 2)].flatMap { queries, keys, heads, kvHeads in
                try [DType.float32, .float16].flatMap { dtype in
                    var plain = checks.inputs(queries, keys, heads: heads, kvHeads: kvHeads, batch: 3, dtype: dtype)
                    plain.keyLengths = [keys, keys / 2, keys - 7]
                    return try [plain, plain.quantizingKeys].flatMap { inputs in
                        let contiguous = try checks.forward(inputs, .causal)
                        return try [1, 3, 16, 17, 64, 1000].flatMap { size in
                            let paged = try inputs.paged(pageSize: size, seed: UInt64(size))
                            return checks.same(contiguous, try checks.forward(paged, .causal), "pages of \(size)")
                        }
                    }
                }
            }
        },
        Law(name: "a row's bits do not depend on how the queries are cut", feature: .pages) { checks in
            let length = 620
            let whole = checks.inputs(length, heads: 4, kvHeads: 2, seed: 9)
            let mask = AttentionMask.and([.causal, .window(left: 400, right: nil)])
            return try [AttentionMask.causal, mask].flatMap { mask in
                let prefill = try checks.forward(whole, mask)
                return try [[1], [7, 16, 17], [64, 1, 200], [300]].flatMap { pattern in
                    var failures: [String] = []
                    var (start, index) = (0, 0)
                    while start < length {
                        let end = min(length, start + pattern[index % pattern.count])
                        let part = AttentionInputs(
                            query: try whole.query.sliced(1, start..<end), key: try whole.key.sliced(1, 0..<end),
                            value: try whole.value.sliced(1, 0..<end))
                        let result = try checks.forward(try part.paged(pageSize: 16, seed: UInt64(start)), mask)
                        failures += checks.same(result, try checks.rows(prefill, start..<end), "rows \(start)..<\(end)")
                        (start, index) = (end, index + 1)
                    }
                    return failures
                }
            }
        },
        Law(name: "sequences that share pages have the bits that they have alone", feature: .pages) { checks in
            let count = 12
            return try [1, 3].flatMap { queries in
                var inputs = checks.inputs(queries, 800, heads: 8, kvHeads: 2, batch: count, seed: 4)
                // The first 38 pages of all sequences hold the same.
                inputs.key = try checks.common(inputs.key, rows: 608)
                inputs.value = try checks.common(inputs.value, rows: 608)
                inputs.keyLengths = [608] + (1..<count).map { 620 + 13 * $0 }
                let sharing = Dictionary(uniqueKeysWithValues: (1..<count).map { ($0, 0) })
                let alone = try checks.forward(inputs.paged(pageSize: 16, seed: 5, isRagged: true), .causal)
                let together = try checks.forward(
                    inputs.paged(pageSize: 16, seed: 5, isRagged: true, sharing: sharing), .causal)
                return checks.same(alone, together, "\(queries) queries each")
            }
        },
        Law(name: "ragged queries are padded ones without the padding", feature: .pages) { checks in
            var inputs = checks.inputs(40, 300, heads: 4, kvHeads: 2, batch: 3)
            inputs.queryLengths = [40, 1, 13]
            inputs.keyLengths = [300, 77, 200]
            let padded = try inputs.paged(pageSize: 16, seed: 2)
            let ragged = try inputs.paged(pageSize: 16, seed: 2, isRagged: true)
            let expected = try checks.forward(padded, .causal)
            let actual = try checks.forward(ragged, .causal)
            var (start, failures) = (0, [String]())
            for (sequence, rows) in [40, 1, 13].enumerated() {
                let part = AttentionOutput(
                    output: try expected.output.sliced(0, sequence..<sequence + 1).sliced(1, 0..<rows).contiguous(),
                    logSumExp: try expected.logSumExp?.sliced(0, sequence..<sequence + 1).sliced(2, 0..<rows)
                        .contiguous())
                failures += checks.same(part, try checks.rows(actual, start..<start + rows), "sequence \(sequence)")
                start += rows
            }
            return failures
        },
        Law(name: "pages behind a window need not exist", feature: .pages) { checks in
            let inputs = try checks.inputs(1, 500, heads: 4, kvHeads: 2).paged(pageSize: 16, seed: 3)
            let mask = AttentionMask.and([.causal, .window(left: 100, right: nil)])
            guard let pages = inputs.pages else { return ["no pages"] }
            var freed = inputs
            let hidden = (500 - 101) / 16
            freed.pages = try PagedKeys(
                pageSize: 16,
                blockTables: [
                    [Int](repeating: PagedKeys.absentPage, count: hidden) + pages.blockTables[0].dropFirst(hidden)
                ],
                keyLengths: [500])
            let failures = checks.same(try checks.forward(inputs, mask), try checks.forward(freed, mask), "freed pages")
            // A page that is seen must exist.
            do {
                _ = try checks.forward(freed, .causal)
                return failures + ["an absent page was read"]
            } catch AttentionError.invalidValue {
                return failures
            }
        },
    ]

    /// A copy whose first rows are those of the first sequence, in every sequence.
    private func common(_ tensor: Tensor, rows: Int) throws -> Tensor {
        var numbers = tensor.floats()
        let width = tensor.shape[2] * tensor.shape[3]
        for sequence in 1..<tensor.shape[0] {
            let start = sequence * tensor.shape[1] * width
            numbers.replaceSubrange(start..<start + rows * width, with: numbers[0..<rows * width])
        }
        return try Tensor(numbers, shape: tensor.shape)
    }
}
