/// The corner of the score matrix that the last diagonal of a causal mask touches.
public enum MaskCorner: String, Sendable, Hashable, Codable, CaseIterable {
    /// The last query sees the last key: query `i` sees keys up to `i + keyLength - queryLength`.
    case bottomRight = "bottom-right"
    /// The first query sees the first key: query `i` sees keys up to `i`.
    case topLeft = "top-left"
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
    /// Documents packed into one sequence.
    case documents(DocumentMask)
    /// A tree of guesses behind a context.
    case tree(TreeMask)
    /// A part of a larger mask.
    case shifted(ShiftedMask)
    /// Kept blocks.
    case blocks(BlockLayout)
    /// A function written in Swift.
    case function(MaskFunction)

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
        case .documents(let documents): return documents.allows(query: query, key: key, geometry)
        case .tree(let tree): return tree.allows(query: query, key: key, geometry)
        case .shifted(let shifted): return shifted.allows(query: query, key: key, geometry)
        case .blocks(let layout): return layout.allows(query: query, key: key, head: geometry.head)
        case .function(let function): return function.visible(query, key, geometry)
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
            var result = KeyBand(keyLength: 0)
            for part in parts {
                guard let band = part.band(geometry), let union = result.union(band, keyLength: geometry.keyLength)
                else { return nil }
                result = union
            }
            return result
        case .not(.not(let part)):
            return part.band(geometry)
        case .not(.or(let parts)):
            return AttentionMask.and(parts.map { .not($0) }).band(geometry)
        case .not(.and(let parts)):
            if let inside = AttentionMask.and(parts).band(geometry),
                let outside = inside.complement(keyLength: geometry.keyLength)
            {
                return outside
            }
            return AttentionMask.or(parts.map { .not($0) }).band(geometry)
        case .not(let part):
            return part.band(geometry)?.complement(keyLength: geometry.keyLength)
        case .shifted(let shifted): return shifted.band(geometry)
        case .documents, .tree, .blocks, .function:
            return nil
        }
    }

    /// The keys that one query sees, when they are one range; `nil` when they may not be.
    ///
    /// Cost: O(size of the expression); O(key blocks) for block layouts.
    public func span(query: Int, _ geometry: MaskGeometry) -> Range<Int>? {
        guard query < geometry.queryLength else { return 0..<0 }
        if let band = band(geometry) { return band.keys(for: query) }
        switch self {
        case .documents(let documents): return documents.span(query: query, geometry)
        case .tree(let tree): return tree.span(query: query, geometry)
        case .shifted(let shifted): return shifted.span(query: query, geometry)
        case .blocks(let layout): return layout.span(query: query, geometry)
        case .and(let parts):
            var result = 0..<geometry.keyLength
            for part in parts {
                guard let span = part.span(query: query, geometry) else { return nil }
                let start = max(result.lowerBound, span.lowerBound)
                let end = min(result.upperBound, span.upperBound)
                if start >= end { return 0..<0 }
                result = start..<end
            }
            return result
        case .or(let parts):
            var spans: [Range<Int>] = []
            for part in parts {
                guard let span = part.span(query: query, geometry) else { return nil }
                if !span.isEmpty { spans.append(span) }
            }
            spans.sort { $0.lowerBound < $1.lowerBound }
            var result = 0..<0
            for span in spans {
                if !result.isEmpty, span.lowerBound > result.upperBound { return nil }
                result = result.hull(span)
            }
            return result
        case .not, .function, .full, .causal, .window, .prefix: return nil
        }
    }

    /// A range that holds every key that some query of a range sees; as tight as the expression tells.
    ///
    /// Cost: O(size of the expression); O(blocks of the rows) for block layouts.
    public func hull(queries: Range<Int>, _ geometry: MaskGeometry) -> Range<Int> {
        let rows = queries.clamped(to: 0..<geometry.queryLength)
        if rows.isEmpty { return 0..<0 }
        if let band = band(geometry) { return band.keys(forAnyOf: rows) }
        switch self {
        case .documents(let documents): return documents.hull(queries: rows, geometry)
        case .tree(let tree): return tree.hull(queries: rows, geometry)
        case .shifted(let shifted): return shifted.hull(queries: rows, geometry)
        case .blocks(let layout): return layout.hull(queries: rows, geometry)
        case .function(let function): return function.hull(queries: rows, geometry)
        case .and(let parts):
            var result = 0..<geometry.keyLength
            for part in parts {
                let hull = part.hull(queries: rows, geometry)
                let start = max(result.lowerBound, hull.lowerBound)
                let end = min(result.upperBound, hull.upperBound)
                if start >= end { return 0..<0 }
                result = start..<end
            }
            return result
        case .or(let parts):
            return parts.reduce(0..<0) { $0.hull($1.hull(queries: rows, geometry)) }
        case .not, .full, .causal, .window, .prefix: return 0..<geometry.keyLength
        }
    }

    /// Whether different heads may see different keys.
    public var dependsOnHead: Bool {
        switch self {
        case .blocks(let layout): layout.heads > 1
        case .function(let function): function.dependsOnHead
        case .shifted(let shifted): shifted.mask.dependsOnHead
        case .documents(let documents): documents.inner.dependsOnHead
        case .and(let parts), .or(let parts): parts.contains(where: \.dependsOnHead)
        case .not(let part): part.dependsOnHead
        case .full, .causal, .window, .prefix, .tree: false
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
        case .documents(let documents): return documents.classify(queries: queries, keys: keys, geometry)
        case .tree(let tree): return tree.classify(queries: queries, keys: keys, geometry)
        case .shifted(let shifted): return shifted.classify(queries: queries, keys: keys, geometry)
        case .blocks(let layout): return layout.classify(queries: queries, keys: keys, geometry)
        case .function(let function): return function.classify(queries: queries, keys: keys, geometry)
        case .full, .causal, .window, .prefix:
            return .partial
        }
    }

    /// A window's side, cut where it reaches past every sequence, so that sums of places cannot overflow.
    private static func bounded(_ side: Int) -> Int { max(-maximumSide, min(side, maximumSide)) }

    /// The longest side of a window that is not unlimited.
    static let maximumSide = Int(Int32.max)
}
