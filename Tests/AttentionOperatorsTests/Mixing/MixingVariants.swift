import AttentionCore
import AttentionTesting
import TensorCore
import Testing

/// Options of the mixing operators beside their defaults, with cases that they take.
struct MixingVariants: Sendable, CustomTestStringConvertible {
    let id: String
    let configuration: [String: ConfigurationValue]
    /// Positions of the cases.
    let lengths: [Int]

    var testDescription: String { "\(id) \(ConfigurationValue.object(configuration).jsonText)" }

    static let ids = ["fourier-mix", "pooling", "visual", "lambda", "compositional"]
    /// Those that look at neither queries nor keys.
    static let blind = ["fourier-mix", "pooling", "visual"]

    static let all: [MixingVariants] = [
        .init("fourier-mix", [:], [1, 2, 4, 30, 31, 97, 256, 300]),
        .init("pooling", [:], [1, 2, 33, 300]),
        .init("visual", [:], [2, 35, 240]),
        .init("fourier-mix", ["hidden": false], [1, 2, 3, 7, 16, 30, 97, 128, 360]),
        .init("pooling", ["size": 1], [1, 5, 33]),
        .init("pooling", ["size": 4, "subtract": false], [1, 3, 4, 5, 33, 64]),
        .init("pooling", ["size": 50], [1, 30, 50, 51, 130]),
        .init("pooling", ["size": 7, "subtract": false], [1, 13, 14, 15, 70]),
        .init("pooling", ["size": 3, "shape": [4, 8]], [32]),
        .init("pooling", ["size": 4, "shape": [5, 13], "subtract": false], [65]),
        .init("pooling", ["size": 9, "shape": [40, 1]], [40]),
        .init("visual", ["shape": [1, 1]], [1]),
        .init("visual", ["shape": [1, 13]], [13]),
        .init("visual", ["shape": [30, 26]], [780]),
        .init("visual", ["shape": [26, 1]], [26]),
        .init("lambda", ["radius": 0], [1, 7, 33]),
        .init("lambda", ["radius": 2], [5, 130, 300]),
        .init("lambda", ["maxLength": 140], [3, 129, 140]),
        .init("compositional", ["retrievalDim": 1], [1, 33]),
        .init("compositional", ["retrievalDim": 70], [20, 130]),
    ]

    private init(_ id: String, _ configuration: [String: ConfigurationValue], _ lengths: [Int]) {
        self.id = id
        self.configuration = configuration
        self.lengths = lengths
    }

    /// Squares with two sequences, odd head dimensions, every element type, masks, gaps and padding.
    var cases: [AttentionCase] {
        lengths.flatMap { length in
            [false, true].flatMap { isCausal in
                [(DType.float32, 1, 3), (.float32, 3, 17), (.float16, 2, 8), (.bfloat16, 2, 5)].flatMap {
                    (dtype: DType, heads: Int, dim: Int) in
                    [false, true].map { isPadded in
                        var result = AttentionCase(
                            "\(testDescription), \(length), causal \(isCausal), \(dtype.rawValue), padded \(isPadded)",
                            queryLength: length, headDim: 4, valueDim: dim)
                        result.batch = 2
                        result.heads = heads
                        result.kvHeads = heads
                        result.dtype = dtype
                        result.isStrided = heads > 1
                        if isCausal { result.config = ["causal": true] }
                        if isPadded {
                            result.keyLengths = [length / 2, length]
                            result.queryLengths = [length / 2, length]
                        }
                        return result
                    }
                }
            }
        }
    }
}
