import AttentionCore
import Kernels
import TensorCore

/// One call of paged attention.
struct PagedRun: @unchecked Sendable {
    private let tasks: PagedTasks
    private let problem: AttentionProblem
    private let context: ComputeContext
    private let layout: BlockScratch
    private let modifiers: BlockModifiers
    private let query: OperandView
    private let key: OperandView
    private let value: OperandView
    private let scales: ScaleView?
    private let pages: PagedKeys?
    /// Keeps the operands' memory alive while tasks read it.
    private let inputs: AttentionInputs

    init(_ inputs: AttentionInputs, tasks: PagedTasks, context: ComputeContext) throws(AttentionError) {
        self.inputs = inputs
        self.tasks = tasks
        self.context = context
        problem = tasks.problem
        layout = tasks.layout
        modifiers = try BlockModifiers(problem, inputs)
        query = OperandView(inputs.query)
        key = OperandView(inputs.key)
        value = OperandView(inputs.value)
        scales = ScaleView(inputs)
        pages = inputs.pages
    }

    /// Runs every task, then merges what ran side by side.
    func run() -> AttentionOutput {
        let writer = OutputWriter(problem, sinks: inputs.sinks, queryStarts: pages?.queryStarts)
        let partial = Workspace.take(floats: max(1, tasks.partialFloats))
        defer { Workspace.giveBack(partial) }
        let base = SendablePointer(partial.base)
        context.parallelInShares(tasks.tasks.count, scratchFloats: tasks.scratchFloats) { index, scratch in
            let task = tasks.tasks[index]
            let state = layout.state(scratch)
            lineUp(task, scratch)
            guard task.isPartial else {
                compute(task, state: state, scratch)
                return writer.write(task.members[0], state, kernels: context.kernels)
            }
            for range in task.ranges { computePart(task, range, scratch, base.base, writer) }
        }
        let pieces = tasks.mergePieces
        context.parallel(pieces.count, scratchFloats: tasks.mergeFloats) { index, factors in
            finish(pieces[index], base.base, factors, writer)
        }
        return writer.result
    }

    /// One range of a task whose ranges run side by side, into the partial results of its sequences; into the output where
    /// it is a sequence's only one.
    private func computePart(
        _ task: PagedTasks.Task, _ range: Int, _ scratch: UnsafeMutablePointer<Float>,
        _ base: UnsafeMutablePointer<Float>, _ writer: OutputWriter
    ) {
        if let split = tasks.split(ofWhole: task), split.isMerged {
            let state = tasks.partial(split, range: range, base)
            state.reset(rows: task.rows)
            attend(task, range, state: state, scratch)
            return
        }
        let state = layout.state(scratch)
        state.reset(rows: task.rows)
        attend(task, range, state: state, scratch)
        var row = 0
        for member in task.members {
            guard let split = tasks.split(of: member.batch) else { continue }
            if split.isMerged {
                copy(state, from: row, member, to: tasks.partial(split, range: range, base))
            } else {
                writer.write(member, state.from(row: row), kernels: context.kernels)
            }
            row += member.rows
        }
    }

    /// A task's ranges, merged in order.
    private func compute(_ task: PagedTasks.Task, state: RowState, _ scratch: UnsafeMutablePointer<Float>) {
        state.reset(rows: task.rows)
        var isFirst = true
        for range in task.ranges {
            if isFirst {
                attend(task, range, state: state, scratch)
                isFirst = false
                continue
            }
            let other = tasks.state(scratch + tasks.rangeState, task.rows)
            other.reset(rows: task.rows)
            if attend(task, range, state: other, scratch) {
                context.kernels.merge(
                    other, into: state, rows: task.rows, valueDim: problem.valueDim, factors: scratch + tasks.factors)
            }
        }
    }

    /// Puts a task's queries one behind the other, scaled.
    private func lineUp(_ task: PagedTasks.Task, _ scratch: UnsafeMutablePointer<Float>) {
        let scale = problem.scale * BlockModifiers.log2e
        let lines = scratch + layout.queryTiles
        let stride = layout.queryStride
        var place = 0
        for member in task.members {
            for row in 0..<member.rows {
                let target = lines + place * stride
                context.kernels.toFloat(
                    target, from: address(member.batch, member.query(row), head: member.head(row)), code: query.code,
                    count: problem.headDim)
                for d in 0..<problem.headDim { target[d] *= scale }
                for d in problem.headDim..<stride { target[d] = 0 }
                place += 1
            }
        }
    }

    private func address(_ batch: Int, _ position: Int, head: Int) -> UnsafeRawPointer {
        guard let starts = pages?.queryStarts else { return query.row(batch, position, head: head) }
        return query.row(0, starts[batch] + position, head: head)
    }

