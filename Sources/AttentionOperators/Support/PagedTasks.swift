import AttentionCore
import Kernels

/// The work of one paged call, cut into tasks.
///
/// A sequence with many queries is cut into blocks of rows that stream through its ranges of keys. One with few queries is
/// cut by ranges: a task computes one range, for all its heads, and for all sequences that find the range in the same pages.
struct PagedTasks: Sendable {
    /// A piece of work for one thread.
    struct Task: Sendable {
        /// The rows, sequence by sequence; all of the same heads.
        var members: [RowBlock]
        /// Ranges of keys, by number.
        let ranges: Range<Int>
        /// Whether the rows' partial results go to ``PagedTasks/Split``; else the task finishes its rows.
        let isPartial: Bool
        /// Whether the next task has the same rows and the keys that follow: the thread that computes this one reads them.
        var goesOn = false

        var rows: Int { members.reduce(0) { $0 + $1.rows } }
    }

    /// A sequence whose ranges run side by side.
    struct Split: Sendable {
        /// All its queries and heads.
        let rows: RowBlock
        let ranges: Range<Int>
        /// Where the first range's partial result lies, in floats.
        let offset: Int

        /// Whether there is something to merge.
        var isMerged: Bool { ranges.count > 1 }
    }

    /// Rows of a sequence that one thread merges: whole queries, or some heads of its only query.
    struct MergePiece: Sendable {
        let split: Split
        let rows: RowBlock
        /// Their place among the rows of the sequence.
        let firstRow: Int
    }

    let problem: AttentionProblem
    /// Keys of a range.
    let keyTile: Int
    let layout: BlockScratch
    private(set) var tasks: [Task] = []
    private(set) var splits: [Split] = []
    /// By sequence: the place of its split.
    private var splitOfBatch: [Int: Int] = [:]
    /// Floats of all partial results.
    private(set) var partialFloats = 0
    private let threads: Int
    /// Rows of a task.
    private let maximumRows: Int

    /// The most ranges of a task whose rows' partial results are kept apart.
    private static let longestRun = 16
    /// Tasks that each thread should find: with two it waits for 5 to 8 % of the time at the end, with sixteen for 2 to 5.
    private static let tasksOfThread = 16

    /// Rows of one sequence that count as few: they are computed on keys in place.
    private static func isFew(_ queries: Int, _ problem: AttentionProblem) -> Bool {
        queries * problem.group <= ZooLimits.fewRows
    }

    /// Cuts a problem.
    /// - Parameters:
    ///   - rows: of a task that streams.
    ///   - pages: tables to look for common pages in; `nil` looks for none.
    init(
        _ problem: AttentionProblem, rows: Int, keyTile: Int, context: ComputeContext, pages: PagedKeys? = nil,
        inputs: AttentionInputs? = nil
    ) {
        self.problem = problem
        self.keyTile = keyTile
        threads = context.threads
        maximumRows = ZooLimits.fewTaskRows
        layout = BlockScratch(
            problem, sizes: TileSizes(rows: maximumRows, keys: keyTile), sharesHeads: false, context: context,
            readsInPlace: true)
        var few: [Int] = []
        for batch in 0..<problem.batch {
            let queries = problem.geometry(batch).queryLength
            if queries == 0 { continue }
            if Self.isFew(queries, problem) { few.append(batch) } else { stream(batch, queries, rows: rows) }
        }
        split(few, pages, inputs)
        sort()
    }

    private mutating func stream(_ batch: Int, _ queries: Int, rows: Int) {
        // A group of very many heads does not fit a task.
        let heads = min(problem.group, maximumRows)
        let step = max(1, rows / heads)
        for start in stride(from: 0, to: queries, by: step) {
            for firstHead in 0..<problem.heads where firstHead % problem.group % heads == 0 {
                let kvHead = firstHead / problem.group
                let block = RowBlock(
                    batch: batch, kvHead: kvHead, firstHead: firstHead,
                    heads: min(heads, (kvHead + 1) * problem.group - firstHead),
                    queries: start..<min(queries, start + step))
                tasks.append(Task(members: [block], ranges: ranges(problem.visibleKeys(block)), isPartial: false))
            }
        }
    }

    /// Numbers of the ranges that hold some keys.
    private func ranges(_ keys: Range<Int>) -> Range<Int> {
        keys.isEmpty ? 0..<0 : keys.lowerBound / keyTile..<(keys.upperBound + keyTile - 1) / keyTile
    }

