import AttentionCore
import Kernels

/// Key blocks that are computed as one: packed one behind the other, whatever lies between them.
struct KeyPanel: Sendable {
    /// Ranges of keys, ascending, none empty; neighbours are joined.
    private(set) var runs: [Range<Int>] = []
    /// Keys of all runs.
    private(set) var count = 0

    /// Adds the next keys.
    mutating func append(_ keys: Range<Int>) {
        count += keys.count
        if let last = runs.last, last.upperBound == keys.lowerBound {
            runs[runs.count - 1] = last.lowerBound..<keys.upperBound
        } else {
            runs.append(keys)
        }
    }

    /// How many of the panel's keys lie before a key.
    func place(of key: Int) -> Int {
        runs.reduce(0) { $0 + min(max(0, key - $1.lowerBound), $1.count) }
    }

    /// Cuts a list of blocks into panels of at most `limit` keys.
    static func cut(_ blocks: [Range<Int>], limit: Int) -> [KeyPanel] {
        var panels: [KeyPanel] = []
        for block in blocks where !block.isEmpty {
            if panels.isEmpty || panels[panels.count - 1].count + block.count > limit { panels.append(KeyPanel()) }
            panels[panels.count - 1].append(block)
        }
        return panels
    }

    /// Cuts a list of blocks into neighbouring keys.
    static func runs(_ blocks: [Range<Int>]) -> [Range<Int>] {
        var panel = KeyPanel()
        for block in blocks where !block.isEmpty { panel.append(block) }
        return panel.runs
    }
}

extension BlockModifiers {
    /// The modifiers of rows against a panel; nothing that counts keys may be active.
    func make(
        _ rows: RowBlock, panel: KeyPanel, band: KeyBand?, _ geometry: MaskGeometry,
        scratch: UnsafeMutablePointer<Float>, layout: BlockScratch
    ) -> ScoreModifiers {
        var result = ScoreModifiers()
        result.softcap = (problem.options.softcap ?? 0) * Self.log2e
        let isPartial = panel.runs.contains { coverage(rows, keys: $0, band: band, geometry) != .full }
        let isBounded = isPartial && bound(&result, rows, panel, band, geometry, scratch, layout)
        if let bias { result.bias = biasRows(bias, rows, panel, scratch, layout) }
        let evaluates = isPartial && !isBounded
        if mask != nil || evaluates { result.mask = maskRows(rows, panel, evaluates, geometry, scratch, layout) }
        return result
    }

    /// Gives every row its range of visible keys, counted in the panel; false when some row's keys are not one range.
    private func bound(
        _ result: inout ScoreModifiers, _ rows: RowBlock, _ panel: KeyPanel, _ band: KeyBand?,
        _ geometry: MaskGeometry, _ scratch: UnsafeMutablePointer<Float>, _ layout: BlockScratch
    ) -> Bool {
        let raw = UnsafeMutableRawPointer(scratch)
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
            first[row] = Int32(panel.place(of: span.lowerBound))
            end[row] = Int32(panel.place(of: span.upperBound))
        }
        result.firstKey = UnsafePointer(first)
        result.endKey = UnsafePointer(end)
        return true
    }

    private func biasRows(
        _ view: ScoreView, _ rows: RowBlock, _ panel: KeyPanel, _ scratch: UnsafeMutablePointer<Float>,
        _ layout: BlockScratch
    ) -> UnsafePointer<UnsafePointer<Float>?> {
        let pointers = UnsafeMutableRawPointer(scratch + layout.biasRows)
            .bindMemory(to: UnsafePointer<Float>?.self, capacity: rows.rows)
        for row in 0..<rows.rows {
            let tile = scratch + layout.biasTile + row * layout.keys
            var place = 0
            for run in panel.runs {
                let index = view.index(rows.batch, rows.head(row), rows.query(row), run.lowerBound)
                for key in 0..<run.count { tile[place + key] = view.float(at: index + key * view.strides[3]) }
                place += run.count
            }
            pointers[row] = UnsafePointer(tile)
        }
        return UnsafePointer(pointers)
    }

    private func maskRows(
        _ rows: RowBlock, _ panel: KeyPanel, _ evaluates: Bool, _ geometry: MaskGeometry,
        _ scratch: UnsafeMutablePointer<Float>, _ layout: BlockScratch
    ) -> UnsafePointer<UnsafePointer<UInt8>?> {
        let pointers = UnsafeMutableRawPointer(scratch + layout.maskRows)
            .bindMemory(to: UnsafePointer<UInt8>?.self, capacity: rows.rows)
        let tiles = UnsafeMutableRawPointer(scratch + layout.maskTile)
            .bindMemory(to: UInt8.self, capacity: rows.rows * layout.keys)
        for row in 0..<rows.rows {
            if mask == nil, row % rows.heads > 0, !dependsOnHead {
                pointers[row] = pointers[row - 1]
                continue
            }
            let tile = tiles + row * layout.keys
            let query = rows.query(row)
            let geometry = geometry.seen(by: rows.head(row))
            var place = 0
            for run in panel.runs {
                let cells = tile + place
                if evaluates {
                    problem.options.mask.fill(cells, query: query, keys: run, geometry)
                } else {
                    cells.update(repeating: 1, count: run.count)
                }
                if let mask {
                    let index = mask.index(rows.batch, rows.head(row), query, run.lowerBound)
                    for key in 0..<run.count
                    where mask.base.load(fromByteOffset: index + key * mask.strides[3], as: UInt8.self) == 0 {
                        cells[key] = 0
                    }
                }
                place += run.count
            }
            pointers[row] = UnsafePointer(tile)
        }
        return UnsafePointer(pointers)
    }
}
