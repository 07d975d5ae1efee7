import AttentionCore

/// One task: consecutive queries of one sequence, for the heads that share a key head, for one of them, or for all heads
/// of several key heads (``TiledAttention/joiningHeads(_:pieces:)``).
///
/// Rows are ordered by position, then head, so that a register tile spans few positions and skips hidden keys early.
struct RowBlock: Sendable, Equatable {
    let batch: Int
    let kvHead: Int
    /// Key heads from `kvHead` on.
    var kvHeads = 1
    let firstHead: Int
    let heads: Int
    let queries: Range<Int>

    var rows: Int { queries.count * heads }

    /// Query heads that share each key head.
    var headsPerKey: Int { heads / kvHeads }

    /// The head of a row.
    func head(_ row: Int) -> Int { firstHead + row % heads }
    /// The query of a row.
    func query(_ row: Int) -> Int { queries.lowerBound + row / heads }

    /// Cuts a problem into tasks of about `rows` rows, dearest first, so that the last task to finish is a cheap one.
    ///
    /// - Parameter sharing: whether all heads of a group go into one task.
    static func cut(_ problem: AttentionProblem, rows: Int, sharing: Bool) -> [RowBlock] {
        let heads = sharing ? problem.group : 1
        let step = max(1, rows / heads)
        let dependsOnHead = problem.options.mask.dependsOnHead
        var blocks: [(cost: Int, block: RowBlock)] = []
        for batch in 0..<problem.batch {
            let geometry = problem.geometry(batch)
            for start in stride(from: 0, to: geometry.queryLength, by: step) {
                let queries = start..<min(geometry.queryLength, start + step)
                var keys: Int?
                for firstHead in stride(from: 0, to: problem.heads, by: heads) {
                    let block = RowBlock(
                        batch: batch, kvHead: firstHead / problem.group, firstHead: firstHead, heads: heads,
                        queries: queries)
                    if keys == nil || dependsOnHead { keys = problem.visibleKeys(block).count }
                    blocks.append(((keys ?? 0) * block.rows, block))
                }
            }
        }
        return blocks.enumerated()
            .sorted { ($1.element.cost, $0.offset) < ($0.element.cost, $1.offset) }
            .map(\.element.block)
    }
}

extension AttentionProblem {
    /// One range that holds every key that some row of a task sees.
    func visibleKeys(_ rows: RowBlock) -> Range<Int> {
        let geometry = geometry(rows.batch)
        let mask = options.mask
        let first = mask.hull(queries: rows.queries, geometry.seen(by: rows.firstHead))
        guard rows.heads > 1, mask.dependsOnHead else { return first }
        return (1..<rows.heads).reduce(first) { keys, head in
            keys.hull(mask.hull(queries: rows.queries, geometry.seen(by: rows.firstHead + head)))
        }
    }
}
