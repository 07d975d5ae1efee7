import AttentionCore
import Kernels
import TensorCore

extension AttentionCapabilities {
    /// What every operator on the tiled kernels honours.
    static func tiled(workingMemory: String, arithmetic: String) -> AttentionCapabilities {
        AttentionCapabilities(
            dtypes: [.float32, .float16, .bfloat16], headDims: 1...4096,
            features: Set(AttentionFeature.allCases)
                .subtracting([.dtype, .headDim, .configuration, .gradients, .memory, .pages]),
            exactness: .exact,
            workingMemory: workingMemory, arithmetic: arithmetic, hasGradients: true)
    }
}

extension AttentionPlan {
    /// The plan of an operator whose tasks each take one workspace.
    /// - Parameter sharedBytes: working memory beside the tasks' own.
    /// - Parameter pieces: of work, where tasks are cut again.
    static func tiled(
        _ problem: AttentionProblem, sizes: TileSizes, sharing: Bool, scratchFloats: Int, context: ComputeContext,
        packsOnce: Bool = false, sharedBytes: Int = 0, pieces: Int? = nil
    ) -> AttentionPlan {
        let heads = sharing ? problem.group : 1
        let step = max(1, sizes.rows / heads)
        let blocks = (0..<problem.batch).reduce(0) { total, batch in
            total + (problem.geometry(batch).queryLength + step - 1) / step * (problem.heads / max(1, heads))
        }
        let tasks = pieces ?? blocks
        let packed = packsOnce ? PackedSequence.streamedBytes(problem, keys: sizes.keys, context: context) : 0
        return AttentionPlan(
            problem: problem, queryTile: sizes.rows, keyTile: sizes.keys, tasks: tasks,
            workspaceBytes: Workspace.bytes(floats: scratchFloats) * max(1, min(context.threads, tasks))
                + PlannedBytes.list(of: blocks + tasks) + packed + sharedBytes,
            isa: context.isa, threads: context.threads, tunedKind: sizes.tunedKind)
    }

    /// The first of ever smaller plans that keeps to the context's bytes: fewer rows for each task, then fewer threads; the
    /// smallest when none does.
    ///
    /// None of this changes a bit of the result; keys of a step would, so they stay.
    /// - Parameters:
    ///   - rows: of a task, where memory is not short.
    ///   - unit: what rows are counted in, and the fewest.
    static func fitting(
        _ context: ComputeContext, rows: Int, unit: Int,
        _ plan: (_ rows: Int, _ context: ComputeContext) -> AttentionPlan
    ) -> AttentionPlan {
        var smallest = plan(rows, context)
        guard let maxBytes = context.maxBytes, smallest.peakBytes > maxBytes else { return smallest }
        for threads in PlannedBytes.halves(of: context.threads) {
            var rows = rows
            while true {
                let next = plan(rows, context.with(threads: threads))
                if next.peakBytes <= maxBytes { return next }
                // Smaller tasks are more tasks: not every step is smaller than the one before.
                if next.peakBytes < smallest.peakBytes { smallest = next }
                if rows <= unit { break }
                rows = max(unit, (rows / 2).roundedUp(to: unit) < rows ? (rows / 2).roundedUp(to: unit) : unit)
            }
        }
        return smallest
    }
}

extension AttentionPlan {
    /// The workspaces that a call of tasks which find their keys packed leaves for the next step.
    func kept(_ context: ComputeContext) -> KeptWorkspaces {
        let packed = PackedSequence.streamedBytes(problem, keys: keyTile, context: context)
        let count = max(1, min(threads, tasks))
        let scratch = max(0, workspaceBytes - PlannedBytes.list(of: 2 * tasks) - packed) / count
        return KeptWorkspaces(
            sizes: ([Int](repeating: scratch, count: count) + [packed]).filter { $0 > 0 }
                .map { Workspace.keptBytes(floats: $0 / 4) }.filter { $0 > 0 })
    }
}

