import AttentionCore
import TensorCore

/// The standard cases of gradients: lengths that tiles do not divide, every mask and every modifier, with and without a
/// loss that looks at the log-sum-exp.
public enum GradientCases {
    /// Cases for the comparison of an operator with its reference.
    public static let standard: [GradientCase] = lengths + groups + masks + dense + padding + modifiers + values

    /// Cases of a few numbers, for differences: each operand's every element is moved four times.
    public static let tiny: [GradientCase] = [
        make("plain", 3, 4, dim: 2, usesLogSumExp: true),
        make("square", 4, dim: 3),
        make("causal", 4, dim: 2) { $0.config = ["causal": true] },
        make("causal, more keys", 3, 5, dim: 2, usesLogSumExp: true) { $0.config = ["causal": true] },
        make("empty rows", 5, 3, dim: 2, usesLogSumExp: true) { $0.config = ["causal": true] },
        make("window", 5, dim: 2) { $0.config = ["window": [1, 1]] },
        make("grouped", 3, 4, dim: 2, valueDim: 3, usesLogSumExp: true) {
            $0.heads = 4
            $0.kvHeads = 2
        },
        make("lengths", 4, 5, dim: 2, usesLogSumExp: true) {
            $0.batch = 2
            $0.queryLengths = [4, 2]
            $0.keyLengths = [3, 5]
        },
        make("bias", 3, 4, dim: 2) { $0.bias = .init(shape: [3, 4], seed: 4, amplitude: 1) },
        make("bias of every row", 3, 4, dim: 2, usesLogSumExp: true) {
            $0.heads = 2
            $0.kvHeads = 2
            $0.bias = .init(shape: [1, 2, 3, 1], seed: 4, amplitude: 1)
        },
        make("softcap", 4, dim: 2) { $0.config = ["softcap": 1.5] },
        make("sinks and slopes", 3, 4, dim: 2, usesLogSumExp: true) {
            $0.heads = 2
            $0.kvHeads = 2
            $0.sinks = [0.5, -1]
            $0.alibiSlopes = [0.3, 0.1]
        },
        make("dense mask", 4, dim: 2) { $0.mask = .init(shape: [4, 4], seed: 8, threshold: -0.2) },
        make("dropout", 4, 6, dim: 2) { $0.config = ["dropout": 0.4, "seed": 3] },
        functional("score function", 4, 5, .init(softcap: 2, scoreFunction: cube)),
        make("square of 16", 16, dim: 4) {
            $0.heads = 2; $0.kvHeads = 2
        },
    ]

    /// `score / 2 + score³ / 100 + a number of the place`.
    static let cube = ScoreFunction("cube", derivative: { score, _ in 0.5 + 0.03 * score * score }) { score, place in
        0.5 * score + 0.01 * score * score * score + 0.1 * Double((place.key + place.head) % 3)
    }

    private static func make(
        _ name: String, _ queryLength: Int, _ keyLength: Int? = nil, dim: Int, valueDim: Int? = nil,
        usesLogSumExp: Bool = false, _ edit: (inout AttentionCase) -> Void = { _ in }
    ) -> GradientCase {
        var result = AttentionCase(
            name, queryLength: queryLength, keyLength: keyLength, headDim: dim, valueDim: valueDim)
        result.amplitude = 1.5
        edit(&result)
        return GradientCase(result, usesLogSumExp: usesLogSumExp)
    }

    /// A case whose options no configuration can spell.
    private static func functional(
        _ name: String, _ queryLength: Int, _ keyLength: Int, _ options: AttentionOptions, heads: Int = 2,
        dim: Int = 2, usesLogSumExp: Bool = false
    ) -> GradientCase {
        var result = make(name, queryLength, keyLength, dim: dim, usesLogSumExp: usesLogSumExp) {
            $0.heads = heads
            $0.kvHeads = heads / 2
        }
        result.options = options
        return result
    }

