import AttentionCore
import TensorCore

/// The standard cases: shapes that tiles do not divide, every mask, every modifier, every element type.
public enum ConformanceCases {
    /// Every standard case.
    ///
    /// Small enough that all of them run in seconds.
    public static let standard: [AttentionCase] =
        lengths + headDims + groups + masks + dense + padding + modifiers + storage + decoding + paging

    static func make(
        _ name: String, _ queryLength: Int, _ keyLength: Int? = nil, dim: Int = 32, valueDim: Int? = nil,
        _ edit: (inout AttentionCase) -> Void = { _ in }
    ) -> AttentionCase {
        var result = AttentionCase(
            name, queryLength: queryLength, keyLength: keyLength, headDim: dim, valueDim: valueDim)
        edit(&result)
        return result
    }

    /// Lengths around tile borders, equal and not, including none at all.
    private static let lengths: [AttentionCase] =
        [1, 2, 6, 13, 14, 15, 17, 31, 32, 33, 64, 65, 130, 257, 530].flatMap { length in
            [
                make("length-\(length)", length),
                make("length-\(length)-causal", length) { $0.config = ["causal": true] },
            ]
        }
        + [(1, 257), (33, 17), (17, 300), (300, 17), (1, 1030), (5, 600), (64, 1), (0, 5), (5, 0), (0, 0)].flatMap {
            (queries: Int, keys: Int) in
            [
                make("cross-\(queries)x\(keys)", queries, keys),
                make("cross-\(queries)x\(keys)-causal", queries, keys) { $0.config = ["causal": true] },
                make("cross-\(queries)x\(keys)-top-left", queries, keys) { $0.config = ["causal": "top-left"] },
            ]
        }

    private static let headDims: [AttentionCase] =
        [1, 2, 3, 8, 15, 16, 17, 31, 33, 63, 64, 65, 80, 96, 100, 127, 128, 130, 256, 512].flatMap { dim in
            [
                make("dim-\(dim)", 33, 70, dim: dim),
                make("dim-\(dim)-causal-gqa", 19, 40, dim: dim) {
                    $0.config = ["causal": true]
                    $0.heads = 4
                    $0.kvHeads = 2
                },
            ]
        }
        + [(64, 33), (33, 128), (1, 70), (70, 1), (17, 16), (128, 300)].map { (dim: Int, valueDim: Int) in
            make("value-dim-\(dim)-\(valueDim)", 37, 50, dim: dim, valueDim: valueDim)
        }

    private static let groups: [AttentionCase] =
        [(4, 4), (4, 2), (6, 2), (8, 1), (3, 1), (12, 4), (16, 1)].flatMap { (heads, kvHeads) in
            [(33, 65), (1, 300), (70, 70)].flatMap { (queries: Int, keys: Int) in
                [ConfigurationValue.bool(false), true].map { causal in
                    make(
                        "heads-\(heads)-\(kvHeads)-\(queries)x\(keys)-causal-\(causal.jsonText)", queries, keys, dim: 24
                    ) {
                        $0.heads = heads
                        $0.kvHeads = kvHeads
                        $0.batch = 2
                        $0.config = ["causal": causal]
                    }
                }
            }
        }

    private static let masks: [AttentionCase] =
        [[0, 0], [8, 0], [0, 8], [-1, 3], [5, -1], [20, 7], [4096, 4096], [64, 64], [1, 100]].flatMap { sides in
            [ConfigurationValue.bool(false), true, "top-left"].flatMap { causal in
                [(65, 65), (17, 80), (80, 17), (260, 260)].map { (queries: Int, keys: Int) in
                    make("window-\(sides[0])-\(sides[1])-causal-\(causal.jsonText)-\(queries)x\(keys)", queries, keys) {
                        $0.config = [
                            "causal": causal, "window": .array(sides.map { ConfigurationValue.integer($0) }),
                        ]
                    }
                }
            }
        }
        + [
            ("prefix-lm", ["or": [["prefix": 7], "causal"]]), ("prefix", ["prefix": 11]),
            ("not-causal", ["not": "causal"]),
            ("holes", ["and": ["causal", ["not": ["window": [3, 3]]]]]), ("twice", ["not": ["not": "causal"]]),
            ("nothing", ["and": ["causal", ["not": "causal"]]]),
        ].flatMap { (name: String, mask: ConfigurationValue) in
            [(33, 33), (20, 70), (270, 270)].map { (queries: Int, keys: Int) in
                make("mask-\(name)-\(queries)x\(keys)", queries, keys) { $0.config = ["mask": mask] }
            }
        }

