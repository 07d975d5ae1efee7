import TensorCore

/// How an operator will compute a problem: immutable, printable, made before any memory is allocated.
public struct AttentionPlan: Sendable, Hashable {
    /// The problem that was planned.
    public let problem: AttentionProblem
    /// Query rows that one task works on.
    public let queryTile: Int
    /// Keys that one step reads.
    public let keyTile: Int
    /// Independent pieces of work.
    public let tasks: Int
    /// Bytes of working memory beyond inputs and results, for all threads together.
    public let workspaceBytes: Int
    /// Instruction set of the kernels.
    public let isa: String
    /// Threads the work is spread over.
    ///
    /// Never changes a result.
    public let threads: Int
    /// The part of all blocks of the score matrix that is computed, from 0 to 1; `nil` where the operator has no blocks to
    /// leave out.
    public let density: Double?
    /// Bytes of the results: the output, and the log-sum-exp where there is one.
    public let resultBytes: Int
    /// The kind of problem under which the time of ``queryTile`` is noted; `nil` where a rule or the user has chosen it.
    public let tunedKind: String?
    /// What the operator has worked out beside the plan, for itself.
    package var prepared = PreparedWork()

    /// A plan.
    public init(
        problem: AttentionProblem, queryTile: Int, keyTile: Int, tasks: Int, workspaceBytes: Int, isa: String,
        threads: Int, density: Double? = nil, hasLogSumExp: Bool = true, tunedKind: String? = nil
    ) {
        self.problem = problem
        self.queryTile = queryTile
        self.keyTile = keyTile
        self.tasks = tasks
        self.workspaceBytes = workspaceBytes
        self.isa = isa
        self.threads = threads
        self.density = density
        resultBytes = problem.outputBytes + (hasLogSumExp ? problem.logSumExpBytes : 0)
        self.tunedKind = tunedKind
    }

    /// The most bytes that the call holds at once beyond its inputs: working memory and results.
    ///
    /// Operands are taken to lie as kernels read them, with a dense last dimension; others are copied first. What OpenBLAS
    /// keeps for itself is not counted.
    public var peakBytes: Int { workspaceBytes + resultBytes }
}

/// What an operator has worked out while it planned, so that calls that follow the plan need not do so again.
///
/// It follows from the rest of the plan: plans are equal whatever they hold of it.
package struct PreparedWork: Sendable, Hashable {
    /// The operator's own type; `nil` for an operator that works nothing out.
    package let work: (any Sendable)?

    /// Something to keep with a plan.
    package init(_ work: (any Sendable)? = nil) { self.work = work }

    /// True.
    package static func == (_: PreparedWork, _: PreparedWork) -> Bool { true }

    /// Feeds nothing.
    package func hash(into _: inout Hasher) {}
}

/// How an operator will compute the gradients of a problem, given the output.
public struct GradientPlan: Sendable, Hashable {
    /// Threads the work is spread over.
    ///
    /// Never changes a result.
    public let threads: Int
    /// Pairs of sequence and key head whose sums are in memory at once.
    ///
    /// Never changes a result.
    public let pairsAtOnce: Int
    /// Bytes of working memory beyond operands and gradients, for all threads together.
    public let workspaceBytes: Int
    /// Bytes of the gradients.
    public let resultBytes: Int

    /// A plan.
    public init(threads: Int, pairsAtOnce: Int, workspaceBytes: Int, resultBytes: Int) {
        self.threads = threads
        self.pairsAtOnce = pairsAtOnce
        self.workspaceBytes = workspaceBytes
        self.resultBytes = resultBytes
    }

    /// The most bytes that the call holds at once beyond its operands; see ``AttentionPlan/peakBytes``.
    public var peakBytes: Int { workspaceBytes + resultBytes }
}

extension AttentionProblem {
    /// Bytes of the log-sum-exp.
    package var logSumExpBytes: Int { queryRows * heads * 4 }

    /// Bytes of the gradients by query, key, value, bias and sinks.
    package var gradientBytes: Int {
        (queryCount + keyCount + valueCount + (biasShape?.count ?? 0)) * dtype.byteWidth + (hasSinks ? heads * 4 : 0)
    }

    /// Bytes of query, key and value in Float where they are of another type.
    package var widenedBytes: Int { dtype == .float32 ? 0 : 4 * (queryCount + keyCount + valueCount) }

    /// Elements of the queries.
    package var queryCount: Int { batch * queryLength * heads * headDim }
    /// Elements of the keys.
    package var keyCount: Int { batch * keyLength * kvHeads * headDim }
    /// Elements of the values.
    package var valueCount: Int { batch * keyLength * kvHeads * valueDim }
    /// Elements of the output.
    package var outputCount: Int { batch * queryLength * heads * valueDim }
}
