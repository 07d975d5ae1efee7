import AttentionCore
import Kernels

/// How a problem is cut along the blocks of its mask.
struct SparsePlan: Sendable {
    /// One task: rows and the key blocks that they see.
    struct Task: Sendable {
        let rows: RowBlock
        let keys: [Range<Int>]

        /// Pairs of rows and keys.
        var cost: Int { keys.reduce(0) { $0 + $1.count } * rows.rows }
    }

    let index: KeyBlockIndex
    /// The problem with what listed blocks leave of the mask.
    let rest: AttentionProblem
    let layout: BlockScratch
    private let problem: AttentionProblem
    private let headsPerTask: Int
    private let blockRowsPerTask: Int
    private let dependsOnHead: Bool
    private let panelWidth: Int
    /// Whether blocks end within a panel of registers, so that keys are lined up before they are packed.
    let isStaged: Bool
    /// Pairs of sequence and key head that may be packed at once; 0 packs for each task.
    private(set) var packedPairs: Int
    private(set) var threads: Int

    /// The most rows of a task whose heads share their keys: what the caches hold beside the keys.
    private static let sharedRows = 448

    /// The quickest plan that keeps to the context's bytes.
    ///
    /// Where they are short fewer keys are packed at once, then tasks have fewer rows, then there are fewer threads: none of
    /// this changes a bit.
    /// - Parameter problem: the problem with everything that hides keys in its mask.
    init(_ problem: AttentionProblem, blockSize: Int, context: ComputeContext) {
        self.init(problem, blockSize: blockSize, rowLimit: .max, context: context)
        guard let maxBytes = context.maxBytes else { return }
        let results = problem.outputBytes + problem.logSumExpBytes
        var fewest = Int.max
        for threads in PlannedBytes.halves(of: context.threads) {
            for rowLimit in [Int.max, Self.sharedRows / 2, 1] {
                var plan = SparsePlan(
                    problem, blockSize: blockSize, rowLimit: rowLimit, context: context.with(threads: threads))
                let tasks = plan.tasks()
                let most = plan.packsOnce(tasks) ? plan.packedPairs : 0
                for pairs in (most > 0 ? PlannedBytes.halves(of: most) : []) + [0] {
                    plan.packedPairs = pairs
                    let bytes = results + plan.workspaceBytes(tasks)
                    if bytes < fewest { (self, fewest) = (plan, bytes) }
                    if bytes <= maxBytes { return }
                }
            }
        }
    }

    private init(_ problem: AttentionProblem, blockSize: Int, rowLimit: Int, context: ComputeContext) {
        self.problem = problem
        threads = context.threads
        packedPairs = min(
            problem.batch * problem.kvHeads,
            PackedSequence.pairsAtOnce(problem, panelWidth: context.kernels.panelWidth))
        index = KeyBlockIndex(problem.options.mask, blockSize: blockSize)
        var rest = problem
        rest.options.mask = index.rest
        self.rest = rest
        dependsOnHead = problem.options.mask.dependsOnHead
        panelWidth = context.kernels.panelWidth
        isStaged = blockSize % panelWidth != 0
        var sizes = TileSizes.tasks(problem, sharing: false, context: context.untuned)
        // Heads that read the same keys share a task as far as their rows fit. Threads must not enter into it: how few
        // rows are read depends on the heads of a task.
        let group = dependsOnHead ? 1 : problem.group
        headsPerTask = (1...max(1, group)).last { group % $0 == 0 && $0 * blockSize <= Self.sharedRows } ?? 1
        blockRowsPerTask = max(1, min(sizes.rows, rowLimit) / (blockSize * headsPerTask))
        sizes.rows = blockRowsPerTask * blockSize * headsPerTask
        sizes.keys = max(sizes.keys, blockSize)
        layout = BlockScratch(rest, sizes: sizes, sharesHeads: headsPerTask > 1, context: context)
    }

    /// Floats of scratch that one worker needs: the tiles, and keys that are lined up.
    var scratchFloats: Int { layout.total + layout.keys * max(problem.headDim, problem.valueDim) }

    /// The keys that rows of one block of queries see, by blocks.
    func keyBlocks(for rows: RowBlock) -> [Range<Int>] {
        let geometry = problem.geometry(rows.batch, head: rows.firstHead)
        return index.keyBlocks(queries: rows.queries, geometry).map { index.keys(of: $0, geometry) }
    }

