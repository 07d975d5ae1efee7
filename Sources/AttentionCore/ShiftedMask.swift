/// A part of a larger mask: query `i` and key `j` here are query `i + queries` and key `j + keys` there.
///
/// Slices of the keys, chunks of a prompt and tiles of a distributed sequence all keep the mask of the whole by it.
public struct ShiftedMask: Sendable, Hashable {
    /// The whole's mask.
    public let mask: AttentionMask
    /// Queries of the whole before this part; may be negative.
    public let queries: Int
    /// Keys of the whole before this part; may be negative.
    public let keys: Int
    /// The whole's lengths; `nil` takes the part's own.
    public let lengths: MaskLengths?

    /// The lengths of a whole sequence.
    public struct MaskLengths: Sendable, Hashable {
        /// Queries of the whole.
        public let queryLength: Int
        /// Keys of the whole.
        public let keyLength: Int

        /// Lengths.
        public init(queryLength: Int, keyLength: Int) {
            self.queryLength = queryLength
            self.keyLength = keyLength
        }
    }

    /// A shift of a mask.
    public init(_ mask: AttentionMask, queries: Int = 0, keys: Int = 0, lengths: MaskLengths? = nil) {
        self.mask = mask
        self.queries = queries
        self.keys = keys
        self.lengths = lengths
    }

    /// The whole's geometry.
    func geometry(_ part: MaskGeometry) -> MaskGeometry {
        MaskGeometry(
            queryLength: lengths?.queryLength ?? part.queryLength, keyLength: lengths?.keyLength ?? part.keyLength,
            batch: part.batch, head: part.head)
    }

    /// The whole's band, seen from the part; `nil` when the part reaches beyond the whole, where nothing is seen.
    func band(_ geometry: MaskGeometry) -> KeyBand? {
        let whole = self.geometry(geometry)
        guard queries >= 0, keys >= 0, queries + geometry.queryLength <= whole.queryLength,
            let band = mask.band(whole)
        else { return nil }
        return KeyBand(
            low: band.low.map { $0 + queries - keys }, high: band.high.map { $0 + queries - keys },
            keyLength: max(0, min(geometry.keyLength, band.keyLength - keys)))
    }

    func allows(query: Int, key: Int, _ geometry: MaskGeometry) -> Bool {
        guard query + queries >= 0, key + keys >= 0 else { return false }
        return mask.allows(query: query + queries, key: key + keys, self.geometry(geometry))
    }

    func span(query: Int, _ geometry: MaskGeometry) -> Range<Int>? {
        let whole = self.geometry(geometry)
        guard query + queries >= 0, query + queries < whole.queryLength else { return 0..<0 }
        guard let span = mask.span(query: query + queries, whole) else { return nil }
        return moved(span, geometry)
    }

    func hull(queries rows: Range<Int>, _ geometry: MaskGeometry) -> Range<Int> {
        let whole = self.geometry(geometry)
        let there = (rows.lowerBound + queries..<rows.upperBound + queries).clamped(to: 0..<whole.queryLength)
        return there.isEmpty ? 0..<0 : moved(mask.hull(queries: there, whole), geometry)
    }

    func classify(queries rows: Range<Int>, keys columns: Range<Int>, _ geometry: MaskGeometry) -> TileCoverage {
        let whole = self.geometry(geometry)
        let there = rows.lowerBound + queries..<rows.upperBound + queries
        let keysThere = columns.lowerBound + keys..<columns.upperBound + keys
        let insideRows = there.clamped(to: 0..<whole.queryLength)
        let insideKeys = keysThere.clamped(to: 0..<whole.keyLength)
        if insideRows.isEmpty || insideKeys.isEmpty { return .empty }
        let coverage = mask.classify(queries: insideRows, keys: insideKeys, whole)
        return coverage == .full && (insideRows != there || insideKeys != keysThere) ? .partial : coverage
    }

    private func moved(_ span: Range<Int>, _ geometry: MaskGeometry) -> Range<Int> {
        if span.isEmpty { return 0..<0 }
        let start = max(0, span.lowerBound - keys)
        let end = min(geometry.keyLength, span.upperBound - keys)
        return start < end ? start..<end : 0..<0
    }
}