    private static let lengths: [GradientCase] =
        [1, 2, 16, 17, 33, 64, 65, 130].flatMap { length in
            [
                make("length-\(length)", length, dim: 16),
                make("length-\(length)-causal", length, dim: 24, usesLogSumExp: true) { $0.config = ["causal": true] },
            ]
        }
        + [(1, 65), (33, 17), (17, 130), (70, 17), (300, 40), (0, 5), (5, 0)].flatMap { (queries: Int, keys: Int) in
            [ConfigurationValue.bool(false), true, "top-left"].map { causal in
                make("cross-\(queries)x\(keys)-\(causal.jsonText)", queries, keys, dim: 20, usesLogSumExp: true) {
                    $0.config = ["causal": causal]
                }
            }
        }
        + [1, 3, 15, 17, 31, 33, 65, 80, 128, 130].map { dim in
            make("dim-\(dim)", 20, 37, dim: dim) { $0.config = ["causal": true] }
        }
        + [(16, 33), (33, 8), (1, 70), (70, 1)].map { (dim: Int, valueDim: Int) in
            make("value-dim-\(dim)-\(valueDim)", 19, 33, dim: dim, valueDim: valueDim, usesLogSumExp: true)
        }

    private static let groups: [GradientCase] = [(4, 4), (4, 2), (6, 2), (8, 1), (3, 1)].flatMap { heads, kvHeads in
        [(33, 65), (1, 70), (40, 40)].map { (queries: Int, keys: Int) in
            make("heads-\(heads)-\(kvHeads)-\(queries)x\(keys)", queries, keys, dim: 16, usesLogSumExp: queries == 33) {
                $0.batch = 2
                $0.heads = heads
                $0.kvHeads = kvHeads
                $0.config = ["causal": .bool(queries != 1)]
            }
        }
    }

    private static let masks: [GradientCase] =
        [[0, 0], [8, 0], [0, 8], [-1, 3], [20, 7], [4096, 4096]].flatMap { sides in
            [(65, 65), (17, 80), (80, 17)].map { (queries: Int, keys: Int) in
                make("window-\(sides[0])-\(sides[1])-\(queries)x\(keys)", queries, keys, dim: 16, usesLogSumExp: true) {
                    $0.config = ["window": .array(sides.map { .integer($0) }), "causal": .bool(queries == 65)]
                }
            }
        }
        + [
            ("prefix-lm", ["or": [["prefix": 7], "causal"]]), ("not-causal", ["not": "causal"]),
            ("nothing", ["and": ["causal", ["not": "causal"]]]),
        ].map { (name: String, mask: ConfigurationValue) in
            make("mask-\(name)", 33, 40, dim: 16, usesLogSumExp: true) { $0.config = ["mask": mask] }
        }

    private static let dense: [GradientCase] =
        [
            [1, 1, 33, 40], [2, 4, 33, 40], [2, 1, 1, 40], [1, 4, 33, 1], [1, 4, 1, 1], [33, 40], [40], [2, 1, 33, 1],
            [1],
        ].enumerated().flatMap { index, shape in
            [
                make("bias-\(index)", 33, 40, dim: 16, usesLogSumExp: index % 2 == 0) {
                    $0.batch = 2
                    $0.heads = 4
                    $0.kvHeads = 2
                    $0.config = index < 4 ? ["causal": true] : [:]
                    $0.bias = .init(shape: shape, seed: UInt64(index), amplitude: 2, isTransposed: index == 5)
                },
                make("dense-mask-\(index)", 33, 40, dim: 16) {
                    $0.batch = 2
                    $0.heads = 4
                    $0.kvHeads = 2
                    $0.mask = .init(shape: shape, seed: UInt64(index), threshold: -0.2)
                },
            ]
        } + [
            make("bias-hides", 33, 40, dim: 16) {
                $0.bias = .init(shape: [33, 40], seed: 4, amplitude: 3, hiddenBelow: 0.5)
            }
        ]