    /// Every task, dearest first, so that the last one to finish is a cheap one.
    ///
    /// Cost: O(listed blocks), times heads where heads see different keys.
    func tasks() -> [Task] {
        var tasks: [Task] = []
        for batch in 0..<problem.batch {
            var shared: [Task]?
            for firstHead in stride(from: 0, to: problem.heads, by: headsPerTask) {
                let own = dependsOnHead ? nil : shared
                let cut = own ?? self.tasks(batch: batch, firstHead: firstHead)
                shared = cut
                tasks += cut.map { Task(rows: rows(batch, firstHead, $0.rows.queries), keys: $0.keys) }
            }
        }
        // Tasks of about the same cost keep their order: neighbours read the same head's keys from the caches.
        return tasks.enumerated()
            .map { (cost: Int.bitWidth - $0.element.cost.leadingZeroBitCount, order: $0.offset, task: $0.element) }
            .sorted { ($1.cost, $0.order) < ($0.cost, $1.order) }
            .map(\.task)
    }

    private func tasks(batch: Int, firstHead: Int) -> [Task] {
        var tasks: [Task] = []
        let length = problem.geometry(batch).queryLength
        for start in stride(from: 0, to: length, by: index.blockSize) {
            let block = rows(batch, firstHead, start..<min(length, start + index.blockSize))
            let keys = keyBlocks(for: block)
            if let last = tasks.last, last.keys == keys,
                block.queries.upperBound - last.rows.queries.lowerBound <= blockRowsPerTask * index.blockSize
            {
                let queries = last.rows.queries.lowerBound..<block.queries.upperBound
                tasks[tasks.count - 1] = Task(rows: rows(batch, firstHead, queries), keys: keys)
            } else {
                tasks.append(Task(rows: block, keys: keys))
            }
        }
        return tasks
    }

    private func rows(_ batch: Int, _ firstHead: Int, _ queries: Range<Int>) -> RowBlock {
        RowBlock(
            batch: batch, kvHead: firstHead / problem.group, firstHead: firstHead, heads: headsPerTask,
            queries: queries)
    }

    /// How often a key must be read on average for packing all of them once to pay.
    private static let worthwhileReads = 3

    /// Whether keys are packed once for all tasks: never changes a bit.
    func packsOnce(_ tasks: [Task]) -> Bool {
        let countsKeys = problem.hasALiBi || problem.options.dropout > 0 || problem.options.scoreFunction != nil
        let isShort = tasks.contains {
            problem.geometry($0.rows.batch).queryLength * $0.rows.heads <= ZooLimits.fewRows
        }
        guard !countsKeys, !isShort, !isStaged, packedPairs > 0 else { return false }
        let reads = tasks.reduce(0) { $0 + $1.keys.reduce(0) { $0 + $1.count } }
        let keys = (0..<problem.batch).reduce(0) { $0 + problem.geometry($1).keyLength } * problem.kvHeads
        return reads >= Self.worthwhileReads * keys
    }

    /// The plan of the problem as it was given, without the operator's pattern.
    func plan(for given: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        let tasks = tasks()
        let pairs = tasks.reduce(0) { $0 + $1.cost }
        let all = (0..<problem.batch).reduce(0) { total, batch in
            let geometry = problem.geometry(batch)
            return total + geometry.queryLength * geometry.keyLength * problem.heads
        }
        return AttentionPlan(
            problem: given, queryTile: blockRowsPerTask * index.blockSize * headsPerTask, keyTile: layout.keys,
            tasks: tasks.count, workspaceBytes: workspaceBytes(tasks), isa: context.isa, threads: threads,
            density: all == 0 ? 0 : Double(pairs) / Double(all))
    }

    /// Bytes of working memory: scratch of each thread, packed keys, and the lists of tasks and their key blocks.
    private func workspaceBytes(_ tasks: [Task]) -> Int {
        let packed =
            packsOnce(tasks)
            ? PackedSequence.bytes(problem, panelWidth: panelWidth, pairs: packedPairs, blockSize: index.blockSize) : 0
        // Heads that see the same keys share one list.
        let listed = tasks.reduce(0) { $0 + (dependsOnHead || $1.rows.firstHead == 0 ? 32 + 16 * $1.keys.count : 0) }
        return Workspace.bytes(floats: scratchFloats) * max(1, min(threads, tasks.count)) + packed
            + PlannedBytes.list(of: 2 * tasks.count) + listed + index.layoutBytes
    }
}
