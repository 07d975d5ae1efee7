import AttentionCore

/// The part of a problem that one run of a dense program sees.
struct DensePiece: Sendable {
    let sequence: Int
    let heads: Range<Int>
    let kvHeads: Range<Int>
    let queries: Int
    let keys: Int

    /// Every run of a problem; none for sequences without queries or keys.
    static func cut(_ problem: AttentionProblem, scope: DenseScope) -> [DensePiece] {
        (0..<problem.batch).flatMap { sequence -> [DensePiece] in
            let geometry = problem.geometry(sequence)
            // Keys that nobody sees are never looked at.
            let keys =
                problem.options.mask == .full
                ? geometry.keyLength
                : problem.options.mask.band(geometry)?.keys(forAnyOf: 0..<geometry.queryLength).upperBound
                    ?? geometry.keyLength
            guard geometry.queryLength > 0, keys > 0 else { return [] }
            if scope == .sequence {
                return [
                    DensePiece(
                        sequence: sequence, heads: 0..<problem.heads, kvHeads: 0..<problem.kvHeads,
                        queries: geometry.queryLength, keys: keys)
                ]
            }
            return (0..<problem.heads).map { head in
                let kvHead = head / problem.group
                return DensePiece(
                    sequence: sequence, heads: head..<head + 1, kvHeads: kvHead..<kvHead + 1,
                    queries: geometry.queryLength, keys: keys)
            }
        }
    }
}
