import AttentionCore
import Foundation
import Kernels
import TensorCore

/// The gradients of softmax attention without its matrix (FlashAttention-2, algorithm 2): scores are computed again from
/// the log-sum-exp, block by block.
///
/// One task owns a share of the key blocks of one key head: it sums their gradients in scratch memory and those of all
/// queries in a buffer of its own. Shares follow from the problem alone and are added in order, so threads change no bit.
/// Cost: five products for each visible pair, 10 · heads · visible pairs · headDim operations; working memory
/// O(shares · group · queryLength · headDim), which is linear in the length.
struct TiledBackward: @unchecked Sendable {
    let problem: AttentionProblem
    private let context: ComputeContext
    private let layout: BackwardLayout
    private let rows: BackwardOperands
    private let key: OperandView
    private let value: OperandView
    private let modifiers: BlockModifiers
    private let bias: BiasGradient?
    private let result: AttentionGradients
    /// Keeps the operands' memory alive while tasks read it.
    private let inputs: AttentionInputs

    /// Tasks that a sequence should have, so that several threads find work.
    private static let wantedTasks = 8
    /// Pairs of sequence and key head whose query gradients are in memory at once, where memory is not short.
    static let mostPairs = 16

    /// - Parameter problem: the problem with everything that hides keys in its mask.
    init(
        _ inputs: AttentionInputs, output: AttentionOutput, gradient: OutputGradient, problem: AttentionProblem,
        context: ComputeContext
    ) throws(AttentionError) {
        self.inputs = inputs
        self.problem = problem
        self.context = context
        layout = BackwardLayout(problem, context: context)
        var output = output
        if problem.dtype != .float32 {
            // Rounded to sixteen bits, rowsum(dO · O) would err more than everything else.
            output.output = try Self.wideOutput(inputs, problem, context)
        }
        rows = try BackwardOperands(inputs, output, gradient, problem, context)
        key = OperandView(inputs.key)
        value = OperandView(inputs.value)
        modifiers = try BlockModifiers(problem, inputs)
        let copies = Self.shares(problem, layout, biasShape: inputs.bias?.shape)
        bias = inputs.bias.map { BiasGradient($0, problem: problem, copies: copies) }
        result = AttentionGradients(
            query: Tensor(zeros: inputs.query.shape, dtype: problem.dtype),
            key: Tensor(zeros: inputs.key.shape, dtype: problem.dtype),
            value: Tensor(zeros: inputs.value.shape, dtype: problem.dtype))
    }

    /// The output again, in Float.
    private static func wideOutput(
        _ inputs: AttentionInputs, _ problem: AttentionProblem, _ context: ComputeContext
    ) throws(AttentionError) -> Tensor {
        var wide = problem
        wide.dtype = .float32
        let sizes = TileSizes.tasks(wide, sharing: true, context: context.untuned)
        let layout = BlockScratch(wide, sizes: sizes, sharesHeads: true, context: context)
        let tiled = try TiledAttention(inputs, problem: wide, layout: layout, context: context)
        return tiled.run(RowBlock.cut(wide, rows: sizes.rows, sharing: true), sinks: inputs.sinks).output
    }

    /// Into how many shares the key blocks of a key head are dealt.
    static func shares(_ problem: AttentionProblem, _ layout: BackwardLayout, biasShape: Shape?) -> Int {
        let isShared = biasShape.map { BiasGradient.isShared($0, problem) } ?? false
        let wanted = isShared ? wantedTasks : (wantedTasks + problem.kvHeads - 1) / problem.kvHeads
        return max(1, min(wanted, (problem.keyLength + layout.keys - 1) / layout.keys))
    }

    /// Whether the bias takes sums of whole rows of dS, which are known without any cell.
    private var sumsRows: Bool { bias?.keyStride == 0 && problem.options.scoreFunction == nil }

    /// Runs every task.
    func run() -> AttentionGradients {
        let shares = Self.shares(problem, layout, biasShape: problem.biasShape)
        let pairs = problem.batch * problem.kvHeads
        let step = bias?.isShared == true ? 1 : Self.plan(problem, context: context).pairsAtOnce
        let floats = Self.sumFloats(problem, layout, shares: 1, pairs: 1)
        let sums = Workspace.take(floats: Self.sumFloats(problem, layout, shares: shares, pairs: min(step, pairs)))
        defer { Workspace.giveBack(sums) }
        let base = SendablePointer(sums.base)
        for first in stride(from: 0, to: pairs, by: step) {
            let count = min(step, pairs - first)
            context.parallel(count * shares, scratchFloats: layout.total) { index, scratch in
                let target = base.base + index * floats
                target.update(repeating: 0, count: floats)
                run(pair: first + index / shares, share: index % shares, of: shares, queryGradient: target, scratch)
            }
            context.parallel(count) { index, _ in
                addShares(pair: first + index, base.base + index * shares * floats, shares: shares, floats: floats)
            }
        }
        var gradients = result
        gradients.bias = bias.map { sumsRows ? $0.sum { rows.scoreSum($0, head: $1, query: $2) } : $0.result }
        gradients.sinks = rows.sinkGradients()
        return gradients
    }

