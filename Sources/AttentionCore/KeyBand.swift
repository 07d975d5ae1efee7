/// A band of diagonals: query `i` sees keys from `i + low` to `i + high`, within `0..<keyLength`.
///
/// Causal masks, windows, prefixes, padding and their conjunctions all reduce to it; kernels skip whole tiles by it.
public struct KeyBand: Sendable, Hashable {
    /// The lowest visible diagonal; `nil` is unlimited.
    public var low: Int?
    /// The highest visible diagonal; `nil` is unlimited.
    public var high: Int?
    /// Keys from here on are invisible.
    public var keyLength: Int

    /// A band; without limits it is the full mask.
    public init(low: Int? = nil, high: Int? = nil, keyLength: Int) {
        self.low = low
        self.high = high
        self.keyLength = keyLength
    }

    /// Whether the limits leave no diagonal.
    private var isVoid: Bool {
        guard let low, let high else { return false }
        return low > high
    }

    /// The keys that query `query` sees; empty when it sees none.
    public func keys(for query: Int) -> Range<Int> { keys(forAnyOf: query..<query + 1) }

    /// The keys that some query of a range sees, as one range without superfluous ends.
    public func keys(forAnyOf queries: Range<Int>) -> Range<Int> {
        if queries.isEmpty || isVoid { return 0..<0 }
        let start = low.map { max(0, queries.lowerBound + $0) } ?? 0
        let end = high.map { min(keyLength, queries.upperBound + $0) } ?? keyLength
        return start < end ? start..<end : 0..<0
    }

    /// The pairs that both bands allow.
    public func intersection(_ other: KeyBand) -> KeyBand {
        KeyBand(
            low: [low, other.low].compactMap { $0 }.max(), high: [high, other.high].compactMap { $0 }.min(),
            keyLength: min(keyLength, other.keyLength))
    }

    /// The pairs that some band allows, among the first `length` keys, or `nil` when they are not one band.
    ///
    /// Bands of nested, overlapping or adjacent diagonals join; bands that end at different keys join when one holds the
    /// other.
    func union(_ other: KeyBand, keyLength length: Int) -> KeyBand? {
        let (left, right) = (cut(to: length), other.cut(to: length))
        if left.isVoid || left.keyLength <= 0 { return right }
        if right.isVoid || right.keyLength <= 0 { return left }
        if left.holds(right) { return left }
        if right.holds(left) { return right }
        guard left.keyLength == right.keyLength else { return nil }
        let lowest = left.low.flatMap { low in right.low.map { min(low, $0) } }
        let highest = left.high.flatMap { high in right.high.map { max(high, $0) } }
        // Between them no diagonal may be missing.
        if let end = left.high, let start = right.low, end < start - 1 { return nil }
        if let end = right.high, let start = left.low, end < start - 1 { return nil }
        return KeyBand(low: lowest, high: highest, keyLength: left.keyLength)
    }

    private func cut(to length: Int) -> KeyBand { KeyBand(low: low, high: high, keyLength: min(keyLength, length)) }

    private func holds(_ other: KeyBand) -> Bool {
        let reachesLow = low.map { low in other.low.map { low <= $0 } ?? false } ?? true
        let reachesHigh = high.map { high in other.high.map { high >= $0 } ?? false } ?? true
        return reachesLow && reachesHigh && keyLength >= other.keyLength
    }

    /// The pairs among the first `length` keys that the band forbids, or `nil` when they are not one band.
    func complement(keyLength length: Int) -> KeyBand? {
        if isVoid || keyLength <= 0 { return KeyBand(keyLength: length) }
        guard keyLength == length else { return nil }
        switch (low, high) {
        case (nil, nil): return KeyBand(keyLength: 0)
        case (nil, let high?): return KeyBand(low: high + 1, keyLength: length)
        case (let low?, nil): return KeyBand(high: low - 1, keyLength: length)
        case (.some, .some): return nil
        }
    }

    /// What a tile of scores holds, exactly.
    public func classify(queries: Range<Int>, keys: Range<Int>) -> TileCoverage {
        let visible = keys.lowerBound..<max(keys.lowerBound, min(keys.upperBound, keyLength))
        if queries.isEmpty || visible.isEmpty || isVoid { return .empty }
        let lowest = visible.lowerBound - (queries.upperBound - 1)
        let highest = visible.upperBound - 1 - queries.lowerBound
        let low = low ?? lowest
        let high = high ?? highest
        if highest < low || lowest > high { return .empty }
        return low <= lowest && highest <= high && visible == keys ? .full : .partial
    }
}
