/// The corner of the score matrix that the last diagonal of a causal mask touches.
public enum MaskCorner: String, Sendable, Hashable, Codable, CaseIterable {
    /// The last query sees the last key: query `i` sees keys up to `i + keyLength - queryLength`.
    case bottomRight = "bottom-right"
    /// The first query sees the first key: query `i` sees keys up to `i`.
    case topLeft = "top-left"
}

/// The true lengths of one sequence, without its padding.
///
/// Masks are placed by these, not by the tensors' extents.
public struct MaskGeometry: Sendable, Hashable {
    /// Queries before the padding.
    public let queryLength: Int
    /// Keys before the padding.
    public let keyLength: Int

    /// The lengths of one sequence.
    public init(queryLength: Int, keyLength: Int) {
        self.queryLength = queryLength
        self.keyLength = keyLength
    }

    /// The diagonal on which query 0 stands: how many keys lie before the first query.
    public func diagonal(_ corner: MaskCorner) -> Int {
        switch corner {
        case .bottomRight: keyLength - queryLength
        case .topLeft: 0
        }
    }
}

/// How much of a tile of scores a mask lets through.
public enum TileCoverage: Sendable, Hashable {
    /// No query of the tile sees any key of it: skip the tile.
    case empty
    /// Every query sees every key: no mask is applied.
    case full
    /// Some pairs are visible.
    case partial
}

/// Which keys each query may attend to.
///
/// A value: true means attend.
///
/// The same value is a specification (``materialize(_:)``) and a plan for kernels (``band(_:)``,
/// ``classify(queries:keys:_:)``), so that no dense mask is ever built on the fast path.
public indirect enum AttentionMask: Sendable, Hashable {
    /// Every query sees every key.
    case full
    /// A query sees no later key; the corner says where the diagonal ends.
    case causal(MaskCorner)
    /// With `p` the query's place among the keys: keys from `p - left` to `p + right`. `nil` means unlimited.
    case window(left: Int?, right: Int?, corner: MaskCorner)
    /// Every query sees the first `length` keys, and no other.
    case prefix(length: Int)
    /// Pairs that every part allows.
    case and([AttentionMask])
    /// Pairs that some part allows.
    case or([AttentionMask])
    /// Pairs that the part forbids.
    case not(AttentionMask)

    /// Causal with the bottom-right corner, the meaning of plain "causal".
    public static var causal: AttentionMask { .causal(.bottomRight) }

    /// A window placed at the bottom-right corner.
    public static func window(left: Int?, right: Int?) -> AttentionMask {
        .window(left: left, right: right, corner: .bottomRight)
    }

    /// Whether query `query` may attend to key `key`.
    ///
    /// Cost: O(size of the expression).
    public func allows(query: Int, key: Int, _ geometry: MaskGeometry) -> Bool {
        guard query < geometry.queryLength, key < geometry.keyLength else { return false }
        switch self {
        case .full:
            return true
        case .causal(let corner):
            return key <= query + geometry.diagonal(corner)
        case .window(let left, let right, let corner):
            let place = query + geometry.diagonal(corner)
            return left.map { key >= place - Self.bounded($0) } ?? true
                && right.map { key <= place + Self.bounded($0) } ?? true
        case .prefix(let length):
            return key < length
        case .and(let parts):
            return parts.allSatisfy { $0.allows(query: query, key: key, geometry) }
        case .or(let parts):
            return parts.contains { $0.allows(query: query, key: key, geometry) }
        case .not(let part):
            return !part.allows(query: query, key: key, geometry)
        }
    }

    /// The mask as a dense row-major matrix [queryLength, keyLength]: the specification.
    ///
    /// Cost: O(queries · keys).
    public func materialize(_ geometry: MaskGeometry) -> [Bool] {
        var result: [Bool] = []
        result.reserveCapacity(geometry.queryLength * geometry.keyLength)
        for query in 0..<geometry.queryLength {
            for key in 0..<geometry.keyLength {
                result.append(allows(query: query, key: key, geometry))
            }
        }
        return result
    }

    /// The mask as one band of diagonals, or `nil` when it is not one.
    ///
    /// Cost: O(size of the expression).
    public func band(_ geometry: MaskGeometry) -> KeyBand? {
        switch self {
        case .full:
            return KeyBand(keyLength: geometry.keyLength)
        case .causal(let corner):
            return KeyBand(high: geometry.diagonal(corner), keyLength: geometry.keyLength)
        case .window(let left, let right, let corner):
            let diagonal = geometry.diagonal(corner)
            return KeyBand(
                low: left.map { diagonal - Self.bounded($0) }, high: right.map { diagonal + Self.bounded($0) },
                keyLength: geometry.keyLength)
        case .prefix(let length):
            return KeyBand(keyLength: min(max(0, length), geometry.keyLength))
        case .and(let parts):
            var result = KeyBand(keyLength: geometry.keyLength)
            for part in parts {
                guard let band = part.band(geometry) else { return nil }
                result = result.intersection(band)
            }
            return result
        case .or(let parts):
            return parts.count == 1 ? parts[0].band(geometry) : nil
        case .not(.not(let part)):
            return part.band(geometry)
        case .not(let part):
            return part.band(geometry)?.complement(keyLength: geometry.keyLength)
        }
    }

    /// What a tile of scores holds.
    ///
    /// Cost: O(size of the expression).
    ///
    /// `empty` and `full` are exact. For a band `partial` is exact too; for other expressions it is the answer whenever
    /// the parts do not decide, so a `partial` tile may turn out to be empty or full.
    public func classify(queries: Range<Int>, keys: Range<Int>, _ geometry: MaskGeometry) -> TileCoverage {
        let rows = queries.clamped(to: 0..<geometry.queryLength)
        let columns = keys.clamped(to: 0..<geometry.keyLength)
        if rows.isEmpty || columns.isEmpty { return .empty }
        let coverage = classifyInside(rows, columns, geometry)
        // Padding is outside of every mask, so a tile that crosses the edge is never full.
        return coverage == .full && (rows != queries || columns != keys) ? .partial : coverage
    }

    private func classifyInside(_ queries: Range<Int>, _ keys: Range<Int>, _ geometry: MaskGeometry) -> TileCoverage {
        if let band = band(geometry) { return band.classify(queries: queries, keys: keys) }
        switch self {
        case .and(let parts):
            let coverages = parts.map { $0.classifyInside(queries, keys, geometry) }
            if coverages.contains(.empty) { return .empty }
            return coverages.allSatisfy { $0 == .full } ? .full : .partial
        case .or(let parts):
            let coverages = parts.map { $0.classifyInside(queries, keys, geometry) }
            if coverages.contains(.full) { return .full }
            return coverages.allSatisfy { $0 == .empty } ? .empty : .partial
        case .not(let part):
            switch part.classifyInside(queries, keys, geometry) {
            case .empty: return .full
            case .full: return .empty
            case .partial: return .partial
            }
        case .full, .causal, .window, .prefix:
            return .partial
        }
    }

    /// A window's side, cut where it reaches past every sequence, so that sums of places cannot overflow.
    private static func bounded(_ side: Int) -> Int { max(-maximumSide, min(side, maximumSide)) }

    /// The longest side of a window that is not unlimited.
    static let maximumSide = Int(Int32.max)
}
