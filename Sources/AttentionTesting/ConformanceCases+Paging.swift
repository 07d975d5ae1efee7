import AttentionCore
import TensorCore

extension ConformanceCases {
    /// Keys and values in pages: sizes that nothing divides, ranges of keys and their borders, ragged queries.
    static let paging: [AttentionCase] = [1, 3, 16, 17].flatMap { size in
        [(4, 2, 1, 70, 64), (8, 2, 5, 300, 40), (4, 4, 33, 530, 24), (6, 1, 70, 70, 16), (70, 1, 3, 40, 8)].flatMap {
            (heads: Int, kvHeads: Int, queries: Int, keys: Int, dim: Int) in
            cases("pages-\(size)-\(heads)-\(kvHeads)-\(queries)x\(keys)", queries, keys, dim) {
                $0.heads = heads
                $0.kvHeads = kvHeads
                $0.pages = AttentionCase.Pages(size: size, seed: UInt64(size))
            }
        }
    }

    private static func cases(
        _ name: String, _ queries: Int, _ keys: Int, _ dim: Int, _ shape: (inout AttentionCase) -> Void
    ) -> [AttentionCase] {
        var base = make(name, queries, keys, dim: dim, valueDim: dim + 8)
        base.batch = 3
        base.keyLengths = [keys, keys / 3, keys - 1]
        shape(&base)
        let heads = base.heads
        let edits: [(String, (inout AttentionCase) -> Void)] = [
            ("plain", { _ in }),
            ("causal", { $0.config = ["causal": true] }),
            (
                "ragged-causal",
                {
                    $0.config = ["causal": true]
                    $0.queryLengths = [queries, (queries + 2) / 3, 0]
                    $0.pages?.isRagged = true
                }
            ),
            (
                "ragged-window-softcap-sinks",
                {
                    $0.config = ["causal": true, "window": [37, -1], "softcap": 4]
                    $0.queryLengths = [(queries + 1) / 2, queries, 1]
                    $0.sinks = (0..<heads).map { Float($0 % 5) - 2 }
                    $0.pages?.isRagged = true
                }
            ),
            (
                "padded-queries-alibi-bias-f16",
                {
                    $0.dtype = .float16
                    $0.queryLengths = [queries, 1, (queries + 1) / 2]
                    $0.alibiSlopes = (0..<heads).map { 0.5 / Float($0 + 1) }
                    $0.bias = .init(shape: [3, heads, queries, keys], seed: 3, amplitude: 3, hiddenBelow: 0.1)
                }
            ),
            (
                "bf16-causal",
                {
                    $0.dtype = .bfloat16; $0.config = ["causal": true]
                }
            ),
            (
                "int8-causal",
                {
                    $0.hasInt8Keys = true; $0.config = ["causal": true]
                }
            ),
        ]
        return edits.map { suffix, edit in
            var result = base
            result.name += "-" + suffix
            edit(&result)
            return result
        }
    }
}
