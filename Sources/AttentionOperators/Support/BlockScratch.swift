import AttentionCore
import Kernels

/// How one worker's scratch memory is divided, in floats.
struct BlockScratch: Sendable {
    let rows: Int
    let keys: Int
    let outputStride: Int
    private let headDim: Int
    private let scoreFloats: Int
    private let panelWidth: Int
    private let hasBias: Bool
    private let hasMask: Bool
    private let sharesHeads: Bool
    private let drops: Bool
    /// Rows that are computed on keys and values in place.
    private let fewRows: Int

    /// - Parameters:
    ///   - scoreFloats: scratch for scores, beyond what one attention step takes.
    ///   - readsInPlace: whether tasks of any sequence read keys where they lie.
    init(
        _ problem: AttentionProblem, sizes: TileSizes, sharesHeads: Bool, context: ComputeContext,
        scoreFloats: Int? = nil, readsInPlace: Bool = false
    ) {
        // Whole tiles are packed and stored, whatever the number of rows.
        let shortest = (0..<problem.batch).map { problem.geometry($0).queryLength }.min() ?? 0
        fewRows = readsInPlace || shortest <= ZooLimits.fewRows ? ZooLimits.fewTaskRows : 0
        rows = max(sizes.rows, fewRows).roundedUp(to: context.kernels.tileRows)
        keys = sizes.keys.roundedUp(to: context.kernels.panelWidth)
        outputStride = problem.valueDim.roundedUp(to: context.kernels.panelWidth)
        headDim = problem.headDim
        panelWidth = context.kernels.panelWidth
        self.scoreFloats = scoreFloats ?? context.kernels.scoreScratchFloats
        hasBias = problem.biasShape != nil
        hasMask = problem.maskShape != nil || problem.options.mask.band(problem.geometryOfExtents) == nil
        self.sharesHeads = sharesHeads && problem.group > 1
        drops = problem.options.dropout > 0
    }

    // Offsets follow the order of use; each region starts on a cache line.
    var queryTiles: Int { 0 }
    var keyPanels: Int {
        queryTiles + max(rows * headDim + panelWidth, fewRows * queryStride).roundedUp(to: 16)
    }
    var valuePanels: Int { keyPanels + (keys * headDim + panelWidth).roundedUp(to: 16) }
    var output: Int { valuePanels + (keys * outputStride).roundedUp(to: 16) }
    var rowMax: Int { output + (rows * outputStride).roundedUp(to: 16) }
    var rowSum: Int { rowMax + rows.roundedUp(to: 16) }
    var scores: Int { rowSum + rows.roundedUp(to: 16) }
    var fewSums: Int { scores + max(scoreFloats, fewRows * ZooLimits.scoreStride).roundedUp(to: 16) }
    var firstKey: Int { fewSums + (fewRows * outputStride).roundedUp(to: 16) }
    var endKey: Int { firstKey + rows.roundedUp(to: 16) }
    var places: Int { endKey + rows.roundedUp(to: 16) }
    var slopes: Int { places + rows.roundedUp(to: 16) }
    var dropKeys: Int { slopes + rows.roundedUp(to: 16) }
    var callback: Int { dropKeys + (drops ? 2 * rows : 0).roundedUp(to: 16) }
    var biasRows: Int { callback + ScoreCallback.floats.roundedUp(to: 16) }
    var maskRows: Int { biasRows + (2 * rows).roundedUp(to: 16) }
    var biasTile: Int { maskRows + (2 * rows).roundedUp(to: 16) }
    var maskTile: Int { biasTile + (hasBias ? rows * keys : 0).roundedUp(to: 16) }
    var gathered: Int { maskTile + (hasMask ? rows * keys / 4 : 0).roundedUp(to: 16) }
    var total: Int { gathered + (sharesHeads ? rows * headDim : 0).roundedUp(to: 16) }

    /// Floats between two query rows that are not packed into tiles: whole vectors.
    var queryStride: Int { headDim.roundedUp(to: 16) }

    /// The running state of the rows of a task.
    func state(_ scratch: UnsafeMutablePointer<Float>) -> RowState {
        RowState(
            output: scratch + output, outputStride: outputStride, rowMax: scratch + rowMax, rowSum: scratch + rowSum)
    }
}

extension AttentionProblem {
    /// The geometry of a sequence without padding.
    var geometryOfExtents: MaskGeometry { MaskGeometry(queryLength: queryLength, keyLength: keyLength) }
}
