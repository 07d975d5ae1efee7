import TensorCore

/// A rule for which keys each query sees, token by token.
///
/// A query's place among the keys is counted from the bottom-right corner: query `i` stands at key
/// `i + keyLength - queryLength`. Every rule classifies whole tiles from its parameters, so nothing of the extent queries
/// times keys is ever made.
public enum TokenPattern: Sendable, Hashable {
    /// Causal: the key's distance is from 0 to `stride`: `stride + 1` keys, as the paper's `t = max(0, i - l)` has it
    /// (Child et al., 2019, section 4.2, the first head of strided attention).
    case recent(stride: Int)
    /// Causal: the key's distance is a multiple of `stride` (the second head of strided attention).
    case everyNth(stride: Int)
    /// Causal: the key lies in the query's own stretch of `stride` positions (the first head of fixed attention).
    case stretch(stride: Int)
    /// Causal: the key is one of the last `summary` of some stretch (the second head of fixed attention).
    case summaries(stride: Int, summary: Int)
    /// On a grid read row by row, last axis fastest: the key differs from the query in this axis alone, or not at all.
    case line(shape: [Int], axis: Int)
    /// The key is a global token, or the query's place is one; `own` adds the query's own place.
    case global(tokens: [Int], own: Bool)
    /// Each pair with probability `density`, by seed, head, query and key; and the query's own place, always.
    case random(density: Double, seed: UInt64)

    /// Whether the rule hides later keys.
    public var isCausal: Bool {
        switch self {
        case .recent, .everyNth, .stretch, .summaries: true
        case .line, .global, .random: false
        }
    }

    /// The rule as a mask, named by its parameters.
    public var mask: AttentionMask {
        let isRandom = if case .random = self { true } else { false }
        return .function(
            MaskFunction(
                "\(self)", dependsOnHead: isRandom,
                bounds: { queries, geometry in bounds(queries, geometry) },
                classify: { queries, keys, geometry in classify(queries: queries, keys: keys, geometry) }
            ) { query, key, geometry in allows(query: query, key: key, geometry) })
    }

    /// Whether a query sees a key.
    public func allows(query: Int, key: Int, _ geometry: MaskGeometry) -> Bool {
        let place = query + geometry.diagonal(.bottomRight)
        let distance = place - key
        switch self {
        case .recent(let stride): return distance >= 0 && distance <= stride
        case .everyNth(let stride): return distance >= 0 && distance % stride == 0
        case .stretch(let stride): return distance >= 0 && place / stride == key / stride
        case .summaries(let stride, let summary): return distance >= 0 && key % stride >= stride - summary
        case .line(let shape, let axis):
            guard place >= 0 else { return false }
            let inner = shape.dropFirst(axis + 1).reduce(1, *)
            return place % inner == key % inner && place / (inner * shape[axis]) == key / (inner * shape[axis])
        case .global(let tokens, let own):
            return (own && distance == 0) || tokens.holds(key...key) || tokens.holds(place...place)
        case .random(let density, let seed):
            if distance == 0 { return true }
            let row = CounterRandom.value(
                seed: CounterRandom.value(seed: seed, index: UInt64(geometry.head)), index: UInt64(query))
            return Double(CounterRandom.value(seed: row, index: UInt64(key)) >> 11) < density * 0x1p53
        }
    }

    /// Keys outside of which no query of a range sees anything.
    private func bounds(_ queries: Range<Int>, _ geometry: MaskGeometry) -> Range<Int> {
        let last = queries.upperBound - 1 + geometry.diagonal(.bottomRight)
        let first = queries.lowerBound + geometry.diagonal(.bottomRight)
        let end = isCausal ? max(0, min(geometry.keyLength, last + 1)) : geometry.keyLength
        switch self {
        case .recent(let stride): return min(end, max(0, first - stride))..<end
        case .stretch(let stride): return min(end, max(0, first) / stride * stride)..<end
        default: return 0..<end
        }
    }

