import AttentionCore
import Testing

/// Masks written as expressions: the same cells as plain Swift, and tiles that intervals decide.
@Suite struct MaskExpressionTests {
    private static let geometry = MaskGeometry(queryLength: 40, keyLength: 50, batch: 1, head: 2)

    private static let pairs: [(name: String, expression: MaskCondition, plain: @Sendable (Int, Int) -> Bool)] = [
        ("causal", .key .<= .query, { $1 <= $0 }),
        ("dilated", (.key .<= .query) .& ((.query - .key) % 4 .== 0), { $1 <= $0 && ($0 - $1) % 4 == 0 }),
        ("window", abs(.query - .key) .< 7, { abs($0 - $1) < 7 }),
        ("blocks", .query / 8 .== .key / 8, { $0 / 8 == $1 / 8 }),
        ("negative", (.key - .query) / 4 .>= -2, { Int((Double($1 - $0) / 4).rounded(.down)) >= -2 }),
        ("by head", (.key + .head) % 3 .!= 0, { _, key in (key + 2) % 3 != 0 }),
        ("by batch", .key .> .batch * 10, { $1 > 10 }),
        ("bottom right", .key .<= .query + .keyLength - .queryLength, { $1 <= $0 + 10 }),
        ("either", (.key .< 5) .| .!(.key .< 45), { $1 < 5 || $1 >= 45 }),
        ("by zero", .query % 0 .== .key / 0, { _, _ in true }),
    ]

    @Test(arguments: pairs.indices)
    func expressionsAreTheirCells(index: Int) {
        let (name, expression, plain) = Self.pairs[index]
        let mask = AttentionMask.function(MaskFunction(name, where: expression))
        for query in 0..<40 {
            for key in 0..<50 {
                #expect(
                    mask.allows(query: query, key: key, Self.geometry) == plain(query, key), "\(name) \(query) \(key)")
            }
        }
    }

    @Test(arguments: pairs.indices)
    func tilesAgreeWithTheirCells(index: Int) {
        let (name, expression, plain) = Self.pairs[index]
        let mask = AttentionMask.function(MaskFunction(name, where: expression))
        for queries in [0..<1, 0..<8, 5..<13, 16..<24, 30..<40] {
            for keys in [0..<1, 0..<8, 3..<20, 16..<24, 44..<50] {
                let cells = queries.flatMap { query in keys.map { plain(query, $0) } }
                switch mask.classify(queries: queries, keys: keys, Self.geometry) {
                case .empty: #expect(!cells.contains(true), "\(name) \(queries) \(keys)")
                case .full: #expect(!cells.contains(false), "\(name) \(queries) \(keys)")
                case .partial: break
                }
            }
        }
    }

    @Test func intervalsDecideWhatTheyCan() {
        func coverage(_ condition: MaskCondition, _ queries: Range<Int>, _ keys: Range<Int>) -> TileCoverage {
            AttentionMask.function(MaskFunction("tile", where: condition))
                .classify(queries: queries, keys: keys, Self.geometry)
        }
        #expect(coverage(.key .<= .query, 16..<24, 0..<8) == .full)
        #expect(coverage(.key .<= .query, 0..<8, 16..<24) == .empty)
        #expect(coverage(.key .<= .query, 0..<8, 0..<8) == .partial)
        #expect(coverage(.query / 8 .== .key / 8, 8..<16, 8..<16) == .full)
        #expect(coverage(.query / 8 .== .key / 8, 8..<16, 16..<24) == .empty)
        #expect(coverage(abs(.query - .key) .< 7, 0..<8, 20..<30) == .empty)
    }
}
