public import AttentionCore
public import TensorCore

/// One attention problem with data that can be made again anywhere: shapes, options and seeds, a few numbers in all.
///
/// Operands come from ``TensorCore/CounterRandom``, so a case in a JSON file written by another language means the same.
public struct AttentionCase: Sendable, Codable, Hashable {
    /// A dense bias, made from a seed.
    public struct Bias: Sendable, Codable, Hashable {
        /// Broadcastable to the scores.
        public var shape: [Int]
        /// The seed of its numbers.
        public var seed: UInt64
        /// Their largest magnitude.
        public var amplitude: Float
        /// How it is stored.
        public var dtype: DType?
        /// Numbers below this are -infinity: a bias that hides, as other libraries' masks do.
        public var hiddenBelow: Float?
        /// Whether its dimensions lie in memory in reverse.
        public var isTransposed: Bool?

        /// A bias by its shape and seed.
        public init(
            shape: [Int], seed: UInt64, amplitude: Float, dtype: DType? = nil, hiddenBelow: Float? = nil,
            isTransposed: Bool? = nil
        ) {
            self.shape = shape
            self.seed = seed
            self.amplitude = amplitude
            self.dtype = dtype
            self.hiddenBelow = hiddenBelow
            self.isTransposed = isTransposed
        }
    }

    /// A dense Bool mask, made from a seed: true where the number exceeds the threshold.
    public struct Mask: Sendable, Codable, Hashable {
        /// Broadcastable to the scores.
        public var shape: [Int]
        /// The seed of its numbers.
        public var seed: UInt64
        /// From -1 (nearly all true) to 1 (all false).
        public var threshold: Float
        /// How it is stored: BOOL or U8.
        public var dtype: DType?
        /// Whether its dimensions lie in memory in reverse.
        public var isTransposed: Bool?
        /// One number decides for a block of so many rows and columns; the last blocks may be cut.
        public var block: Int?

        /// A mask by its shape and seed.
        public init(
            shape: [Int], seed: UInt64, threshold: Float, dtype: DType? = nil, isTransposed: Bool? = nil,
            block: Int? = nil
        ) {
            self.block = block
            self.shape = shape
            self.seed = seed
            self.threshold = threshold
            self.dtype = dtype
            self.isTransposed = isTransposed
        }
    }

    /// Keys and values in pages.
    public struct Pages: Sendable, Codable, Hashable {
        /// Keys of a page.
        public var size: Int
        /// The seed of the pages' order.
        public var seed: UInt64
        /// Whether queries stand one behind the other, without padding.
        public var isRagged: Bool?

        /// Pages of a size in an order.
        public init(size: Int, seed: UInt64, isRagged: Bool? = nil) {
            self.size = size
            self.seed = seed
            self.isRagged = isRagged
        }
    }

    /// The seeds of the operands.
    public struct Seeds: Sendable, Codable, Hashable {
        /// Of the queries.
        public var query: UInt64
        /// Of the keys.
        public var key: UInt64
        /// Of the values.
        public var value: UInt64
    }

    /// What reports call the case.
    public var name: String
    /// Sequences.
    public var batch = 1
    /// Queries per sequence.
    public var queryLength: Int
    /// Keys per sequence.
    public var keyLength: Int
    /// Query heads.
    public var heads = 1
    /// Key and value heads.
    public var kvHeads = 1
    /// The extent of a query head.
    public var headDim: Int
    /// The extent of a value head.
    public var valueDim: Int
    /// The element type of query, key and value.
    public var dtype = DType.float32
    /// Common options, as in a configuration file.
    public var config: [String: ConfigurationValue] = [:]
    /// The largest magnitude of queries, keys and values.
    public var amplitude: Float = 2
    /// An additive bias.
    public var bias: Bias?
    /// A Bool mask.
    public var mask: Mask?
    /// True query lengths.
    public var queryLengths: [Int]?
    /// True key lengths.
    public var keyLengths: [Int]?
    /// ALiBi slopes.
    public var alibiSlopes: [Float]?
    /// Sinks.
    public var sinks: [Float]?
    /// The seeds of the operands.
    public var seeds: Seeds
    /// Whether operands are views with gaps and swapped dimensions.
    public var isStrided: Bool?
    /// Whether keys and values are rounded to INT8.
    public var hasInt8Keys: Bool?
    /// Pages in which keys and values lie.
    public var pages: Pages?

    /// A case of one sequence and one head.
    public init(_ name: String, queryLength: Int, keyLength: Int? = nil, headDim: Int, valueDim: Int? = nil) {
        self.name = name
        self.queryLength = queryLength
        self.keyLength = keyLength ?? queryLength
        self.headDim = headDim
        self.valueDim = valueDim ?? headDim
        // The name alone decides the data, so that adding a case changes no other.
        let seed = name.utf8.reduce(UInt64(14_695_981_039_346_656_037)) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
        seeds = Seeds(query: seed, key: seed &+ 1, value: seed &+ 2)
    }