    private static let padding: [GradientCase] = [
        ([64, 17, 0], nil), ([64, 40, 1], [33, 17, 0]), ([3, 0, 64], [0, 33, 1]),
    ].enumerated().flatMap { index, lengths in
        [ConfigurationValue.bool(false), true].map { causal in
            make("lengths-\(index)-causal-\(causal.jsonText)", 33, 64, dim: 16, usesLogSumExp: true) {
                $0.batch = 3
                $0.heads = 4
                $0.kvHeads = 2
                $0.keyLengths = lengths.0
                $0.queryLengths = lengths.1
                $0.config = ["causal": causal]
            }
        }
    }

    private static let modifiers: [GradientCase] = [
        make("scale-1", 40, dim: 16) { $0.config = ["scale": 1] },
        make("scale-negative", 40, dim: 16) { $0.config = ["scale": -0.3] },
        make("scale-zero", 40, dim: 16) { $0.config = ["scale": 0] },
        make("softcap-small", 40, dim: 16, usesLogSumExp: true) { $0.config = ["softcap": 0.5] },
        make("softcap-bias", 40, dim: 16) {
            $0.config = ["softcap": 3, "causal": true]
            $0.bias = .init(shape: [40, 40], seed: 2, amplitude: 4)
        },
        make("alibi", 40, 50, dim: 16) {
            $0.heads = 4
            $0.kvHeads = 2
            $0.alibiSlopes = [0.5, 0.25, 0.1, 0]
        },
        make("sinks", 40, dim: 16, usesLogSumExp: true) {
            $0.heads = 4
            $0.kvHeads = 1
            $0.sinks = [2, -1, 0, -100]
            $0.config = ["causal": true]
        },
        make("sinks-empty-rows", 40, 10, dim: 16, usesLogSumExp: true) {
            $0.sinks = [1]
            $0.config = ["causal": true]
        },
        make("dropout", 65, 70, dim: 16, usesLogSumExp: true) {
            $0.batch = 2
            $0.heads = 4
            $0.kvHeads = 2
            $0.config = ["dropout": 0.3, "seed": 9]
        },
        make("dropout-causal-sinks", 65, dim: 16) {
            $0.sinks = [0.5]
            $0.config = ["dropout": 0.9, "seed": 10, "causal": true]
        },
        make("strided", 33, 40, dim: 16, usesLogSumExp: true) {
            $0.batch = 2
            $0.heads = 4
            $0.kvHeads = 2
            $0.isStrided = true
        },
        make("F16", 33, 40, dim: 16) { $0.dtype = .float16 },
        make("BF16-causal", 33, dim: 16) {
            $0.dtype = .bfloat16
            $0.config = ["causal": true]
        },
    ]

    /// Masks and functions that are values of Swift.
    private static let values: [GradientCase] = {
        let parity = MaskFunction("parity") { query, key, geometry in (query + key + geometry.head) % 3 != 0 }
        let cells = (0..<4 * 5 * 5).map { $0 * 7 % 5 < 3 }
        guard let documents = try? DocumentMask(lengths: [10, 0, 21, 34], inner: .causal),
            let tree = try? TreeMask(parents: [-1, 0, 0, 1, 1, 2, -1, 6]),
            let blocks = try? BlockLayout(blockSize: 16, heads: 4, queryBlocks: 5, keyBlocks: 5, cells: cells)
        else { return [] }
        let options: [(String, AttentionOptions)] = [
            ("documents", .init(mask: .documents(documents))), ("tree", .init(mask: .tree(tree))),
            ("blocks", .init(mask: .blocks(blocks))), ("mask-function", .init(mask: .function(parity))),
            ("blocks-causal", .init(mask: .and([.blocks(blocks), .causal]), dropout: 0.2, seed: 4)),
            ("score-function", .init(mask: .causal, softcap: 3, scoreFunction: cube)),
            ("everything", .init(mask: .blocks(blocks), softcap: 5, dropout: 0.5, scoreFunction: cube)),
            ("score-function-without-derivative", .init(scoreFunction: ScoreFunction("plain") { score, _ in score })),
        ]
        return options.map { functional($0.0, 65, 65, $0.1, heads: 4, dim: 20, usesLogSumExp: true) }
    }()
}