    private func run(
        pair: Int, share: Int, of shares: Int, queryGradient: UnsafeMutablePointer<Float>,
        _ scratch: UnsafeMutablePointer<Float>
    ) {
        let batch = pair / problem.kvHeads
        let geometry = problem.geometry(batch)
        let band = problem.options.mask.band(geometry)
        let step = layout.rows / problem.group
        for start in stride(from: share * layout.keys, to: geometry.keyLength, by: shares * layout.keys) {
            let keys = start..<min(start + layout.keys, geometry.keyLength)
            var packed: BackwardKeys?
            for first in stride(from: 0, to: geometry.queryLength, by: step) {
                let block = RowBlock(
                    batch: batch, kvHead: pair % problem.kvHeads, firstHead: pair % problem.kvHeads * problem.group,
                    heads: problem.group, queries: first..<min(geometry.queryLength, first + step))
                let coverage = modifiers.coverage(block, keys: keys, band: band, geometry)
                if coverage == .empty { continue }
                let operands = packed ?? pack(keys, block, scratch)
                packed = operands
                differentiate(
                    block, keys: keys, operands, coverage: coverage, band: band, geometry, share: share,
                    queryGradient: queryGradient + first * problem.group * layout.headStride, scratch)
            }
            if let packed { write(packed, keys: keys, batch: batch, kvHead: pair % problem.kvHeads) }
        }
    }

    private func differentiate(
        _ block: RowBlock, keys: Range<Int>, _ operands: BackwardKeys, coverage: TileCoverage, band: KeyBand?,
        _ geometry: MaskGeometry, share: Int, queryGradient: UnsafeMutablePointer<Float>,
        _ scratch: UnsafeMutablePointer<Float>
    ) {
        let packed = rows.pack(block, layout, scratch)
        var step = layout.step(problem, scratch, queryGradient: queryGradient)
        step.modifiers = modifiers.make(
            block, keys: keys, coverage: coverage, band: band, geometry, scratch: scratch, layout: layout.modifiers)
        if step.modifiers.function != nil { step.slope = ScoreCallback.slope }
        step.isGuarded = !(packed.isFinite && operands.isFinite)
        if let bias, !sumsRows {
            let cells = layout.biasRows(scratch)
            for row in 0..<block.rows {
                cells[row] = bias.cell(
                    copy: share, batch: block.batch, head: block.head(row), query: block.query(row),
                    key: keys.lowerBound)
            }
            step.biasGradient = UnsafePointer(cells)
            step.biasKeyStride = bias.keyStride
        }
        context.kernels.differentiate(packed, operands, step)
    }

    private func pack(
        _ keys: Range<Int>, _ block: RowBlock, _ scratch: UnsafeMutablePointer<Float>
    ) -> BackwardKeys {
        let kernels = context.kernels
        var result = layout.keys(scratch)
        result.count = keys.count
        let first = key.row(block.batch, keys.lowerBound, head: block.kvHead)
        kernels.packKeys(
            result.keyPanels, rows: first, code: key.code, stride: key.rowStride, count: keys.count,
            headDim: problem.headDim)
        result.isFinite = kernels.packValues(
            result.keyRows, rows: first, code: key.code, stride: key.rowStride, count: keys.count,
            valueDim: problem.headDim, panelRows: result.panelRows)
        kernels.packKeys(
            result.valuePanels, rows: value.row(block.batch, keys.lowerBound, head: block.kvHead), code: value.code,
            stride: value.rowStride, count: keys.count, headDim: problem.valueDim)
        // Whole tiles are stored, whatever the number of keys.
        result.keyGradient.update(repeating: 0, count: result.panelRows * result.keyStride)
        result.valueGradient.update(repeating: 0, count: result.panelRows * result.valueStride)
        return result
    }

    private func write(_ packed: BackwardKeys, keys: Range<Int>, batch: Int, kvHead: Int) {
        let width = problem.dtype.byteWidth
        for (row, key) in keys.enumerated() {
            let place = (batch * problem.keyLength + key) * problem.kvHeads + kvHead
            finish(
                result.key.freshMutableAddress + place * problem.headDim * width,
                packed.keyGradient + row * packed.keyStride, problem.headDim)
            finish(
                result.value.freshMutableAddress + place * problem.valueDim * width,
                packed.valueGradient + row * packed.valueStride, problem.valueDim)
        }
    }

    private func addShares(pair: Int, _ base: UnsafeMutablePointer<Float>, shares: Int, floats: Int) {
        let kernels = context.kernels
        let batch = pair / problem.kvHeads
        for query in 0..<problem.geometry(batch).queryLength {
            for member in 0..<problem.group {
                let row = base + (query * problem.group + member) * layout.headStride
                for share in 1..<max(1, shares) {
                    kernels.add(row, row, row + share * floats, count: layout.headStride)
                }
                let head = pair % problem.kvHeads * problem.group + member
                let place = (batch * problem.queryLength + query) * problem.heads + head
                finish(
                    result.query.freshMutableAddress + place * problem.headDim * problem.dtype.byteWidth, row,
                    problem.headDim)
            }
        }
    }

    /// Stores a row in the operands' element type.
    private func finish(_ target: UnsafeMutableRawPointer, _ row: UnsafePointer<Float>, _ count: Int) {
        context.kernels.finish(
            target, code: problem.dtype.kernelCode ?? 0, row: row, valueDim: count, rowSum: 1)
    }
}
