import AttentionCore
import Kernels

/// Fills the per-row modifiers of one block of scores.
struct BlockModifiers: Sendable {
    let problem: AttentionProblem
    let bias: ScoreView?
    let mask: ScoreView?
    let slopes: [Float]?
    private let dropout: DropoutPattern?
    private let scoreFunction: ScoreCallback.Box?
    let dependsOnHead: Bool

    static let log2e: Float = 1.442_695

    init(_ problem: AttentionProblem, _ inputs: AttentionInputs) throws(AttentionError) {
        self.problem = problem
        if let tensor = inputs.bias { bias = try ScoreView(tensor, problem: problem) } else { bias = nil }
        if let tensor = inputs.mask { mask = try ScoreView(tensor, problem: problem) } else { mask = nil }
        slopes = inputs.alibiSlopes
        dropout = DropoutPattern(problem.options)
        scoreFunction = problem.options.scoreFunction.map(ScoreCallback.Box.init)
        dependsOnHead = problem.options.mask.dependsOnHead
    }

    /// Whether scores are changed by nothing that counts keys one by one from the block's first.
    ///
    /// Only then may blocks that are not neighbours be computed as one.
    var toleratesGaps: Bool { slopes == nil && dropout == nil && scoreFunction == nil }

    /// What the mask lets through of a block, without looking at data.
    func coverage(_ rows: RowBlock, keys: Range<Int>, band: KeyBand?, _ geometry: MaskGeometry) -> TileCoverage {
        if let band { return band.classify(queries: rows.queries, keys: keys) }
        let mask = problem.options.mask
        let first = mask.classify(queries: rows.queries, keys: keys, geometry.seen(by: rows.firstHead))
        guard dependsOnHead, first != .partial else { return first }
        let agree = (1..<rows.heads).allSatisfy { head in
            mask.classify(queries: rows.queries, keys: keys, geometry.seen(by: rows.firstHead + head)) == first
        }
        return agree ? first : .partial
    }

    /// The modifiers of one block, written into scratch memory that must outlive their use.
    func make(
        _ rows: RowBlock, keys: Range<Int>, coverage: TileCoverage, band: KeyBand?, _ geometry: MaskGeometry,
        scratch: UnsafeMutablePointer<Float>, layout: BlockScratch
    ) -> ScoreModifiers {
        var result = ScoreModifiers()
        result.softcap = (problem.options.softcap ?? 0) * Self.log2e
        let count = rows.rows
        let raw = UnsafeMutableRawPointer(scratch)
        let isBounded = coverage == .partial && bound(&result, rows, keys, band, geometry, raw, layout)
        if let slopes {
            let places = (raw + layout.places * 4).bindMemory(to: Int32.self, capacity: count)
            let diagonal = geometry.diagonal(.bottomRight) - keys.lowerBound
            for row in 0..<count {
                places[row] = Int32(clamping: rows.query(row) + diagonal)
                scratch[layout.slopes + row] = slopes[rows.head(row)] * Self.log2e
            }
            result.places = UnsafePointer(places)
            result.slopes = UnsafePointer(scratch + layout.slopes)
        }
        if let bias { result.bias = biasRows(bias, rows, keys, scratch, layout) }
        let evaluates = coverage == .partial && !isBounded
        if mask != nil || evaluates { result.mask = maskRows(rows, keys, evaluates, geometry, scratch, layout) }
        if let dropout { drop(&result, dropout, rows, keys, raw, layout) }
        if let scoreFunction {
            let context = (raw + layout.callback * 4).bindMemory(to: ScoreCallback.self, capacity: 1)
            context.initialize(to: ScoreCallback(scoreFunction, rows, firstKey: keys.lowerBound))
            result.function = ScoreCallback.change
            result.functionContext = UnsafeMutableRawPointer(context)
        }
        return result
    }

