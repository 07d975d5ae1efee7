import AttentionCore
import TensorCore

extension ConformanceCases {
    private static let headCounts = [(8, 2), (4, 4), (6, 3), (32, 8)]

    /// Few queries against many keys: key heads side by side, with everything that changes a score.
    static let decoding: [AttentionCase] = headCounts.flatMap { heads, kvHeads in
        [(1, 70, 128), (2, 530, 40), (5, 130, 72), (13, 22, 8)].flatMap { queries, keys, dim in
            cases("decode-\(heads)-\(kvHeads)-\(queries)x\(keys)", queries, keys, dim) {
                $0.heads = heads
                $0.kvHeads = kvHeads
                $0.batch = 2
            }
        }
    }

    private static func cases(
        _ name: String, _ queries: Int, _ keys: Int, _ dim: Int, _ shape: (inout AttentionCase) -> Void
    ) -> [AttentionCase] {
        var base = make(name, queries, keys, dim: dim, valueDim: dim + 8)
        shape(&base)
        let heads = base.heads
        let edits: [(String, (inout AttentionCase) -> Void)] = [
            ("plain", { _ in }),
            ("causal", { $0.config = ["causal": true] }),
            ("window-softcap", { $0.config = ["window": [20, 3], "softcap": 4] }),
            ("holes", { $0.config = ["mask": ["and": ["causal", ["not": ["window": [3, 3]]]]]] }),
            ("bias", { $0.bias = .init(shape: [2, heads, queries, keys], seed: 3, amplitude: 3, hiddenBelow: 0.1) }),
            ("mask", { $0.mask = .init(shape: [1, heads, 1, keys], seed: 4, threshold: -0.2) }),
            ("lengths", { $0.keyLengths = [keys, keys / 3] }),
            ("ragged", { $0.queryLengths = [queries, (queries + 1) / 2] }),
            (
                "alibi-sinks",
                {
                    $0.alibiSlopes = (0..<heads).map { 0.5 / Float($0 + 1) }
                    $0.sinks = (0..<heads).map { Float($0 % 5) - 2 }
                }
            ),
            (
                "f16-strided",
                {
                    $0.dtype = .float16
                    $0.isStrided = true
                }
            ),
            ("bf16", { $0.dtype = .bfloat16 }),
            ("int8", { $0.hasInt8Keys = true }),
            (
                "int8-causal-lengths-f16",
                {
                    $0.hasInt8Keys = true
                    $0.dtype = .float16
                    $0.config = ["causal": true, "softcap": 3]
                    $0.keyLengths = [keys / 2, keys]
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