    private mutating func split(_ sequences: [Int], _ pages: PagedKeys?, _ inputs: AttentionInputs?) {
        for batch in sequences {
            let whole = RowBlock(
                batch: batch, kvHead: 0, kvHeads: problem.kvHeads, firstHead: 0, heads: problem.heads,
                queries: 0..<problem.geometry(batch).queryLength)
            let ranges = ranges(problem.visibleKeys(whole))
            if ranges.isEmpty {
                stream(batch, whole.queries.count, rows: maximumRows)
                continue
            }
            splitOfBatch[batch] = splits.count
            let split = Split(rows: whole, ranges: ranges, offset: partialFloats)
            splits.append(split)
            if split.isMerged { partialFloats += ranges.count * stateFloats(whole.rows) }
        }
        let total = splits.reduce(0) { $0 + $1.ranges.count }
        // Ranges that follow each other are read ahead; many tasks for each thread end together.
        let run = max(1, min(Self.longestRun, total / (Self.tasksOfThread * threads)))
        let heads = headsOfTask(splits.reduce(0) { $0 + ($1.ranges.count + run - 1) / run })
        var common = pages.map { CommonPages($0, problem, keyTile: keyTile, inputs) }
        for (index, split) in splits.enumerated() {
            var alone = split.ranges.lowerBound..<split.ranges.lowerBound
            func flush(before next: Int) {
                if !alone.isEmpty { append([split.rows], alone, kvHeads: heads) }
                alone = next..<next
            }
            for range in split.ranges {
                switch common?.readers(of: index, range: range, splits) ?? .alone {
                case .alone:
                    alone = alone.lowerBound..<range + 1
                    if alone.count == run { flush(before: range + 1) }
                case .together(let readers):
                    flush(before: range + 1)
                    appendCommon(readers.map { splits[$0] }, range, kvHeads: heads)
                case .elsewhere: flush(before: range + 1)
                }
            }
            flush(before: split.ranges.upperBound)
        }
    }

    private mutating func append(_ sequences: [RowBlock], _ ranges: Range<Int>, kvHeads: Int) {
        for kvHead in stride(from: 0, to: problem.kvHeads, by: kvHeads) {
            let members = sequences.map {
                RowBlock(
                    batch: $0.batch, kvHead: kvHead, kvHeads: kvHeads, firstHead: kvHead * problem.group,
                    heads: kvHeads * problem.group, queries: $0.queries)
            }
            tasks.append(Task(members: members, ranges: ranges, isPartial: true))
        }
    }

    /// Sequences that read a range together, in as few tasks as rows fit.
    private mutating func appendCommon(_ sequences: [Split], _ range: Int, kvHeads: Int) {
        let perKey = sequences.reduce(0) { $0 + $1.rows.queries.count } * problem.group
        let fitting = (1...kvHeads).last { kvHeads.isMultiple(of: $0) && perKey * $0 <= maximumRows } ?? 1
        var part: [RowBlock] = []
        var rows = 0
        for sequence in sequences {
            let more = sequence.rows.queries.count * problem.group * fitting
            if rows + more > maximumRows {
                append(part, range..<range + 1, kvHeads: fitting)
                (part, rows) = ([], 0)
            }
            part.append(sequence.rows)
            rows += more
        }
        append(part, range..<range + 1, kvHeads: fitting)
    }

    /// The most key heads of a task for which rows fit and no thread waits long for the last one: heads that lie side by
    /// side are read in order.
    /// - Parameter pieces: tasks if each held all heads.
    private func headsOfTask(_ pieces: Int) -> Int {
        let queries = splits.reduce(1) { max($0, $1.rows.queries.count) }
        if problem.options.mask.dependsOnHead { return 1 }
        let candidates = (1...problem.kvHeads).reversed().filter {
            problem.kvHeads.isMultiple(of: $0) && queries * problem.group * $0 <= ZooLimits.fewTaskRows
        }
        return candidates.first { heads in
            let tasks = problem.kvHeads / heads * pieces
            let rounds = (tasks + threads - 1) / threads
            // A quarter of the time lost in waiting is what reading half as many heads at once would lose.
            return Double(rounds * threads) <= 1.25 * Double(tasks)
        } ?? candidates.last ?? 1
    }

    /// Dearest first, so that the last task to finish is a cheap one.
    private mutating func sort() {
        let costs = tasks.map { task in
            task.members.reduce(0) { $0 + $1.rows } * task.ranges.count + task.ranges.count * 64
        }
        tasks = tasks.indices.sorted { (costs[$1], $0) < (costs[$0], $1) }.map { tasks[$0] }
        for (index, next) in tasks.indices.dropFirst().enumerated() {
            tasks[index].goesOn =
                tasks[index].ranges.upperBound == tasks[next].ranges.lowerBound
                && tasks[index].members == tasks[next].members
        }
    }

    /// How a sequence is split, if it is.
    func split(of batch: Int) -> Split? { splitOfBatch[batch].map { splits[$0] } }

    /// The split of a task that computes every row of one sequence: its state is the sequence's.
    func split(ofWhole task: Task) -> Split? {
        guard task.members.count == 1, task.members[0].kvHeads == problem.kvHeads else { return nil }
        return split(of: task.members[0].batch)
    }

    /// Where the partial result of a range lies.
    func partial(_ split: Split, range: Int, _ base: UnsafeMutablePointer<Float>) -> RowState {
        let rows = split.rows.rows
        return state(base + split.offset + (range - split.ranges.lowerBound) * stateFloats(rows), rows)
    }

