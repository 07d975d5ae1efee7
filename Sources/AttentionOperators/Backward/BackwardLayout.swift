import AttentionCore
import Kernels

/// How many queries and keys one backward step works on, and how a worker's scratch memory is divided, in floats.
struct BackwardLayout: Sendable {
    /// Rows of one step: whole positions of all heads of a group.
    let rows: Int
    /// Keys of one step.
    let keys: Int
    /// Floats between two rows of weights: off a power of two, so that rows fall into different cache sets.
    let stride: Int
    /// Floats of a row of a query, key or value gradient.
    let headStride: Int
    let valueStride: Int
    /// Where modifiers of the block lie.
    let modifiers: BlockScratch
    private let headDim: Int
    private let valueDim: Int
    private let panelWidth: Int

    /// Row tiles of a step; half as many when heads are wide, so that a step stays in the second-level cache.
    private static let rowTiles = 8
    private static let wideHead = 96
    /// Keys of a step: near this, so that the two transposed products have long runs.
    private static let wantedKeys = 224

    init(_ problem: AttentionProblem, context: ComputeContext) {
        let kernels = context.kernels
        let widest = max(problem.headDim, problem.valueDim)
        var wantedRows = (widest > Self.wideHead ? Self.rowTiles / 2 : Self.rowTiles) * kernels.tileRows
        // Whole tiles of rows and whole panels of columns.
        let unit = Self.leastCommonMultiple(kernels.tileRows, kernels.panelWidth)
        var keys = max(unit, Self.wantedKeys / unit * unit)
        if let block = problem.options.mask.blockSize {
            // Steps that follow the layout's blocks are empty or full.
            if block <= ZooLimits.keyBlock { keys = block }
            wantedRows = block * problem.group
        }
        rows = max(1, wantedRows / problem.group) * problem.group
        self.keys = keys
        stride = keys.roundedUp(to: kernels.panelWidth) + 16
        headStride = problem.headDim.roundedUp(to: kernels.panelWidth)
        valueStride = problem.valueDim.roundedUp(to: kernels.panelWidth)
        headDim = problem.headDim
        valueDim = problem.valueDim
        panelWidth = kernels.panelWidth
        modifiers = BlockScratch(
            problem, sizes: TileSizes(rows: rows, keys: keys), sharesHeads: false, context: context, scoreFloats: 0)
        tileRows = rows.roundedUp(to: kernels.tileRows)
    }

    private let tileRows: Int
    private var keyRoom: Int { modifiers.keys }

    // Offsets follow the order of use; each region starts on a cache line.
    private var queryTiles: Int { modifiers.total }
    private var gradientTiles: Int { queryTiles + (tileRows * headDim + panelWidth).roundedUp(to: 16) }
    private var queryPanels: Int { gradientTiles + (tileRows * valueDim + panelWidth).roundedUp(to: 16) }
    private var gradientPanels: Int { queryPanels + tileRows * headStride }
    private var logSumExp: Int { gradientPanels + tileRows * valueStride }
    private var offset: Int { logSumExp + tileRows.roundedUp(to: 16) }
    private var keyPanels: Int { offset + tileRows.roundedUp(to: 16) }
    private var valuePanels: Int { keyPanels + (keyRoom * headDim + panelWidth).roundedUp(to: 16) }
    private var keyRows: Int { valuePanels + (keyRoom * valueDim + panelWidth).roundedUp(to: 16) }
    private var keyGradient: Int { keyRows + keyRoom * headStride }
    private var valueGradient: Int { keyGradient + keyRoom * headStride }
    private var weights: Int { valueGradient + keyRoom * valueStride }
    private var scores: Int { weights + tileRows * stride }
    private var gathered: Int { scores + tileRows * stride }
    private var biasRows: Int { gathered + (tileRows * max(headDim, valueDim)).roundedUp(to: 16) }
    /// Floats of scratch that one worker needs.
    var total: Int { biasRows + (2 * tileRows).roundedUp(to: 16) }

    /// Where a step's rows lie.
    func rows(_ scratch: UnsafeMutablePointer<Float>) -> BackwardRows {
        BackwardRows(
            queryTiles: scratch + queryTiles, gradientTiles: scratch + gradientTiles,
            queryPanels: scratch + queryPanels, gradientPanels: scratch + gradientPanels, panelRows: tileRows,
            logSumExp: scratch + logSumExp, offset: scratch + offset)
    }

    /// Where a step's keys lie.
    func keys(_ scratch: UnsafeMutablePointer<Float>) -> BackwardKeys {
        BackwardKeys(
            keyPanels: scratch + keyPanels, valuePanels: scratch + valuePanels, keyRows: scratch + keyRows,
            panelRows: keyRoom, keyGradient: scratch + keyGradient, keyStride: headStride,
            valueGradient: scratch + valueGradient, valueStride: valueStride)
    }

    /// A step whose query gradients are summed at an address.
    func step(
        _ problem: AttentionProblem, _ scratch: UnsafeMutablePointer<Float>, queryGradient: UnsafeMutablePointer<Float>
    ) -> BackwardStep {
        BackwardStep(
            headDim: headDim, valueDim: valueDim, scale: problem.scale, weights: scratch + weights,
            scores: scratch + scores, stride: stride, queryGradient: queryGradient, queryStride: headStride)
    }

    /// Rows of several heads, lined up.
    func gathered(_ scratch: UnsafeMutablePointer<Float>) -> UnsafeMutablePointer<Float> { scratch + gathered }

    /// Addresses of the rows of a bias gradient.
    func biasRows(_ scratch: UnsafeMutablePointer<Float>) -> UnsafeMutablePointer<UnsafeMutablePointer<Float>?> {
        UnsafeMutableRawPointer(scratch + biasRows)
            .bindMemory(to: UnsafeMutablePointer<Float>?.self, capacity: tileRows)
    }

    private static func leastCommonMultiple(_ a: Int, _ b: Int) -> Int {
        var (x, y) = (a, b)
        while y != 0 { (x, y) = (y, x % y) }
        return a / x * b
    }
}

extension AttentionMask {
    /// The block size of a layout that decides most of the mask, if there is one.
    var blockSize: Int? {
        switch self {
        case .blocks(let layout): layout.blockSize
        case .and(let parts): parts.lazy.compactMap(\.blockSize).first
        default: nil
        }
    }
}
