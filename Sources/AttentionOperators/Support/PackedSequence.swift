import AttentionCore
import Kernels

/// Keys and values of some key heads, packed once for all tasks that read them.
///
/// A key that many blocks of queries keep would otherwise be transposed for each. Panels with one run of keys are read
/// where they lie; the others are copied together, which costs a fraction of packing. Packed numbers are the same either
/// way, so no bit depends on it. Memory: 16 MiB at once, or one key head when that is more.
struct PackedSequence: @unchecked Sendable {
    /// Pairs of sequence and key head that are packed.
    let pairs: Range<Int>
    private let tiled: TiledAttention
    private let blockSize: Int
    private let memory: Workspace
    private let finite: UnsafeMutablePointer<Bool>
    private let rows: Int
    private let blocks: Int

    /// Bytes that packed operands may take at once where patterns scatter the keys of a task.
    private static let scatteredLimit = 16 << 20
    /// Bytes that they may take where tasks stream through the keys: the working memory of these operators is O(1).
    static let streamedLimit = 3 << 20

    /// Floats of one key head.
    private static func floats(_ problem: AttentionProblem, panelWidth: Int) -> Int {
        problem.keyLength.roundedUp(to: panelWidth)
            * (problem.headDim + problem.valueDim.roundedUp(to: panelWidth)) + panelWidth
    }

    /// How many pairs of sequence and key head are packed at once.
    static func pairsAtOnce(_ problem: AttentionProblem, panelWidth: Int, limit: Int = scatteredLimit) -> Int {
        max(1, limit / (4 * floats(problem, panelWidth: panelWidth)))
    }

    /// Whether tasks that stream through keys should find them packed: when a key head fits the limit and at least three
    /// tasks read it.
    ///
    /// Otherwise, and where memory is limited, each task packs the block that it is at.
    static func servesStreams(_ problem: AttentionProblem, context: ComputeContext) -> Bool {
        context.maxBytes == nil && !problem.hasInt8Keys
            && problem.queryLength * problem.group >= 3 * TileSizes.smallest(context)
            && 4 * floats(problem, panelWidth: context.kernels.panelWidth) <= streamedLimit
    }

    /// Bytes that tasks that stream through keys find packed, 0 where each packs for itself.
    /// - Parameter keys: of a step.
    static func streamedBytes(_ problem: AttentionProblem, keys: Int, context: ComputeContext) -> Int {
        guard servesStreams(problem, context: context) else { return 0 }
        let width = context.kernels.panelWidth
        let pairs = min(
            problem.batch * problem.kvHeads, pairsAtOnce(problem, panelWidth: width, limit: streamedLimit))
        return bytes(problem, panelWidth: width, pairs: pairs, blockSize: keys)
    }

    /// Bytes that so many pairs take.
    static func bytes(_ problem: AttentionProblem, panelWidth: Int, pairs: Int, blockSize: Int) -> Int {
        Workspace.bytes(floats: pairs * floats(problem, panelWidth: panelWidth))
            + pairs * ((problem.keyLength + blockSize - 1) / blockSize)
    }

    /// Packs some pairs of sequence and key head after the others, and calls `body` while they are in memory.
    static func inTurn(
        _ tiled: TiledAttention, pairsAtOnce: Int, blockSize: Int, _ body: (PackedSequence) -> Void
    ) {
        let count = tiled.problem.batch * tiled.problem.kvHeads
        for first in stride(from: 0, to: count, by: pairsAtOnce) {
            let packed = PackedSequence(
                tiled, pairs: first..<min(count, first + pairsAtOnce), blockSize: blockSize)
            defer { packed.free() }
            packed.pack()
            body(packed)
        }
    }

    /// Whether a task's keys are among the packed ones.
    func holds(_ task: RowBlock) -> Bool { pairs.contains(pair(of: task)) }

    private func pair(of task: RowBlock) -> Int { task.batch * tiled.problem.kvHeads + task.kvHead }

    /// Memory for every key and value of some pairs; ``pack()`` fills it.
    ///
    /// - Precondition: blocks are whole panels.
    private init(_ tiled: TiledAttention, pairs: Range<Int>, blockSize: Int) {
        self.tiled = tiled
        self.pairs = pairs
        self.blockSize = blockSize
        let width = tiled.context.kernels.panelWidth
        rows = tiled.problem.keyLength.roundedUp(to: width)
        blocks = (tiled.problem.keyLength + blockSize - 1) / blockSize
        memory = Workspace.take(floats: pairs.count * Self.floats(tiled.problem, panelWidth: width))
        finite = .allocate(capacity: max(1, pairs.count * blocks))
        finite.initialize(repeating: true, count: max(1, pairs.count * blocks))
    }