    /// What a tile holds.
    private func classify(queries: Range<Int>, keys: Range<Int>, _ geometry: MaskGeometry) -> TileCoverage {
        if queries.isEmpty || keys.isEmpty { return .empty }
        let diagonal = geometry.diagonal(.bottomRight)
        let places = queries.lowerBound + diagonal...queries.upperBound - 1 + diagonal
        let keys = keys.lowerBound...keys.upperBound - 1
        if isCausal, places.upperBound < keys.lowerBound { return .empty }
        switch self {
        case .recent(let stride):
            if places.lowerBound - keys.upperBound > stride { return .empty }
            let isFull = places.lowerBound >= keys.upperBound && places.upperBound - keys.lowerBound <= stride
            return isFull ? .full : .partial
        case .everyNth(let stride):
            let nearest = max(0, places.lowerBound - keys.upperBound)
            let farthest = places.upperBound - keys.lowerBound
            if stride == 1 { return places.lowerBound >= keys.upperBound ? .full : .partial }
            return farthest / stride * stride >= nearest ? .partial : .empty
        case .stretch(let stride):
            if max(0, places.lowerBound) / stride > keys.upperBound / stride { return .empty }
            let isOne = places.lowerBound >= 0 && places.upperBound / stride == keys.lowerBound / stride
            return isOne && places.lowerBound >= keys.upperBound ? .full : .partial
        case .summaries(let stride, let summary):
            let visible = keys.lowerBound...min(keys.upperBound, places.upperBound)
            if !visible.holdsRemainder(from: stride - summary, modulo: stride) { return .empty }
            let isFull = keys.allSatisfy { $0 % stride >= stride - summary } && places.lowerBound >= keys.upperBound
            return isFull ? .full : .partial
        case .line(let shape, let axis):
            return classifyLine(places, keys, shape: shape, axis: axis)
        case .global(let tokens, let own):
            if tokens.fill(keys) || tokens.fill(places) { return .full }
            return tokens.holds(keys) || tokens.holds(places) || (own && places.overlaps(keys)) ? .partial : .empty
        case .random(let density, _):
            return density >= 1 ? .full : density <= 0 && !places.overlaps(keys) ? .empty : .partial
        }
    }

    private func classifyLine(
        _ places: ClosedRange<Int>, _ keys: ClosedRange<Int>, shape: [Int], axis: Int
    ) -> TileCoverage {
        guard places.upperBound >= 0 else { return .empty }
        let inner = shape.dropFirst(axis + 1).reduce(1, *)
        let outer = inner * shape[axis]
        let queries = max(0, places.lowerBound)...places.upperBound
        // The same plane of the outer axes, and the same position on the inner ones.
        let planes = queries.lowerBound / outer...queries.upperBound / outer
        let keyPlanes = keys.lowerBound / outer...keys.upperBound / outer
        guard planes.overlaps(keyPlanes) else { return .empty }
        if inner == 1 {
            let isOne = planes == keyPlanes && planes.count == 1 && places.lowerBound >= 0
            return isOne ? .full : .partial
        }
        return queries.remainders(modulo: inner).contains { piece in
            keys.remainders(modulo: inner).contains { $0.overlaps(piece) }
        } ? .partial : .empty
    }
}

extension [Int] {
    /// Whether an ascending list has an element in a range.
    fileprivate func holds(_ range: ClosedRange<Int>) -> Bool { count(in: range) > 0 }

    /// Whether an ascending list without repetitions has every element of a range.
    fileprivate func fill(_ range: ClosedRange<Int>) -> Bool { count(in: range) == range.count }

    private func count(in range: ClosedRange<Int>) -> Int {
        place(of: range.upperBound + 1) - place(of: range.lowerBound)
    }

    private func place(of number: Int) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < number { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension ClosedRange<Int> {
    /// Whether some element from 0 up has a remainder of at least `first`.
    fileprivate func holdsRemainder(from first: Int, modulo number: Int) -> Bool {
        if upperBound - lowerBound >= number { return true }
        return upperBound % number >= first || upperBound / number > lowerBound / number
    }

    /// The remainders of the elements, from 0 up, as at most two ranges.
    fileprivate func remainders(modulo number: Int) -> [ClosedRange<Int>] {
        if count >= number { return [0...number - 1] }
        let (first, last) = (lowerBound % number, upperBound % number)
        return first <= last ? [first...last] : [0...last, first...number - 1]
    }
}
