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
    /// Bytes of working memory beyond inputs and outputs, for all threads together.
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
    /// The kind of problem under which the time of ``queryTile`` is noted; `nil` where a rule or the user has chosen it.
    public let tunedKind: String?

    /// A plan.
    public init(
        problem: AttentionProblem, queryTile: Int, keyTile: Int, tasks: Int, workspaceBytes: Int, isa: String,
        threads: Int, density: Double? = nil, tunedKind: String? = nil
    ) {
        self.problem = problem
        self.queryTile = queryTile
        self.keyTile = keyTile
        self.tasks = tasks
        self.workspaceBytes = workspaceBytes
        self.isa = isa
        self.threads = threads
        self.density = density
        self.tunedKind = tunedKind
    }

    /// Bytes this call adds to the process at its peak: working memory, the output and the log-sum-exp.
    public var peakBytes: Int {
        workspaceBytes + problem.outputBytes + problem.batch * problem.heads * problem.queryLength * 4
    }
}
