import AttentionCore
public import TensorCore

/// A named list of cases.
public struct BenchPreset: Sendable, Hashable {
    /// The name on the command line.
    public let name: String
    /// What it measures.
    public let summary: String

    /// Everything: the default sweep.
    public static let `default` = BenchPreset(
        name: "default", summary: "minilm, lengths, causal, gqa, decode and window")
    /// A few seconds, to see that all works.
    public static let quick = BenchPreset(name: "quick", summary: "one short case of each kind")
    /// Full attention by length.
    public static let lengths = BenchPreset(
        name: "lengths", summary: "full attention, lengths 512 to 4096, head dims 64 and 128, 8 heads")
    /// Causal attention by length.
    public static let causal = BenchPreset(
        name: "causal", summary: "causal attention, lengths 512 to 4096, head dims 64 and 128, 8 heads")
    /// Groups of query heads.
    public static let gqa = BenchPreset(
        name: "gqa", summary: "causal attention of 32 query heads on 8 key heads, head dim 128")
    /// One query against a long past.
    public static let decode = BenchPreset(
        name: "decode", summary: "one query of 32 heads against 4096 and 16384 keys of 8 heads, head dim 128")
    /// A sliding window.
    public static let window = BenchPreset(
        name: "window", summary: "a window of 256 keys, lengths 2048 to 8192, head dim 64, 8 heads")
    /// Lengths at which cost that grows with the length alone pays.
    public static let long = BenchPreset(
        name: "long", summary: "full attention, lengths 4096 to 16384, head dim 64, 2 heads: for linear operators")
    /// Images as sequences, for operators that see a grid.
    public static let grid = BenchPreset(
        name: "grid", summary: "full attention over grids of 16x16, 32x32 and 64x64, head dim 32, 4 heads")
    /// Sparse patterns beside dense attention.
    public static let sparse = BenchPreset(
        name: "sparse",
        summary:
            "block-sparse attention at a tenth of the blocks: random, BigBird, image windows; dense operators beside")
    /// Real numbers.
    public static let minilm = BenchPreset(
        name: "minilm", summary: "query, key and value of one all-MiniLM-L6-v2 layer on a paragraph")

    /// Every preset.
    public static let all: [BenchPreset] = [
        .default, .quick, .minilm, .lengths, .causal, .gqa, .decode, .window, .long, .grid, .sparse,
    ]

    /// The preset of a name.
    /// - Throws: ``BenchError/unknownPreset(name:suggestions:known:)``.
    public static func named(_ name: String) throws(BenchError) -> BenchPreset {
        guard let preset = all.first(where: { $0.name == name }) else {
            let known = all.map(\.name)
            throw .unknownPreset(
                name: name, suggestions: NearestName.suggestions(for: name, among: known), known: known)
        }
        return preset
    }

    /// What the caller wants to be other than the preset has it; `nil` leaves it.
    public struct Overrides: Sendable, Hashable {
        /// Numbers of queries and keys (of keys alone, for decode).
        public var lengths: [Int]?
        /// Extents of a head.
        public var headDims: [Int]?
        /// Query heads.
        public var heads: Int?
        /// Key heads.
        public var kvHeads: Int?
        /// Makes every synthetic case causal.
        public var causal: Bool?
        /// Keys to the left and right of each query's place; -1 is unlimited.
        public var window: [Int]?
        /// The element type of synthetic cases.
        public var dtype: DType?
        /// Whether keys and values are INT8 with a scale for each key and head.
        public var hasInt8Keys = false

        /// No wishes.
        public init() {}
    }

    /// The cases.
    ///
    /// The file of the `minilm` preset is the caller's: it is a resource of the command.
    /// - Throws: ``BenchError`` when that file cannot be used.
    public func cases(minilmPath: String, overrides: Overrides = .init()) throws(BenchError) -> [BenchCase] {
        let factory = CaseFactory(preset: name, overrides: overrides)
        switch name {
        case Self.default.name:
            var cases: [BenchCase] = []
            for preset in [Self.minilm, .lengths, .causal, .gqa, .decode, .window] {
                cases += try preset.cases(minilmPath: minilmPath, overrides: overrides)
            }
            return cases
        case Self.quick.name:
            return [try BenchCase(name: "minilm layer", preset: name, path: minilmPath)]
                + factory.grid(lengths: [256], headDims: [64], heads: 8, kvHeads: 8)
                + factory.grid(lengths: [256], headDims: [64], heads: 8, kvHeads: 8, mask: .causal)
                + factory.grid(lengths: [256], headDims: [128], heads: 8, kvHeads: 2, mask: .causal)
                + factory.grid(lengths: [512], headDims: [64], heads: 8, kvHeads: 8, mask: Self.sliding(64))
                + factory.decode(lengths: [1024], headDims: [128], heads: 8, kvHeads: 2)
        case Self.causal.name:
            return factory.grid(lengths: Self.ladder, headDims: [64, 128], heads: 8, kvHeads: 8, mask: .causal)
        case Self.gqa.name:
            return factory.grid(lengths: [512, 2048], headDims: [128], heads: 32, kvHeads: 8, mask: .causal)
        case Self.decode.name:
            return factory.decode(lengths: [4096, 16384], headDims: [128], heads: 32, kvHeads: 8)
        case Self.window.name:
            return factory.grid(
                lengths: [2048, 4096, 8192], headDims: [64], heads: 8, kvHeads: 8, mask: Self.sliding(256))
        case Self.long.name:
            return factory.grid(lengths: [4096, 8192, 16384], headDims: [64], heads: 2, kvHeads: 2)
        case Self.grid.name:
            return factory.grid(lengths: [256, 1024, 4096], headDims: [32], heads: 4, kvHeads: 4)
        case Self.sparse.name:
            return factory.sparse(lengths: [4096], headDim: 64)
        case Self.minilm.name:
            return [try BenchCase(name: "minilm layer", preset: name, path: minilmPath)]
        default:
            return factory.grid(lengths: Self.ladder, headDims: [64, 128], heads: 8, kvHeads: 8)
        }
    }

