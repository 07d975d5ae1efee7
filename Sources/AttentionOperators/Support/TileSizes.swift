import AttentionCore
import Kernels

/// How many queries and keys one step works on.
struct TileSizes: Sendable, Hashable {
    /// Rows of one task, a multiple of the register tile.
    var rows: Int
    /// Keys of one step, a multiple of the panel width.
    ///
    /// Results' last bits depend on it, so it comes from the head dimensions and the machine alone, never from lengths,
    /// batch or threads.
    var keys: Int
    /// Under what measurements of `rows` are noted; `nil` where they are not.
    var tunedKind: String?

    /// The most keys the kernels take at once.
    static let maximumKeys = Int(ZooLimits.keyBlock)

    /// Sizes for a stream of keys past resident queries.
    ///
    /// A quarter of the second-level cache holds a block of keys and values, three eighths hold the queries and the
    /// accumulators: what remains takes the operands on their way in. Measured flat between these and half of them.
    private static func streaming(_ problem: AttentionProblem, context: ComputeContext) -> TileSizes {
        let kernels = context.kernels
        let cache = CPUFacts.current.l2Bytes
        let width = problem.headDim + problem.valueDim.roundedUp(to: kernels.panelWidth)
        let keys = (cache / 4 / (width * 4)) / 64 * 64
        let rows = cache * 3 / 8 / (width * 4)
        return TileSizes(
            rows: min(448, max(rows, 4 * kernels.tileRows)).roundedUp(to: kernels.tileRows),
            keys: min(maximumKeys, max(64, keys)))
    }

    /// Sizes for the tasks of a problem: whole positions when the heads of a group share a task, so that every task holds
    /// at least one query of each.
    static func tasks(_ problem: AttentionProblem, sharing: Bool, context: ComputeContext) -> TileSizes {
        var sizes = streaming(problem, context: context)
            .balanced(totalRows: problem.batch * problem.heads * problem.queryLength, context: context)
        // What is packed once costs nothing in a further task, and short tasks end together.
        if PackedSequence.servesStreams(problem, context: context) { sizes.rows = min(sizes.rows, smallest(context)) }
        if sharing { sizes.rows = max(sizes.rows / problem.group, 1) * problem.group }
        return sizes.tuned(problem, sharing: sharing, context: context)
    }

    /// The rows that measurements on this machine recommend, or that are to be measured.
    private func tuned(_ problem: AttentionProblem, sharing: Bool, context: ComputeContext) -> TileSizes {
        // Below this a call's time says more about the machine's noise than about tiles.
        let operations =
            Double(problem.batch * problem.heads) * Double(problem.queryLength * problem.keyLength)
            * Double(2 * (problem.headDim + problem.valueDim))
        // Where memory is limited, it decides.
        guard let tuning = context.tuning, context.maxBytes == nil, operations > 1e8,
            problem.queryLength > ZooLimits.fewRows
        else {
            return self
        }
        let unit = sharing ? problem.group : 1
        let candidates = Set([rows] + [4, 8, 16, 32].map { ($0 * context.kernels.tileRows).roundedUp(to: unit) })
        var result = self
        let kind = problem.tunedKind(sharing: sharing, context: context)
        result.tunedKind = kind
        result.rows = tuning.candidate(for: kind, rule: rows, among: candidates.sorted())
        return result
    }

    /// Rows below which a task's own costs begin to show.
    static func smallest(_ context: ComputeContext) -> Int { 8 * max(context.kernels.tileRows, 12) }

    /// Fewer rows for each task, so that every thread gets several and none waits long for the last.
    ///
    /// Never changes bits.
    private func balanced(totalRows: Int, context: ComputeContext) -> TileSizes {
        let share = totalRows / (4 * context.threads)
        var result = self
        let smallest = min(rows, Self.smallest(context).roundedUp(to: context.kernels.tileRows))
        result.rows = min(rows, max(smallest, share.roundedUp(to: context.kernels.tileRows)))
        return result
    }
}