    /// Gives every row its range of visible keys; returns false when some row's keys are not one range.
    private func bound(
        _ result: inout ScoreModifiers, _ rows: RowBlock, _ keys: Range<Int>, _ band: KeyBand?,
        _ geometry: MaskGeometry, _ raw: UnsafeMutableRawPointer, _ layout: BlockScratch
    ) -> Bool {
        let first = (raw + layout.firstKey * 4).bindMemory(to: Int32.self, capacity: rows.rows)
        let end = (raw + layout.endKey * 4).bindMemory(to: Int32.self, capacity: rows.rows)
        for row in 0..<rows.rows {
            if row % rows.heads > 0, !dependsOnHead {
                first[row] = first[row - 1]
                end[row] = end[row - 1]
                continue
            }
            let span =
                band?.keys(for: rows.query(row))
                ?? problem.options.mask.span(query: rows.query(row), geometry.seen(by: rows.head(row)))
            guard let span else { return false }
            first[row] = Int32(clamping: span.lowerBound - keys.lowerBound)
            end[row] = Int32(clamping: span.upperBound - keys.lowerBound)
        }
        result.firstKey = UnsafePointer(first)
        result.endKey = UnsafePointer(end)
        return true
    }

    private func drop(
        _ result: inout ScoreModifiers, _ dropout: DropoutPattern, _ rows: RowBlock, _ keys: Range<Int>,
        _ raw: UnsafeMutableRawPointer, _ layout: BlockScratch
    ) {
        let low = (raw + layout.dropKeys * 4).bindMemory(to: UInt32.self, capacity: 2 * rows.rows)
        let high = low + rows.rows
        for row in 0..<rows.rows {
            let key = dropout.rowKey(batch: rows.batch, head: rows.head(row), query: rows.query(row))
            low[row] = key.low
            high[row] = key.high
        }
        result.dropLow = UnsafePointer(low)
        result.dropHigh = UnsafePointer(high)
        result.dropThreshold = dropout.threshold
        result.keepScale = Float(dropout.keepScale)
        result.firstPlace = Int32(truncatingIfNeeded: keys.lowerBound)
    }

    private func biasRows(
        _ view: ScoreView, _ rows: RowBlock, _ keys: Range<Int>, _ scratch: UnsafeMutablePointer<Float>,
        _ layout: BlockScratch
    ) -> UnsafePointer<UnsafePointer<Float>?> {
        let pointers = UnsafeMutableRawPointer(scratch + layout.biasRows)
            .bindMemory(to: UnsafePointer<Float>?.self, capacity: rows.rows)
        for row in 0..<rows.rows {
            let index = view.index(rows.batch, rows.head(row), rows.query(row), keys.lowerBound)
            if view.isDirect {
                pointers[row] = (view.base + index * 4).assumingMemoryBound(to: Float.self)
            } else {
                let tile = scratch + layout.biasTile + row * layout.keys
                for key in 0..<keys.count { tile[key] = view.float(at: index + key * view.strides[3]) }
                pointers[row] = UnsafePointer(tile)
            }
        }
        return UnsafePointer(pointers)
    }

    private func maskRows(
        _ rows: RowBlock, _ keys: Range<Int>, _ evaluates: Bool, _ geometry: MaskGeometry,
        _ scratch: UnsafeMutablePointer<Float>, _ layout: BlockScratch
    ) -> UnsafePointer<UnsafePointer<UInt8>?> {
        let pointers = UnsafeMutableRawPointer(scratch + layout.maskRows)
            .bindMemory(to: UnsafePointer<UInt8>?.self, capacity: rows.rows)
        let tiles = UnsafeMutableRawPointer(scratch + layout.maskTile)
            .bindMemory(to: UInt8.self, capacity: rows.rows * layout.keys)
        for row in 0..<rows.rows {
            let query = rows.query(row)
            let index = mask?.index(rows.batch, rows.head(row), query, keys.lowerBound) ?? 0
            if let mask, mask.isDirect, !evaluates {
                pointers[row] = (mask.base + index).assumingMemoryBound(to: UInt8.self)
                continue
            }
            let tile = tiles + row * layout.keys
            // What a head does not change is evaluated once for the group.
            if mask == nil, row % rows.heads > 0, !dependsOnHead {
                pointers[row] = pointers[row - 1]
                continue
            }
            let geometry = geometry.seen(by: rows.head(row))
            if evaluates {
                problem.options.mask.fill(tile, query: query, keys: keys, geometry)
            } else {
                tile.update(repeating: 1, count: keys.count)
            }
            if let mask {
                for key in 0..<keys.count
                where mask.base.load(fromByteOffset: index + key * mask.strides[3], as: UInt8.self) == 0 {
                    tile[key] = 0
                }
            }
            pointers[row] = UnsafePointer(tile)
        }
        return UnsafePointer(pointers)
    }
}