    private static let scoreShapes = [
        [1, 1, 33, 65], [2, 4, 33, 65], [1, 4, 1, 65], [33, 65], [2, 1, 33, 1], [65], [2, 1, 1, 65],
    ]

    private static let dense: [AttentionCase] = scoreShapes.enumerated().flatMap { index, shape in
        [false, true].flatMap { causal in
            [DType.float32, .bfloat16, .float16, .float64].prefix(causal ? 1 : 4).map { dtype in
                make("bias-\(index)-causal-\(causal)-\(dtype.rawValue)", 33, 65) {
                    $0.batch = 2
                    $0.heads = 4
                    $0.kvHeads = 2
                    $0.config = ["causal": .bool(causal)]
                    $0.bias = .init(shape: shape, seed: UInt64(index), amplitude: 3, dtype: dtype)
                }
            }
                + [-0.5, 0.5, 2].map { (threshold: Float) in
                    make("dense-mask-\(index)-causal-\(causal)-\(threshold)", 33, 65) {
                        $0.batch = 2
                        $0.heads = 4
                        $0.kvHeads = 2
                        $0.config = ["causal": .bool(causal)]
                        $0.mask = .init(shape: shape, seed: UInt64(index), threshold: threshold)
                    }
                } + [
                    make("bias-hides-\(index)-causal-\(causal)", 33, 65) {
                        $0.batch = 2
                        $0.heads = 4
                        $0.config = ["causal": .bool(causal)]
                        $0.bias = .init(
                            shape: shape, seed: UInt64(index), amplitude: 3, hiddenBelow: 0.5, isTransposed: true)
                        $0.mask = .init(
                            shape: scoreShapes[(index + 1) % scoreShapes.count], seed: 9, threshold: -0.8,
                            dtype: .uint8,
                            isTransposed: true)
                    }
                ]
        }
    }

    private static let padding: [AttentionCase] =
        [([64, 17, 0], nil), ([64, 40, 1], [33, 17, 0]), ([3, 0, 64], [0, 33, 1]), ([33, 17, 5], [33, 17, 5])]
        .enumerated().flatMap { index, lengths in
            [ConfigurationValue.bool(false), true, "top-left"].flatMap { causal in
                [1, 4].map { heads in
                    make("lengths-\(index)-causal-\(causal.jsonText)-heads-\(heads)", 33, 64) {
                        $0.batch = 3
                        $0.heads = heads
                        $0.kvHeads = max(1, heads / 2)
                        $0.keyLengths = lengths.0
                        $0.queryLengths = lengths.1
                        $0.config = ["causal": causal]
                    }
                }
            }
        }