    /// The common options.
    /// - Throws: ``AttentionCore/AttentionError`` when the configuration is not understood.
    public func options() throws(AttentionError) -> AttentionOptions {
        try AttentionSpecification(fields: config).options
    }

    /// The operands.
    ///
    /// Cost: O(their size).
    public func inputs() -> AttentionInputs {
        let inputs = AttentionInputs(
            query: operand([batch, queryLength, heads, headDim], seeds.query),
            key: operand([batch, keyLength, kvHeads, headDim], seeds.key),
            value: operand([batch, keyLength, kvHeads, valueDim], seeds.value),
            bias: bias.map(Self.tensor), mask: mask.map(Self.tensor),
            queryLengths: queryLengths, keyLengths: keyLengths, alibiSlopes: alibiSlopes, sinks: sinks)
        let rounded = hasInt8Keys == true ? inputs.quantizingKeys : inputs
        guard let pages else { return rounded }
        return (try? rounded.paged(pageSize: pages.size, seed: pages.seed, isRagged: pages.isRagged == true)) ?? rounded
    }

    private func operand(_ shape: Shape, _ seed: UInt64) -> Tensor {
        let dense = Tensor.random(uniform: shape, seed: seed, amplitude: amplitude, dtype: dtype)
        return isStrided == true ? Self.strided(dense) : dense
    }

    private static func tensor(_ bias: Bias) -> Tensor {
        var result = Tensor.random(uniform: Shape(bias.shape), seed: bias.seed, amplitude: bias.amplitude)
        if let limit = bias.hiddenBelow {
            result = (try? Tensor(result.floats().map { $0 < limit ? -.infinity : $0 }, shape: result.shape)) ?? result
        }
        result = result.converted(to: bias.dtype ?? .float32)
        return bias.isTransposed == true ? transposed(result) : result
    }

    private static func tensor(_ mask: Mask) -> Tensor {
        let cells = mask.block.map { blockCells(mask, block: $0) } ?? draw(mask.shape, mask)
        let result = ((try? Tensor(cells, shape: Shape(mask.shape))) ?? Tensor(zeros: Shape(mask.shape), dtype: .bool))
            .converted(to: mask.dtype ?? .bool)
        return mask.isTransposed == true ? transposed(result) : result
    }

    private static func draw(_ shape: [Int], _ mask: Mask) -> [Bool] {
        Tensor.random(uniform: Shape(shape), seed: mask.seed).floats().map { $0 > mask.threshold }
    }

    /// Every cell of a block as its block was drawn; the last two dimensions are rows and columns.
    private static func blockCells(_ mask: Mask, block: Int) -> [Bool] {
        let rows = mask.shape[mask.shape.count - 2]
        let columns = mask.shape[mask.shape.count - 1]
        let (down, across) = ((rows + block - 1) / block, (columns + block - 1) / block)
        let drawn = draw(mask.shape.dropLast(2) + [down, across], mask)
        return (0..<mask.shape.reduce(1, *)).map { cell in
            let plane = cell / (rows * columns)
            let (row, column) = (cell / columns % rows, cell % columns)
            return drawn[(plane * down + row / block) * across + column / block]
        }
    }

    /// The same numbers as a view whose dimensions lie in memory in reverse order.
    public static func transposed(_ tensor: Tensor) -> Tensor {
        let axes = Array((0..<tensor.shape.rank).reversed())
        return (try? tensor.permuted(axes).copied().permuted(axes)) ?? tensor
    }

    /// The same numbers as a view: heads before length in memory, and gaps filled with NaN after every row.
    public static func strided(_ tensor: Tensor) -> Tensor {
        let shape = tensor.shape
        let gap = 3
        let width = shape[3] + gap
        var padded = [Double](repeating: .nan, count: shape[0] * shape[2] * shape[1] * width)
        let numbers = tensor.doubles()
        for batch in 0..<shape[0] {
            for row in 0..<shape[1] {
                for head in 0..<shape[2] {
                    for d in 0..<shape[3] {
                        padded[((batch * shape[2] + head) * shape[1] + row) * width + d] =
                            numbers[((batch * shape[1] + row) * shape[2] + head) * shape[3] + d]
                    }
                }
            }
        }
        let wide = try? Tensor(padded, shape: [shape[0], shape[2], shape[1], width]).converted(to: tensor.dtype)
        return (try? wide?.sliced(3, 0..<shape[3]).permuted([0, 2, 1, 3])) ?? tensor
    }
}
