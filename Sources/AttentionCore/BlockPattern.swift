import TensorCore

/// A named rule for which blocks of the score matrix are kept.
///
/// Rules by token (windows, strides, grids) keep a block when they let some pair of it through, and whole kept blocks are
/// attended, as in xFormers' `pattern_to_layout`. A query's place among the keys is counted from the bottom-right corner:
/// query `i` stands at key `i + keyLength - queryLength`. Nothing of the extent queries times keys is ever made.
public enum BlockPattern: Sendable, Hashable {
    /// Keys from `place - left` to `place + right`.
    case window(left: Int, right: Int)
    /// The first tokens: they see every key, and every query sees them.
    case global(tokens: Int)
    /// A window of `window` keys on both sides, and the first `tokens` as global tokens (Beltagy et al., 2020).
    case longformer(window: Int, tokens: Int)
    /// Neighbouring blocks, `windowBlocks` on each side; the first `globalBlocks` rows and columns; and `randomBlocks`
    /// others for each row, drawn by the seed (Zaheer et al., Big Bird, 2020).
    case bigBird(windowBlocks: Int, globalBlocks: Int, randomBlocks: Int, perHead: Bool)
    /// Causal: the last `stride` keys, and every key whose distance is a multiple of `stride` (Child et al., 2019).
    case strided(stride: Int)
    /// Causal: the query's own stretch of `stride` keys, and the last `summary` keys of each stretch (Child et al., 2019).
    case fixed(stride: Int, summary: Int)
    /// Keys at distances `0, dilation, ... window · dilation` on both sides.
    case dilated(window: Int, dilation: Int)
    /// On a grid read row by row: keys at most `window` rows and columns away.
    case image(height: Int, width: Int, window: Int)
    /// On a grid read row by row: keys of the same row or the same column (Ho et al., 2019).
    case axial(height: Int, width: Int)
    /// Each block with probability `density`, by the seed; a row always keeps its diagonal block, so that none is empty.
    case random(density: Double, perHead: Bool)

    /// The grid that the sequence is read as, where the rule knows one.
    public var grid: (height: Int, width: Int)? {
        switch self {
        case .image(let height, let width, _), .axial(let height, let width): (height, width)
        default: nil
        }
    }

    /// Whether different heads keep different blocks.
    public var isPerHead: Bool {
        switch self {
        case .bigBird(_, _, let blocks, let perHead): perHead && blocks > 0
        case .random(_, let perHead): perHead
        default: false
        }
    }

    /// The blocks that the rule keeps.
    ///
    /// Cost: O(blocks of the score matrix), times heads where each head draws its own.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)`` when a parameter is out of its range.
    public func layout(
        blockSize: Int, queryLength: Int, keyLength: Int, heads: Int = 1, seed: UInt64 = 0
    ) throws(AttentionError) -> BlockLayout {
        try validate()
        let frame = PatternFrame(blockSize: max(1, blockSize), queryLength: queryLength, keyLength: keyLength)
        return try BlockLayout(
            blockSize: blockSize, heads: isPerHead ? heads : 1, queryBlocks: frame.queryBlocks,
            keyBlocks: frame.keyBlocks
        ) { head, row in
            self.row(row, frame, CounterRandom.value(seed: seed, index: UInt64(isPerHead ? head : 0)))
        }
    }

    private func row(_ row: Int, _ frame: PatternFrame, _ headSeed: UInt64) -> [Int] {
        let all = 0..<frame.keyBlocks
        let seed = CounterRandom.value(seed: headSeed, index: UInt64(row))
        switch self {
        case .random(let density, _):
            let diagonal = frame.diagonalBlocks(row)
            return all.filter {
                diagonal.contains($0)
                    || Double(CounterRandom.value(seed: seed, index: UInt64($0)) >> 11) < density * 0x1p53
            }
        case .bigBird(let window, let globals, let random, _):
            if row < globals { return Array(all) }
            let diagonal = frame.diagonalBlocks(row)
            let near = diagonal.lowerBound - window...diagonal.upperBound - 1 + window
            let others = all.filter { $0 >= globals && !near.contains($0) }
                .map { (number: CounterRandom.value(seed: seed, index: UInt64($0)), block: $0) }
                .sorted { ($0.number, $0.block) < ($1.number, $1.block) }
                .prefix(random).map(\.block)
            return (all.filter { $0 < globals || near.contains($0) } + others).sorted()
        default:
            let places = frame.places(row)
            return all.filter { keeps(places: places, keys: frame.keys($0)) }
        }
    }

    /// Whether a rule by token lets some pair of a block through.
    private func keeps(places: ClosedRange<Int>, keys: ClosedRange<Int>) -> Bool {
        let distances = places.lowerBound - keys.upperBound...places.upperBound - keys.lowerBound
        switch self {
        case .window(let left, let right):
            return distances.overlaps(-right...left)
        case .global(let tokens):
            return keys.lowerBound < tokens || places.lowerBound < tokens
        case .longformer(let window, let tokens):
            return keys.lowerBound < tokens || places.lowerBound < tokens || distances.overlaps(-window...window)
        case .dilated(let window, let dilation):
            let reach = distances.clamped(to: -window * dilation...window * dilation)
            return distances.overlaps(-window * dilation...window * dilation) && reach.holdsMultiple(of: dilation)
        case .strided(let stride):
            let past = max(0, distances.lowerBound)
            guard past <= distances.upperBound else { return false }
            return past <= stride || (past...distances.upperBound).holdsMultiple(of: stride)
        case .fixed(let stride, let summary):
            return keepsFixed(places, keys, stride: stride, summary: summary)
        case .image(_, let width, let window):
            return Grid(width: width).touches(places, keys) { rows, columns in rows <= window && columns <= window }
        case .axial(_, let width):
            return Grid(width: width).touches(places, keys) { rows, columns in rows == 0 || columns == 0 }
        case .bigBird, .random:
            return false
        }
    }