    private static let modifiers: [AttentionCase] = [
        make("scale-1", 40) { $0.config = ["scale": 1] },
        make("scale-negative", 40) { $0.config = ["scale": -0.3] },
        make("scale-zero", 40) { $0.config = ["scale": 0] },
        make("softcap-small", 70) {
            $0.config = ["softcap": 0.5]
            $0.amplitude = 4
        },
        make("softcap-causal", 70, 90) { $0.config = ["softcap": 30, "causal": true] },
        make("softcap-bias", 40) {
            $0.amplitude = 4
            $0.config = ["softcap": 3]
            $0.bias = .init(shape: [40, 40], seed: 2, amplitude: 6)
        },
        make("softcap-alibi-sinks", 33, 40) {
            $0.heads = 2
            $0.kvHeads = 2
            $0.alibiSlopes = [0.5, 0.1]
            $0.sinks = [2, -1]
            $0.config = ["softcap": 2, "scale": 1]
        },
        make("softcap-window-strided", 70) {
            $0.config = ["softcap": 5, "window": [9, 9]]
            $0.isStrided = true
        },
        make("alibi", 70) {
            $0.heads = 4
            $0.kvHeads = 2
            $0.alibiSlopes = [0.5, 0.25, 0.125, 0.0625]
        },
        make("alibi-causal-cross", 17, 300) {
            $0.heads = 4
            $0.kvHeads = 4
            $0.alibiSlopes = [0.5, 0.25, 0.125, 0.0625]
            $0.config = ["causal": true]
        },
        make("alibi-lengths", 33, 64) {
            $0.batch = 2
            $0.heads = 2
            $0.kvHeads = 1
            $0.alibiSlopes = [0.5, -0.1]
            $0.keyLengths = [64, 20]
            $0.queryLengths = [33, 9]
        },
        make("sinks", 40) {
            $0.heads = 4
            $0.kvHeads = 2
            $0.sinks = [0.5, -3, 6, -.infinity]
        },
        make("sinks-empty-rows", 40, 10) {
            $0.heads = 2
            $0.kvHeads = 2
            $0.sinks = [0.5, 40]
            $0.config = ["causal": true]
        },
        // Many rows, so that the reference's own largest error is not a matter of luck.
        make("large-logits", 90, dim: 64) {
            $0.amplitude = 60
            $0.heads = 8
            $0.kvHeads = 8
        },
        make("huge-logits-causal", 90, dim: 64) {
            $0.amplitude = 200
            $0.heads = 8
            $0.kvHeads = 8
            $0.config = ["causal": true]
        },
        make("bias-far-below", 40) { $0.bias = .init(shape: [40, 40], seed: 1, amplitude: 1e9) },
        // One score stands out by far: every probability is 0 or 1.
        make("logits-1e18", 20, 40) { $0.amplitude = 1e9 },
        make("tiny-numbers", 20, 40) { $0.amplitude = 1e-20 },
        make("strided", 70, 90) {
            $0.batch = 2
            $0.heads = 4
            $0.kvHeads = 2
            $0.isStrided = true
        },
        make("no-sequences", 5) { $0.batch = 0 },
        make("no-sequences-causal-lengths", 5) {
            $0.batch = 0
            $0.config = ["causal": true]
            $0.keyLengths = []
            $0.queryLengths = []
        },
        make("everything", 65, 130, dim: 80, valueDim: 48) {
            $0.batch = 2
            $0.heads = 4
            $0.kvHeads = 2
            $0.bias = .init(shape: [2, 1, 65, 130], seed: 4, amplitude: 2)
            $0.mask = .init(shape: [1, 4, 65, 130], seed: 5, threshold: -0.4)
            $0.queryLengths = [65, 30]
            $0.keyLengths = [130, 77]
            $0.alibiSlopes = [0.1, 0.2, 0.3, 0.4]
            $0.sinks = [0, 1, -1, 2]
            $0.config = ["causal": true, "window": [50, -1], "softcap": 20, "scale": 0.2]
        },
    ]

    private static let storage: [AttentionCase] = [DType.float16, .bfloat16, .float64].flatMap { dtype in
        [1, 17, 64, 257].flatMap { length in
            [false, true].flatMap { strided in
                [false, true].map { causal in
                    make("\(dtype.rawValue)-\(length)-strided-\(strided)-causal-\(causal)", length, dim: 40) {
                        $0.dtype = dtype
                        $0.isStrided = strided
                        $0.batch = 2
                        $0.heads = 2
                        $0.config = ["causal": .bool(causal)]
                    }
                }
            }
        }
    }
}