    /// Packs every key and value.
    private func pack() {
        let step = max(1, 512 / blockSize)
        let chunks = (blocks + step - 1) / step
        tiled.context.parallel(pairs.count * chunks) { index, _ in
            let first = index % chunks * step
            for block in first..<min(blocks, first + step) { pack(pair: index / chunks, block: block) }
        }
    }

    /// Gives the memory back.
    private func free() {
        Workspace.giveBack(memory)
        finite.deallocate()
    }

    private func keys(_ pair: Int) -> UnsafeMutablePointer<Float> {
        memory.base + pair * Self.floats(tiled.problem, panelWidth: tiled.context.kernels.panelWidth)
    }

    private func values(_ pair: Int) -> UnsafeMutablePointer<Float> {
        keys(pair) + rows * tiled.problem.headDim
    }

    private func pack(pair: Int, block: Int) {
        let problem = tiled.problem
        let kernels = tiled.context.kernels
        let (batch, head) = ((pairs.lowerBound + pair) / problem.kvHeads, (pairs.lowerBound + pair) % problem.kvHeads)
        let start = block * blockSize
        let count = min(start + blockSize, problem.geometry(batch).keyLength) - start
        guard count > 0 else { return }
        kernels.packKeys(
            keys(pair) + start * problem.headDim, rows: tiled.key.row(batch, start, head: head), code: tiled.key.code,
            stride: tiled.key.rowStride, count: count, headDim: problem.headDim)
        finite[pair * blocks + block] = kernels.packValues(
            values(pair) + start * kernels.panelWidth, rows: tiled.value.row(batch, start, head: head),
            code: tiled.value.code, stride: tiled.value.rowStride, count: count, valueDim: problem.valueDim,
            panelRows: rows)
    }

    /// Neighbouring keys and values, from the start of a packed block on.
    func block(_ keys: Range<Int>, _ task: RowBlock) -> KeyValueBlock {
        let problem = tiled.problem
        let pair = pair(of: task) - pairs.lowerBound
        return KeyValueBlock(
            keys: keys.count, keyPanels: self.keys(pair) + keys.lowerBound * problem.headDim,
            valuePanels: values(pair) + keys.lowerBound * tiled.context.kernels.panelWidth, valuePanelRows: rows,
            isFinite: (keys.lowerBound / blockSize...(keys.upperBound - 1) / blockSize).allSatisfy {
                finite[pair * blocks + $0]
            })
    }

    /// A panel's keys and values, where they lie or copied into scratch memory.
    func block(_ panel: KeyPanel, _ task: RowBlock, _ scratch: UnsafeMutablePointer<Float>) -> KeyValueBlock {
        let problem = tiled.problem
        let layout = tiled.layout
        let width = tiled.context.kernels.panelWidth
        let pair = pair(of: task) - pairs.lowerBound
        let (keys, values) = (keys(pair), values(pair))
        let isFinite = panel.runs.allSatisfy { run in
            (run.lowerBound / blockSize...(run.upperBound - 1) / blockSize).allSatisfy { finite[pair * blocks + $0] }
        }
        if panel.runs.count == 1 {
            let start = panel.runs[0].lowerBound
            return KeyValueBlock(
                keys: panel.count, keyPanels: keys + start * problem.headDim, valuePanels: values + start * width,
                valuePanelRows: rows, isFinite: isFinite)
        }
        var place = 0
        for run in panel.runs {
            (scratch + layout.keyPanels + place * problem.headDim).update(
                from: keys + run.lowerBound * problem.headDim, count: run.count.roundedUp(to: width) * problem.headDim)
            for column in 0..<(problem.valueDim + width - 1) / width {
                (scratch + layout.valuePanels + (column * layout.keys + place) * width).update(
                    from: values + (column * rows + run.lowerBound) * width, count: run.count * width)
            }
            place += run.count
        }
        return KeyValueBlock(
            keys: panel.count, keyPanels: scratch + layout.keyPanels, valuePanels: scratch + layout.valuePanels,
            valuePanelRows: layout.keys, isFinite: isFinite)
    }
}
