import AttentionCore
import Kernels

/// Cuts the keys of small tasks into ranges that run side by side, and merges the partial results in order.
struct SplitKeys: Sendable {
    /// Keys of one range, a multiple of the key block.
    let keys: Int
    /// Tasks with more rows than this keep their keys in one piece.
    let rows: Int

    private struct Piece: Sendable {
        let block: Int
        let keys: Range<Int>
        /// Where the piece's state lies in the partial results, in floats; `nil` for a task in one piece.
        let offset: Int?
    }

    /// Computes every task.
    func run(_ tiled: TiledAttention, _ blocks: [RowBlock], sinks: [Float]?) -> AttentionOutput {
        let blocks = tiled.joiningHeads(blocks) { ranges(tiled.problem, tiled.layout, $0).count }
        let (pieces, floats) = cut(tiled.problem, tiled.layout, blocks)
        if floats == 0 { return tiled.run(blocks, sinks: sinks) }
        let writer = OutputWriter(tiled.problem, sinks: sinks)
        let kernels = tiled.context.kernels
        let partial = Workspace.take(floats: floats)
        defer { Workspace.giveBack(partial) }
        let base = SendablePointer(partial.base)
        tiled.context.parallel(pieces.count, scratchFloats: tiled.layout.total) { index, scratch in
            let piece = pieces[index]
            let rows = blocks[piece.block]
            let state = piece.offset.map { self.state(base.base + $0, rows.rows, tiled) } ?? tiled.layout.state(scratch)
            state.reset(rows: rows.rows)
            tiled.prepareQueries(rows, scratch)
            tiled.attend(rows, keys: piece.keys, state: state, scratch)
            if piece.offset == nil { writer.write(rows, state, kernels: kernels) }
        }
        merge(pieces, blocks, tiled, base.base, writer)
        return writer.result
    }

    /// Pieces of work, and floats of their partial results; 0 where no task is cut.
    func partialResults(
        _ problem: AttentionProblem, _ layout: BlockScratch, _ blocks: [RowBlock]
    ) -> (pieces: Int, floats: Int) {
        let (pieces, floats) = cut(problem, layout, blocks)
        return (pieces.count, floats)
    }

    private func cut(
        _ problem: AttentionProblem, _ layout: BlockScratch, _ blocks: [RowBlock]
    ) -> (pieces: [Piece], floats: Int) {
        var pieces: [Piece] = []
        var floats = 0
        for (index, block) in blocks.enumerated() {
            let ranges = ranges(problem, layout, block)
            for range in ranges {
                pieces.append(Piece(block: index, keys: range, offset: ranges.count > 1 ? floats : nil))
                if ranges.count > 1 { floats += stateFloats(block.rows, layout) }
            }
        }
        return (pieces, floats)
    }

    /// The ranges of keys that a task is cut into.
    private func ranges(_ problem: AttentionProblem, _ layout: BlockScratch, _ block: RowBlock) -> [Range<Int>] {
        let visible = problem.visibleKeys(block)
        // Whether to cut follows from the whole sequence, so that a row does not depend on how queries are grouped.
        let sequenceRows = problem.geometry(block.batch).queryLength * block.headsPerKey
        guard sequenceRows <= rows, visible.count > keys else { return [visible.aligned(to: layout.keys)] }
        return stride(from: visible.aligned(to: keys).lowerBound, to: visible.upperBound, by: keys).map { start in
            start..<min(start + keys, visible.upperBound)
        }
    }

    private func merge(
        _ pieces: [Piece], _ blocks: [RowBlock], _ tiled: TiledAttention, _ base: UnsafeMutablePointer<Float>,
        _ writer: OutputWriter
    ) {
        let kernels = tiled.context.kernels
        let factors = UnsafeMutablePointer<Float>.allocate(capacity: 2 * rows)
        defer { factors.deallocate() }
        var index = 0
        while index < pieces.count {
            guard let offset = pieces[index].offset else {
                index += 1
                continue
            }
            let block = pieces[index].block
            let state = state(base + offset, blocks[block].rows, tiled)
            index += 1
            while index < pieces.count, pieces[index].block == block, let next = pieces[index].offset {
                kernels.merge(
                    self.state(base + next, blocks[block].rows, tiled), into: state, rows: blocks[block].rows,
                    valueDim: tiled.problem.valueDim, factors: factors)
                index += 1
            }
            writer.write(blocks[block], state, kernels: kernels)
        }
    }

    private func stateFloats(_ rows: Int, _ layout: BlockScratch) -> Int {
        rows * layout.outputStride + 2 * rows.roundedUp(to: 16)
    }

    private func state(_ base: UnsafeMutablePointer<Float>, _ rows: Int, _ tiled: TiledAttention) -> RowState {
        let rowMax = base + rows * tiled.layout.outputStride
        return RowState(
            output: base, outputStride: tiled.layout.outputStride, rowMax: rowMax,
            rowSum: rowMax + rows.roundedUp(to: 16))
    }
}