    /// Adds a range to a state that has seen no key; false when no row sees any of it.
    @discardableResult
    private func attend(
        _ task: PagedTasks.Task, _ range: Int, state: RowState, _ scratch: UnsafeMutablePointer<Float>
    ) -> Bool {
        let rows = task.members[0]
        let geometry = problem.geometry(rows.batch)
        let keys = range * tasks.keyTile..<min((range + 1) * tasks.keyTile, geometry.keyLength)
        var values = ScoreModifiers()
        values.softcap = (problem.options.softcap ?? 0) * BlockModifiers.log2e
        if task.members.count == 1 {
            let band = problem.options.mask.band(geometry)
            let coverage = modifiers.coverage(rows, keys: keys, band: band, geometry)
            if coverage == .empty { return false }
            values = modifiers.make(
                rows, keys: keys, coverage: coverage, band: band, geometry, scratch: scratch, layout: layout)
        }
        let following =
            range + 1 < task.ranges.upperBound || task.goesOn
            ? min(tasks.keyTile, geometry.keyLength - keys.upperBound) : 0
        attendFew(task, origin(rows, keys), keys, following: following, state, values, scratch)
        return true
    }

    /// Where the keys of a range lie: addresses of slot 0, and the slots.
    private struct Origin {
        let key: UnsafeRawPointer
        let value: UnsafeRawPointer
        let slots: UnsafePointer<Int32>?
        let scales: KeyValueScales?
    }

    private func origin(_ rows: RowBlock, _ keys: Range<Int>) -> Origin {
        guard let pages else {
            return Origin(
                key: key.row(rows.batch, keys.lowerBound, head: rows.kvHead),
                value: value.row(rows.batch, keys.lowerBound, head: rows.kvHead), slots: nil,
                scales: scales?.block(rows.batch, keys.lowerBound, head: rows.kvHead))
        }
        return Origin(
            key: key.row(0, 0, head: rows.kvHead), value: value.row(0, 0, head: rows.kvHead),
            slots: pages.slots.pointer(rows.batch, key: keys.lowerBound), scales: scales?.block(0, 0, head: rows.kvHead)
        )
    }

    private func attendFew(
        _ task: PagedTasks.Task, _ origin: Origin, _ keys: Range<Int>, following: Int, _ state: RowState,
        _ values: ScoreModifiers, _ scratch: UnsafeMutablePointer<Float>
    ) {
        let rows = task.members[0]
        let operands = FewOperands(
            rows: task.rows, kvHeads: rows.kvHeads, group: rows.kvHeads > 1 ? rows.headsPerKey : task.rows,
            headDim: problem.headDim, valueDim: problem.valueDim, query: scratch + layout.queryTiles,
            queryStride: layout.queryStride, key: origin.key, keyStride: key.rowStride, keyHeadStride: key.headStride,
            value: origin.value, valueStride: value.rowStride, valueHeadStride: value.headStride, code: key.code,
            slots: origin.slots, following: following, scales: origin.scales)
        context.kernels.attendFew(
            operands, keys: keys.count, state: state, scores: scratch + layout.scores, sums: scratch + layout.fewSums,
            modifiers: values)
    }

    /// Copies a member's rows of a task to a partial result of its sequence.
    private func copy(_ state: RowState, from first: Int, _ member: RowBlock, to target: RowState) {
        for query in 0..<member.queries.count {
            let source = first + query * member.heads
            let row = query * problem.heads + member.firstHead
            (target.output + row * layout.outputStride).update(
                from: state.output + source * layout.outputStride, count: member.heads * layout.outputStride)
            (target.rowMax + row).update(from: state.rowMax + source, count: member.heads)
            (target.rowSum + row).update(from: state.rowSum + source, count: member.heads)
        }
    }

    /// Merges the ranges of some rows of a sequence in order and writes them.
    private func finish(
        _ piece: PagedTasks.MergePiece, _ base: UnsafeMutablePointer<Float>, _ factors: UnsafeMutablePointer<Float>,
        _ writer: OutputWriter
    ) {
        let ranges = piece.split.ranges
        func part(_ range: Int) -> RowState {
            tasks.partial(piece.split, range: range, base).from(row: piece.firstRow)
        }
        let state = part(ranges.lowerBound)
        for range in ranges.dropFirst() {
            context.kernels.merge(
                part(range), into: state, rows: piece.rows.rows, valueDim: problem.valueDim, factors: factors)
        }
        writer.write(piece.rows, state, kernels: context.kernels)
    }
}