    private func keepsFixed(
        _ places: ClosedRange<Int>, _ keys: ClosedRange<Int>, stride: Int, summary: Int
    ) -> Bool {
        guard places.upperBound >= max(0, keys.lowerBound) else { return false }
        let visible = keys.lowerBound...min(keys.upperBound, places.upperBound)
        // Some place at or after some key of the same stretch.
        let firstStretch = max(0, places.lowerBound) / stride
        if visible.upperBound / stride >= firstStretch { return true }
        return visible.contains { $0 % stride >= stride - summary }
    }

    /// Checks the parameters.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)``.
    public func validate() throws(AttentionError) {
        func check(_ name: String, _ value: Int, from smallest: Int) throws(AttentionError) {
            guard value >= smallest, value <= AttentionMask.maximumSide else {
                throw .invalidOption(name: name, expected: "from \(smallest) up", actual: "\(value)")
            }
        }
        switch self {
        case .window(let left, let right):
            try check("left", left, from: 0)
            try check("right", right, from: 0)
        case .global(let tokens): try check("tokens", tokens, from: 1)
        case .longformer(let window, let tokens):
            try check("window", window, from: 0)
            try check("tokens", tokens, from: 0)
        case .bigBird(let window, let globals, let random, _):
            try check("windowBlocks", window, from: 0)
            try check("globalBlocks", globals, from: 0)
            try check("randomBlocks", random, from: 0)
        case .strided(let stride): try check("stride", stride, from: 1)
        case .fixed(let stride, let summary):
            try check("stride", stride, from: 1)
            try check("summary", summary, from: 1)
            guard summary <= stride else {
                throw .invalidOption(name: "summary", expected: "at most the stride, \(stride)", actual: "\(summary)")
            }
        case .dilated(let window, let dilation):
            try check("window", window, from: 0)
            try check("dilation", dilation, from: 1)
        case .image(let height, let width, let window):
            try check("height", height, from: 1)
            try check("width", width, from: 1)
            try check("window", window, from: 0)
        case .axial(let height, let width):
            try check("height", height, from: 1)
            try check("width", width, from: 1)
        case .random(let density, _):
            guard density >= 0, density <= 1 else {
                throw .invalidOption(name: "density", expected: "from 0 to 1", actual: "\(density)")
            }
        }
    }
}

/// Where the blocks of a pattern lie.
private struct PatternFrame {
    let blockSize: Int
    let queryLength: Int
    let keyLength: Int

    var queryBlocks: Int { (queryLength + blockSize - 1) / blockSize }
    var keyBlocks: Int { (keyLength + blockSize - 1) / blockSize }

    /// The places of a query block among the keys; negative before the first key.
    func places(_ row: Int) -> ClosedRange<Int> {
        let diagonal = keyLength - queryLength
        return row * blockSize + diagonal...min((row + 1) * blockSize, queryLength) - 1 + diagonal
    }

    /// The keys of a block.
    func keys(_ block: Int) -> ClosedRange<Int> { block * blockSize...min((block + 1) * blockSize, keyLength) - 1 }

    /// The key blocks on which a query block stands; the nearest one when it stands outside of all.
    func diagonalBlocks(_ row: Int) -> Range<Int> {
        let places = places(row)
        let last = max(0, keyLength - 1)
        return min(max(0, places.lowerBound), last) / blockSize..<min(max(0, places.upperBound), last) / blockSize + 1
    }
}

/// Stretches of a sequence that is a grid read row by row.
private struct Grid {
    let width: Int

    /// Whether some place and some key are at distances that a rule accepts; distances are the smallest of the pieces, so
    /// rules must accept smaller distances wherever they accept larger ones.
    func touches(
        _ places: ClosedRange<Int>, _ keys: ClosedRange<Int>, _ accepts: (_ rows: Int, _ columns: Int) -> Bool
    ) -> Bool {
        guard places.upperBound >= 0 else { return false }
        let pieces = self.pieces(max(0, places.lowerBound)...places.upperBound)
        let others = self.pieces(keys)
        return pieces.contains { piece in
            others.contains { other in
                accepts(piece.rows.distance(to: other.rows), piece.columns.distance(to: other.columns))
            }
        }
    }

    /// The rectangles that a stretch consists of: at most two cut rows and the whole rows between them.
    private func pieces(_ range: ClosedRange<Int>) -> [(rows: ClosedRange<Int>, columns: ClosedRange<Int>)] {
        let (first, last) = (range.lowerBound / width, range.upperBound / width)
        let (start, end) = (range.lowerBound % width, range.upperBound % width)
        if first == last { return [(first...last, start...end)] }
        var result = [(first...first, start...width - 1), (last...last, 0...end)]
        if last - first > 1 { result.append((first + 1...last - 1, 0...width - 1)) }
        return result
    }
}

extension ClosedRange<Int> {
    /// The smallest distance between elements of two ranges.
    fileprivate func distance(to other: ClosedRange<Int>) -> Int {
        Swift.max(0, lowerBound - other.upperBound, other.lowerBound - upperBound)
    }

    /// Whether some element is a multiple of a number above 0.
    fileprivate func holdsMultiple(of number: Int) -> Bool {
        let remainder = upperBound % number
        return upperBound - (remainder < 0 ? remainder + number : remainder) >= lowerBound
    }
}