/// Workspaces that an earlier step of a call has left: used again where they are large enough, else freed one by one as
/// larger ones are taken.
struct KeptWorkspaces {
    static let none = KeptWorkspaces(sizes: [])

    /// Bytes of each.
    let sizes: [Int]

    /// Bytes of all.
    var allBytes: Int { sizes.reduce(0, +) }

    /// Bytes of all workspaces when these have been taken one after the other, as ``Kernels/Workspace/take(floats:)`` does.
    func bytes(taking wanted: [Int]) -> Int {
        var kept = sizes
        var held = 0
        for bytes in wanted {
            let fitting = kept.indices.filter { kept[$0] >= bytes }
            if let index = fitting.min(by: { kept[$0] < kept[$1] }) {
                held += kept.remove(at: index)
            } else {
                _ = kept.popLast()
                held += bytes
            }
        }
        return held + kept.reduce(0, +)
    }
}

extension GradientPlan {
    /// The first plan that keeps to the context's bytes: fewer pairs of sequence and key head at once, then fewer threads; the
    /// smallest when none does.
    ///
    /// None of this changes a bit of the result.
    static func fitting(
        _ context: ComputeContext, pairs: Int = 1,
        _ plan: (_ pairs: Int, _ context: ComputeContext) -> GradientPlan
    ) -> GradientPlan {
        var smallest = plan(pairs, context)
        guard let maxBytes = context.maxBytes, smallest.peakBytes > maxBytes else { return smallest }
        for threads in PlannedBytes.halves(of: context.threads) {
            for pairs in PlannedBytes.halves(of: pairs) {
                let next = plan(pairs, context.with(threads: threads))
                if next.peakBytes <= maxBytes { return next }
                if next.peakBytes < smallest.peakBytes { smallest = next }
            }
        }
        return smallest
    }
}

/// Bytes beside numbers, and ways to make do with fewer.
enum PlannedBytes {
    /// Objects of a call: closures, views, descriptions.
    static let objects = 64 << 10
    /// What lists of tasks take while they are made and sorted.
    private static let listEntry = 256

    /// Bytes of the list of so many tasks, and of a call's objects.
    static func list(of tasks: Int) -> Int { objects + tasks * listEntry }

    /// A number, its half, and so on down to 1.
    static func halves(of number: Int) -> [Int] {
        Array(sequence(first: max(1, number)) { $0 > 1 ? $0 / 2 : nil })
    }
}

extension AttentionPlan {
    /// The plan of an operator whose tasks hold all heads of a group.
    /// - Parameter partialResults: pieces and floats of partial results, where keys are cut; floats are 0 where they are not.
    static func sharing(
        _ problem: AttentionProblem, context: ComputeContext,
        partialResults: (TileSizes, BlockScratch) -> (pieces: Int, floats: Int) = { _, _ in (0, 0) }
    ) -> AttentionPlan {
        var sizes = TileSizes.tasks(problem, sharing: true, context: context)
        let unit = context.kernels.tileRows.roundedUp(to: max(1, problem.group))
        return .fitting(context, rows: sizes.rows, unit: unit) { rows, context in
            sizes.rows = rows
            return .sharing(problem, sizes: sizes, context: context, partialResults: partialResults)
        }
    }

    /// The same of given sizes, whatever the context's bytes.
    static func sharing(
        _ problem: AttentionProblem, sizes: TileSizes, context: ComputeContext,
        partialResults: (TileSizes, BlockScratch) -> (pieces: Int, floats: Int) = { _, _ in (0, 0) }
    ) -> AttentionPlan {
        let layout = BlockScratch(problem, sizes: sizes, sharesHeads: true, context: context)
        let partial = partialResults(sizes, layout)
        return .tiled(
            problem, sizes: sizes, sharing: true, scratchFloats: layout.total, context: context,
            packsOnce: partial.floats == 0,
            sharedBytes: partial.floats == 0 ? 0 : Workspace.bytes(floats: partial.floats),
            pieces: partial.floats == 0 ? nil : partial.pieces)
    }
}
