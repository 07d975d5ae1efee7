import AttentionCore
import Kernels

extension TiledAttention {
    /// Puts several key heads into one task where keys and values are read in place and heads lie side by side.
    ///
    /// A task of one head would read short pieces that lie a whole row apart, which costs half of the memory's bandwidth;
    /// all heads of a key together are read in order. Never changes bits: a row's keys are added in the same order
    /// whichever rows share its task.
    ///
    /// - Parameter pieces: how many pieces a task will be cut into.
    func joiningHeads(_ blocks: [RowBlock], pieces: (RowBlock) -> Int) -> [RowBlock] {
        guard problem.kvHeads > 1, key.headStride < key.rowStride, value.headStride < value.rowStride,
            !problem.options.mask.dependsOnHead
        else { return blocks }
        let sequences = blocks.filter {
            $0.firstHead == 0 && $0.queries.lowerBound == 0 && isJoinable($0, kvHeads: 1)
        }
        guard let heads = headsOfTask(sequences, pieces) else { return blocks }
        let joined = sequences.flatMap { sequence in
            stride(from: 0, to: problem.kvHeads, by: heads).map { join(sequence, from: $0, kvHeads: heads) }
        }
        return joined + blocks.filter { !isJoinable($0, kvHeads: 1) }
    }

    /// The most key heads for which tasks fit and no thread waits long for the last one.
    private func headsOfTask(_ sequences: [RowBlock], _ pieces: (RowBlock) -> Int) -> Int? {
        guard !sequences.isEmpty else { return nil }
        let candidates = (2...problem.kvHeads).reversed().filter { heads in
            problem.kvHeads.isMultiple(of: heads) && sequences.allSatisfy { isJoinable($0, kvHeads: heads) }
        }
        let ranges = sequences.reduce(0) { $0 + pieces($1) }
        return candidates.first { heads in
            let tasks = problem.kvHeads / heads * ranges
            let rounds = (tasks + context.threads - 1) / context.threads
            // A quarter of the time lost in waiting is what reading half as many heads at once would lose.
            return Double(rounds * context.threads) <= 1.25 * Double(tasks)
        }
    }

    private func isJoinable(_ block: RowBlock, kvHeads: Int) -> Bool {
        let queries = problem.geometry(block.batch).queryLength
        // The joined task must be read in place by the same rule as the block.
        let isFew = queries * problem.group <= ZooLimits.fewRows
        return readsInPlace(block) && isFew && queries * problem.group * kvHeads <= ZooLimits.fewTaskRows
    }

    private func join(_ sequence: RowBlock, from kvHead: Int, kvHeads: Int) -> RowBlock {
        RowBlock(
            batch: sequence.batch, kvHead: kvHead, kvHeads: kvHeads, firstHead: kvHead * problem.group,
            heads: kvHeads * problem.group, queries: 0..<problem.geometry(sequence.batch).queryLength)
    }
}