    /// What is merged side by side.
    var mergePieces: [MergePiece] {
        splits.filter(\.isMerged).flatMap { split -> [MergePiece] in
            let rows = split.rows
            // One long sequence alone would leave threads idle.
            let parts = rows.queries.count == 1 && splits.count < threads ? min(threads, problem.kvHeads) : 1
            return rows.queries.flatMap { query in
                (0..<parts).map { part in
                    let heads = part * problem.kvHeads / parts..<(part + 1) * problem.kvHeads / parts
                    let block = RowBlock(
                        batch: rows.batch, kvHead: heads.lowerBound, kvHeads: heads.count,
                        firstHead: heads.lowerBound * problem.group, heads: heads.count * problem.group,
                        queries: query..<query + 1)
                    return MergePiece(
                        split: split, rows: block,
                        firstRow: (query - rows.queries.lowerBound) * problem.heads + block.firstHead)
                }
            }
        }
    }

    /// Floats of a thread's scratch memory for merging.
    var mergeFloats: Int { splits.isEmpty ? 0 : 2 * problem.heads }

    /// Floats of the state of so many rows.
    func stateFloats(_ rows: Int) -> Int { rows * layout.outputStride + 2 * rows.roundedUp(to: 16) }

    /// The state of so many rows that begins at an address.
    func state(_ base: UnsafeMutablePointer<Float>, _ rows: Int) -> RowState {
        let rowMax = base + rows * layout.outputStride
        return RowState(
            output: base, outputStride: layout.outputStride, rowMax: rowMax, rowSum: rowMax + rows.roundedUp(to: 16))
    }

    /// Where a range's state lies before it is merged, in a thread's scratch memory.
    var rangeState: Int { layout.total }
    /// Where factors of merges lie.
    var factors: Int { rangeState + stateFloats(maximumRows).roundedUp(to: 16) }
    /// Floats of a thread's scratch memory.
    var scratchFloats: Int { factors + (2 * maximumRows).roundedUp(to: 16) }

    /// Bytes of working memory, for all threads together.
    func workspaceBytes(_ context: ComputeContext) -> Int {
        return Workspace.bytes(floats: scratchFloats) * max(1, min(context.threads, tasks.count))
            + PlannedBytes.list(of: 2 * tasks.count + splits.count + mergePieces.count)
            + (partialFloats == 0 ? 0 : Workspace.bytes(floats: partialFloats))
            + Workspace.bytes(floats: mergeFloats) * context.threads
    }
}

/// Sequences that find ranges of keys in the same pages.
private struct CommonPages {
    private let pages: PagedKeys
    private let keyTile: Int
    private let problem: AttentionProblem
    /// Whether rows of several sequences may share a call: nothing that differs by row may change scores.
    private let isAllowed: Bool
    /// Who computes a range for a sequence.
    enum Readers {
        /// The sequence by itself.
        case alone
        /// These together, by their numbers among the splits.
        case together([Int])
        /// Another sequence does for this one.
        case elsewhere
    }

    /// By range and first page: the sequences, by their numbers among the splits.
    private var candidates: [[Int]: [Int]]?

    init(_ pages: PagedKeys, _ problem: AttentionProblem, keyTile: Int, _ inputs: AttentionInputs?) {
        self.pages = pages
        self.problem = problem
        self.keyTile = keyTile
        isAllowed =
            inputs?.bias == nil && inputs?.mask == nil && inputs?.alibiSlopes == nil && problem.options.dropout == 0
            && problem.options.scoreFunction == nil && !problem.options.mask.dependsOnHead
    }

    /// Who reads a range for a sequence: the first of a group does for all.
    mutating func readers(of index: Int, range: Int, _ splits: [PagedTasks.Split]) -> Readers {
        guard isAllowed, isWhole(range, splits[index]) else { return .alone }
        let all = candidates ?? collect(splits)
        candidates = all
        guard let near = all[key(range, splits[index])], near.count > 1 else { return .alone }
        let keys = range * keyTile..<(range + 1) * keyTile
        let same = near.filter { pages.share(splits[$0].rows.batch, splits[index].rows.batch, keys: keys) }
        if same.count < 2 { return .alone }
        return same.first == index ? .together(same) : .elsewhere
    }

    private func key(_ range: Int, _ split: PagedTasks.Split) -> [Int] {
        [range, pages.blockTables[split.rows.batch][range * keyTile / pages.pageSize], split.rows.queries.count]
    }

    private func collect(_ splits: [PagedTasks.Split]) -> [[Int]: [Int]] {
        var result: [[Int]: [Int]] = [:]
        for (index, split) in splits.enumerated() {
            for range in split.ranges where isWhole(range, split) {
                result[key(range, split), default: []].append(index)
            }
        }
        return result
    }

    /// Whether every query of a sequence sees every key of a range.
    private func isWhole(_ range: Int, _ split: PagedTasks.Split) -> Bool {
        let keys = range * keyTile..<(range + 1) * keyTile
        let geometry = problem.geometry(split.rows.batch)
        guard keys.upperBound <= geometry.keyLength else { return false }
        return problem.options.mask.classify(queries: split.rows.queries, keys: keys, geometry) == .full
    }
}
