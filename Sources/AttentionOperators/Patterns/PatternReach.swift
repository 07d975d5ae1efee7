import AttentionCore

/// Which positions have reached which, as a matrix of bits: what applying a pattern again and again leads to, where a
/// residual connection keeps what a position had.
struct PatternReach: Equatable {
    private let length: Int
    private let words: Int
    private var bits: [UInt64]

    /// What one application reaches.
    init(_ mask: AttentionMask, _ geometry: MaskGeometry) {
        length = geometry.queryLength
        words = (geometry.keyLength + 63) / 64
        bits = [UInt64](repeating: 0, count: length * words)
        for query in 0..<length {
            for key in 0..<geometry.keyLength where mask.allows(query: query, key: key, geometry) {
                bits[query * words + key / 64] |= 1 << UInt64(key % 64)
            }
            bits[query * words + query / 64] |= 1 << UInt64(query % 64)
        }
    }

    /// What is reached after another application: a query has all that the positions it sees had.
    func followed(by next: PatternReach) -> PatternReach {
        var result = self
        for query in 0..<length {
            var row = [UInt64](repeating: 0, count: words)
            for key in 0..<length where next.bits[query * words + key / 64] >> UInt64(key % 64) & 1 == 1 {
                for word in 0..<words { row[word] |= bits[key * words + word] }
            }
            result.bits.replaceSubrange(query * words..<(query + 1) * words, with: row)
        }
        return result
    }
}
