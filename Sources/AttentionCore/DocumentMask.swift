/// Several documents packed into one sequence: a query sees keys of its own document alone.
///
/// Covers every variable-length layout: cumulative lengths on both sides, keys that lie anywhere in a cache with gaps
/// between them (`start + length`), and a mask within each document, placed by the document's own lengths, so that
/// "causal within each document" holds even when a document has more keys than queries.
public struct DocumentMask: Sendable, Hashable {
    /// Queries of each document: ascending, not overlapping; queries between them see nothing.
    public let queries: [Range<Int>]
    /// Keys of each document; anywhere, in any order.
    public let keys: [Range<Int>]
    /// What a query sees within its document, counted from the document's first query and first key.
    public let inner: AttentionMask

    /// Documents by their queries and keys.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)`` when counts differ or queries overlap.
    public init(
        queries: [Range<Int>], keys: [Range<Int>], inner: AttentionMask = .full
    ) throws(AttentionError) {
        guard queries.count == keys.count else {
            throw .invalidOption(
                name: "documents", expected: "as many key ranges as the \(queries.count) query ranges",
                actual: "\(keys.count)")
        }
        if let bad = (queries + keys).first(where: { $0.lowerBound < 0 }) {
            throw .invalidOption(name: "documents", expected: "ranges from 0 up", actual: "\(bad)")
        }
        for (before, after) in zip(queries, queries.dropFirst()) where before.upperBound > after.lowerBound {
            throw .invalidOption(
                name: "documents", expected: "query ranges in ascending order without overlap",
                actual: "\(before) before \(after)")
        }
        self.queries = queries
        self.keys = keys
        self.inner = inner
    }

    /// Documents one behind the other, by the lengths of their queries and keys.
    /// - Parameter keyLengths: by default as many keys as queries.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)``.
    public init(
        lengths: [Int], keyLengths: [Int]? = nil, inner: AttentionMask = .full
    ) throws(AttentionError) {
        try self.init(queries: Self.ranges(lengths), keys: Self.ranges(keyLengths ?? lengths), inner: inner)
    }

    private static func ranges(_ lengths: [Int]) throws(AttentionError) -> [Range<Int>] {
        var start = 0
        var result: [Range<Int>] = []
        for length in lengths {
            let (end, overflow) = start.addingReportingOverflow(length)
            guard length >= 0, !overflow else {
                throw .invalidOption(name: "documents", expected: "lengths from 0 up", actual: "\(length)")
            }
            result.append(start..<end)
            start = end
        }
        return result
    }

    /// The document that holds a query, if any.
    ///
    /// Cost: O(log documents).
    func document(of query: Int) -> Int? {
        var low = 0
        var high = queries.count
        while low < high {
            let middle = (low + high) / 2
            if queries[middle].upperBound <= query { low = middle + 1 } else { high = middle }
        }
        return low < queries.count && queries[low].contains(query) ? low : nil
    }

    /// A document's own lengths, cut to the sequence.
    func geometry(_ document: Int, _ outer: MaskGeometry) -> MaskGeometry {
        MaskGeometry(
            queryLength: queries[document].clamped(to: 0..<outer.queryLength).count,
            keyLength: keys[document].clamped(to: 0..<outer.keyLength).count, batch: outer.batch, head: outer.head)
    }

    func allows(query: Int, key: Int, _ geometry: MaskGeometry) -> Bool {
        guard let document = document(of: query), keys[document].contains(key) else { return false }
        return inner.allows(
            query: query - queries[document].lowerBound, key: key - keys[document].lowerBound,
            self.geometry(document, geometry))
    }

    func span(query: Int, _ geometry: MaskGeometry) -> Range<Int>? {
        guard let document = document(of: query) else { return 0..<0 }
        let start = keys[document].lowerBound
        guard
            let span = inner.span(query: query - queries[document].lowerBound, self.geometry(document, geometry))
        else { return nil }
        return span.isEmpty ? 0..<0 : span.lowerBound + start..<span.upperBound + start
    }

    /// Documents with a query in a range, with the part of the range that is theirs.
    private func overlapping(_ range: Range<Int>) -> [(document: Int, queries: Range<Int>)] {
        var result: [(Int, Range<Int>)] = []
        var low = 0
        var high = queries.count
        while low < high {
            let middle = (low + high) / 2
            if queries[middle].upperBound <= range.lowerBound { low = middle + 1 } else { high = middle }
        }
        while low < queries.count, queries[low].lowerBound < range.upperBound {
            let part = queries[low].clamped(to: range)
            if !part.isEmpty { result.append((low, part)) }
            low += 1
        }
        return result
    }

    func hull(queries rows: Range<Int>, _ geometry: MaskGeometry) -> Range<Int> {
        var result = 0..<0
        for (document, part) in overlapping(rows) {
            let first = queries[document].lowerBound
            let start = keys[document].lowerBound
            let span = inner.hull(
                queries: part.lowerBound - first..<part.upperBound - first, self.geometry(document, geometry))
            if !span.isEmpty { result = result.hull(span.lowerBound + start..<span.upperBound + start) }
        }
        return result
    }

    func classify(queries rows: Range<Int>, keys columns: Range<Int>, _ geometry: MaskGeometry) -> TileCoverage {
        var covered = 0
        var coverages: [TileCoverage] = []
        for (document, part) in overlapping(rows) {
            let first = queries[document].lowerBound
            let visible = columns.clamped(to: keys[document])
            if visible.isEmpty { continue }
            let start = keys[document].lowerBound
            let coverage = inner.classify(
                queries: part.lowerBound - first..<part.upperBound - first,
                keys: visible.lowerBound - start..<visible.upperBound - start, self.geometry(document, geometry))
            if coverage == .empty { continue }
            covered += part.count
            coverages.append(visible == columns ? coverage : .partial)
        }
        if coverages.isEmpty { return .empty }
        return covered == rows.count && coverages.allSatisfy { $0 == .full } ? .full : .partial
    }
}

extension Range<Int> {
    /// The smallest range that holds both; an empty range adds nothing.
    package func hull(_ other: Range<Int>) -> Range<Int> {
        if isEmpty { return other }
        if other.isEmpty { return self }
        return Swift.min(lowerBound, other.lowerBound)..<Swift.max(upperBound, other.upperBound)
    }
}
