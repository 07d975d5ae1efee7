import AttentionCore
import Kernels

/// Fills the per-row modifiers of one block of scores.
struct BlockModifiers: Sendable {
    let problem: AttentionProblem
    let bias: ScoreView?
    let mask: ScoreView?
    let slopes: [Float]?

    private static let log2e: Float = 1.442_695

    init(_ problem: AttentionProblem, _ inputs: AttentionInputs) throws(AttentionError) {
        self.problem = problem
        if let tensor = inputs.bias { bias = try ScoreView(tensor, problem: problem) } else { bias = nil }
        if let tensor = inputs.mask { mask = try ScoreView(tensor, problem: problem) } else { mask = nil }
        slopes = inputs.alibiSlopes
    }

    /// What the mask lets through of a block, without looking at data.
    func coverage(_ rows: RowBlock, keys: Range<Int>, band: KeyBand?, _ geometry: MaskGeometry) -> TileCoverage {
        band?.classify(queries: rows.queries, keys: keys)
            ?? problem.options.mask.classify(queries: rows.queries, keys: keys, geometry)
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
        if coverage == .partial, let band {
            let first = (raw + layout.firstKey * 4).bindMemory(to: Int32.self, capacity: count)
            let end = (raw + layout.endKey * 4).bindMemory(to: Int32.self, capacity: count)
            for row in 0..<count {
                let visible = band.keys(for: rows.query(row))
                first[row] = Int32(clamping: visible.lowerBound - keys.lowerBound)
                end[row] = Int32(clamping: visible.upperBound - keys.lowerBound)
            }
            result.firstKey = UnsafePointer(first)
            result.endKey = UnsafePointer(end)
        }
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
        if mask != nil || (coverage == .partial && band == nil) {
            result.mask = maskRows(rows, keys, coverage, band, geometry, scratch, layout)
        }
        return result
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
        _ rows: RowBlock, _ keys: Range<Int>, _ coverage: TileCoverage, _ band: KeyBand?, _ geometry: MaskGeometry,
        _ scratch: UnsafeMutablePointer<Float>, _ layout: BlockScratch
    ) -> UnsafePointer<UnsafePointer<UInt8>?> {
        let pointers = UnsafeMutableRawPointer(scratch + layout.maskRows)
            .bindMemory(to: UnsafePointer<UInt8>?.self, capacity: rows.rows)
        let tiles = UnsafeMutableRawPointer(scratch + layout.maskTile)
            .bindMemory(to: UInt8.self, capacity: rows.rows * layout.keys)
        // An expression that is not a band is evaluated cell by cell, in partial blocks only.
        let evaluates = coverage == .partial && band == nil
        for row in 0..<rows.rows {
            let query = rows.query(row)
            let index = mask?.index(rows.batch, rows.head(row), query, keys.lowerBound) ?? 0
            if let mask, mask.isDirect, !evaluates {
                pointers[row] = (mask.base + index).assumingMemoryBound(to: UInt8.self)
                continue
            }
            let tile = tiles + row * layout.keys
            for key in 0..<keys.count {
                let dense = mask.map { $0.base.load(fromByteOffset: index + key * $0.strides[3], as: UInt8.self) } ?? 1
                let allowed =
                    !evaluates || problem.options.mask.allows(query: query, key: keys.lowerBound + key, geometry)
                tile[key] = dense != 0 && allowed ? 1 : 0
            }
            pointers[row] = UnsafePointer(tile)
        }
        return UnsafePointer(pointers)
    }
}