    private static let ladder = [512, 1024, 2048, 4096]

    /// The query's own key and those before it, `count` in all.
    private static func sliding(_ count: Int) -> AttentionMask { .window(left: count - 1, right: 0) }
}

/// Makes cases from a preset's shapes and the caller's wishes.
private struct CaseFactory {
    let preset: String
    let overrides: BenchPreset.Overrides

    func grid(
        lengths: [Int], headDims: [Int], heads: Int, kvHeads: Int, mask: AttentionMask = .full
    ) -> [BenchCase] {
        (overrides.headDims ?? headDims).flatMap { headDim in
            (overrides.lengths ?? lengths).map { length in
                make(queries: length, keys: length, headDim: headDim, heads: heads, kvHeads: kvHeads, mask: mask)
            }
        }
    }

    func decode(lengths: [Int], headDims: [Int], heads: Int, kvHeads: Int) -> [BenchCase] {
        (overrides.headDims ?? headDims).flatMap { headDim in
            (overrides.lengths ?? lengths).map { length in
                make(queries: 1, keys: length, headDim: headDim, heads: heads, kvHeads: kvHeads, mask: .causal)
            }
        }
    }

    /// Patterns that keep a tenth of the blocks of 64, for lengths of a square grid.
    func sparse(lengths: [Int], headDim: Int) -> [BenchCase] {
        (overrides.headDims ?? [headDim]).flatMap { headDim in
            (overrides.lengths ?? lengths).flatMap { length in
                patterns(length).map { name, pattern in
                    let dense = make(
                        queries: length, keys: length, headDim: headDim, heads: 8, kvHeads: 8, mask: .full)
                    return BenchCase(
                        name: dense.name.replacing("full", with: name), preset: preset, problem: dense.problem,
                        configurations: ["block-sparse": ["pattern": pattern.configuration]])
                }
            }
        }
    }

    private func patterns(_ length: Int) -> [(String, BlockPattern)] {
        let side = Int(Double(length).squareRoot())
        let blocks = (length + 63) / 64
        var result: [(String, BlockPattern)] = [
            ("random", .random(density: 0.085, perHead: true)),
            (
                "bigbird",
                .bigBird(windowBlocks: 1, globalBlocks: 1, randomBlocks: max(0, blocks / 10 - 4), perHead: true)
            ),
        ]
        if side * side == length {
            result.append(("image", .image(height: side, width: side, window: max(1, side / 20))))
        }
        return result
    }

    private func make(
        queries: Int, keys: Int, headDim: Int, heads: Int, kvHeads: Int, mask: AttentionMask
    ) -> BenchCase {
        // Heads alone mean as many key heads: 8 key heads do not divide, say, 12 query heads.
        let heads = overrides.heads ?? heads
        let kvHeads = overrides.kvHeads ?? (overrides.heads == nil ? kvHeads : heads)
        let mask = self.mask(mask)
        let dtype = overrides.dtype ?? .float32
        var parts = [queries == 1 ? "decode" : Self.word(mask)]
        parts.append("L\(keys) D\(headDim)")
        if heads != kvHeads { parts.append("\(heads)/\(kvHeads)") }
        if heads == kvHeads, heads != 8 { parts.append("H\(heads)") }
        if dtype != .float32 { parts.append(dtype.rawValue) }
        if overrides.hasInt8Keys { parts.append("I8 keys") }
        let problem = AttentionProblem(
            queryLength: queries, keyLength: keys, heads: heads, kvHeads: kvHeads, headDim: headDim, dtype: dtype,
            options: AttentionOptions(mask: mask), hasInt8Keys: overrides.hasInt8Keys)
        return BenchCase(name: parts.joined(separator: " "), preset: preset, problem: problem)
    }

    private func mask(_ mask: AttentionMask) -> AttentionMask {
        var result = overrides.causal.map { $0 ? AttentionMask.causal : .full } ?? mask
        if let window = overrides.window, window.count == 2 {
            let sides = AttentionMask.window(
                left: window[0] < 0 ? nil : window[0], right: window[1] < 0 ? nil : window[1])
            // A preset's own window is what the override is for; causality stays.
            if case .window = result { result = .full }
            result = result == .full ? sides : .and([result, sides])
        }
        return result
    }

    private static func word(_ mask: AttentionMask) -> String {
        switch mask {
        case .full: "full"
        case .causal: "causal"
        case .window(let left, let right, _):
            "window \(left.map(String.init) ?? "-"),\(right.map(String.init) ?? "-")"
        case .and(let parts): parts.map(word).joined(separator: " ")
        default: "mask"
        }
    }
}
