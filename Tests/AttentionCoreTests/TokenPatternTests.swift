import AttentionCore
import Testing

/// Patterns by token: definitions, and tiles that agree with their cells.
@Suite struct TokenPatternTests {
    private static let patterns: [(TokenPattern, @Sendable (_ place: Int, _ key: Int) -> Bool)] = [
        (.recent(stride: 7), { $1 <= $0 && $1 >= $0 - 7 }),
        (.everyNth(stride: 7), { $1 <= $0 && ($0 - $1) % 7 == 0 }),
        (.everyNth(stride: 1), { $1 <= $0 }),
        (.stretch(stride: 9), { $1 <= $0 && $1 / 9 == $0 / 9 }),
        (.summaries(stride: 9, summary: 2), { $1 <= $0 && [7, 8].contains($1 % 9) }),
        (.line(shape: [6, 8], axis: 1), { $0 >= 0 && $0 / 8 == $1 / 8 }),
        (.line(shape: [6, 8], axis: 0), { $0 >= 0 && $0 % 8 == $1 % 8 }),
        (.line(shape: [4, 3, 4], axis: 1), { $0 >= 0 && $0 % 4 == $1 % 4 && $0 / 12 == $1 / 12 }),
        (
            .global(tokens: [0, 5, 6, 7, 30], own: false),
            { [0, 5, 6, 7, 30].contains($0) || [0, 5, 6, 7, 30].contains($1) }
        ),
        (.global(tokens: [9], own: true), { $0 == 9 || $1 == 9 || $0 == $1 }),
    ]

    private static let lengths = [(48, 48), (20, 48), (48, 33)]

    @Test(arguments: patterns.indices, lengths)
    func masksAreTheirDefinitions(index: Int, lengths: (Int, Int)) {
        let (pattern, plain) = Self.patterns[index]
        let geometry = MaskGeometry(queryLength: lengths.0, keyLength: lengths.1)
        let mask = pattern.mask
        for query in 0..<lengths.0 {
            for key in 0..<lengths.1 {
                #expect(
                    mask.allows(query: query, key: key, geometry) == plain(query + lengths.1 - lengths.0, key),
                    "\(pattern) \(query) \(key)")
            }
        }
    }

    @Test(arguments: patterns.indices, lengths)
    func tilesAgreeWithCells(index: Int, lengths: (Int, Int)) {
        let pattern = Self.patterns[index].0
        let geometry = MaskGeometry(queryLength: lengths.0, keyLength: lengths.1)
        let mask = pattern.mask
        for first in stride(from: 0, to: lengths.0, by: 5) {
            for rows in [1, 4, 8] {
                let queries = first..<min(lengths.0, first + rows)
                let hull = mask.hull(queries: queries, geometry)
                for start in stride(from: 0, to: lengths.1, by: 3) {
                    for width in [1, 4, 16] {
                        let keys = start..<min(lengths.1, start + width)
                        let cells = queries.flatMap { query in
                            keys.map { mask.allows(query: query, key: $0, geometry) }
                        }
                        let coverage = mask.classify(queries: queries, keys: keys, geometry)
                        if coverage == .empty { #expect(!cells.contains(true), "\(pattern) \(queries) \(keys)") }
                        if coverage == .full { #expect(!cells.contains(false), "\(pattern) \(queries) \(keys)") }
                        // Every rule but an axis of three decides emptiness exactly.
                        if coverage == .partial, !"\(pattern)".contains("line") {
                            #expect(cells.contains(true), "\(pattern) \(queries) \(keys)")
                        }
                        if cells.contains(true) { #expect(hull.overlaps(keys), "\(pattern) \(queries) \(keys)") }
                    }
                }
            }
        }
    }

    @Test func randomPairsAreReproducible() {
        let geometry = MaskGeometry(queryLength: 200, keyLength: 300, head: 1)
        let pattern = TokenPattern.random(density: 0.2, seed: 9)
        let cells = pattern.mask.materialize(geometry)
        #expect(cells == TokenPattern.random(density: 0.2, seed: 9).mask.materialize(geometry))
        #expect(cells != TokenPattern.random(density: 0.2, seed: 10).mask.materialize(geometry))
        #expect(cells != pattern.mask.materialize(geometry.seen(by: 0)))
        #expect(abs(Double(cells.count { $0 }) / 60_000 - 0.2) < 0.02)
        for query in 0..<200 { #expect(cells[query * 300 + query + 100]) }
        // A pair does not depend on the lengths.
        let longer = MaskGeometry(queryLength: 300, keyLength: 400, head: 1)
        for key in 0..<300 {
            #expect(
                pattern.allows(query: 3, key: key, longer) == pattern.allows(query: 3, key: key, geometry)
                    || key == 103)
        }
    }

    @Test func masksAreNamedByTheirParameters() {
        #expect(TokenPattern.recent(stride: 3).mask == TokenPattern.recent(stride: 3).mask)
        #expect(TokenPattern.recent(stride: 3).mask != TokenPattern.recent(stride: 4).mask)
        #expect(!TokenPattern.recent(stride: 3).mask.dependsOnHead)
        #expect(TokenPattern.random(density: 0.5, seed: 1).mask.dependsOnHead)
    }
}
