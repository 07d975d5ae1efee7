import AttentionCore
import Testing

/// Named patterns against their definitions, cell by cell.
@Suite struct BlockPatternTests {
    /// A rule by place and key, written down again from the papers.
    private static func allows(_ pattern: BlockPattern, _ place: Int, _ key: Int) -> Bool {
        let distance = place - key
        switch pattern {
        case .window(let left, let right): return key >= place - left && key <= place + right
        case .global(let tokens): return key < tokens || place < tokens
        case .longformer(let window, let tokens):
            return key < tokens || place < tokens || abs(distance) <= window
        case .strided(let stride):
            return key <= place && (Set(max(0, place - stride)...max(0, place)).contains(key) || distance % stride == 0)
        case .fixed(let stride, let summary):
            return key <= place
                && (key / stride == place / stride || Set(stride - summary...stride).contains(key % stride))
        case .dilated(let window, let dilation):
            return (0...window).contains { abs(distance) == $0 * dilation }
        case .image(_, let width, let window):
            return place >= 0 && abs(place / width - key / width) <= window
                && abs(place % width - key % width) <= window
        case .axial(_, let width):
            return place >= 0 && (place / width == key / width || place % width == key % width)
        case .bigBird, .random: return false
        }
    }

    private static let patterns: [BlockPattern] = [
        .window(left: 5, right: 0), .window(left: 0, right: 40), .window(left: 33, right: 17), .global(tokens: 1),
        .global(tokens: 20), .longformer(window: 9, tokens: 3), .strided(stride: 7), .strided(stride: 40),
        .strided(stride: 1), .fixed(stride: 40, summary: 3), .fixed(stride: 13, summary: 13),
        .fixed(stride: 50, summary: 1), .dilated(window: 3, dilation: 21), .dilated(window: 2, dilation: 50),
        .image(height: 10, width: 13, window: 1), .image(height: 13, width: 10, window: 2),
        .image(height: 2, width: 65, window: 5), .axial(height: 10, width: 13), .axial(height: 65, width: 2),
        .axial(height: 2, width: 65),
    ]

    @Test(arguments: patterns.indices, [(130, 130), (60, 130), (130, 60)])
    func layoutsKeepTheBlocksThatRulesTouch(index: Int, lengths: (Int, Int)) throws {
        let pattern = Self.patterns[index]
        let (queries, keys) = lengths
        for blockSize in [1, 16, 24] {
            let layout = try pattern.layout(blockSize: blockSize, queryLength: queries, keyLength: keys)
            #expect(layout.queryBlocks == (queries + blockSize - 1) / blockSize)
            for row in 0..<layout.queryBlocks {
                for column in 0..<layout.keyBlocks {
                    let touches = (row * blockSize..<min(queries, (row + 1) * blockSize)).contains { query in
                        (column * blockSize..<min(keys, (column + 1) * blockSize)).contains { key in
                            Self.allows(pattern, query + keys - queries, key)
                        }
                    }
                    #expect(
                        layout.keeps(head: 0, queryBlock: row, keyBlock: column) == touches,
                        "\(pattern) \(lengths) \(blockSize) \(row) \(column)")
                }
            }
        }
    }

    @Test func drawnPatternsAreReproducibleAndNeverEmpty() throws {
        let patterns: [BlockPattern] = [
            .random(density: 0.1, perHead: true), .random(density: 0, perHead: false),
            .bigBird(windowBlocks: 1, globalBlocks: 1, randomBlocks: 2, perHead: true),
        ]
        for pattern in patterns {
            func draw(_ seed: UInt64) throws -> BlockLayout {
                try pattern.layout(blockSize: 16, queryLength: 640, keyLength: 640, heads: 3, seed: seed)
            }
            let layout = try draw(7)
            #expect(layout == (try draw(7)))
            if pattern != .random(density: 0, perHead: false) { #expect(layout != (try draw(8))) }
            #expect(layout.heads == (pattern.isPerHead ? 3 : 1))
            for head in 0..<layout.heads {
                for row in 0..<40 { #expect(layout.keeps(head: head, queryBlock: row, keyBlock: row), "\(pattern)") }
            }
        }
        let drawn = try BlockPattern.random(density: 0.1, perHead: true)
            .layout(blockSize: 16, queryLength: 3200, keyLength: 3200, heads: 4)
        #expect(abs(drawn.density - (0.1 + 0.9 / 200)) < 0.004)
        let planes = (0..<2).map { head in (0..<200).map { drawn.keptKeyBlocks(head: head, queryBlock: $0) } }
        #expect(planes[0] != planes[1])
    }

    @Test func bigBirdHasItsThreeParts() throws {
        let layout = try BlockPattern.bigBird(windowBlocks: 1, globalBlocks: 2, randomBlocks: 3, perHead: false)
            .layout(blockSize: 16, queryLength: 16 * 30, keyLength: 16 * 30, seed: 3)
        for row in 0..<30 {
            let kept = Set(layout.keptKeyBlocks(head: 0, queryBlock: row))
            if row < 2 {
                #expect(kept.count == 30)
                continue
            }
            let certain = Set([0, 1] + (max(0, row - 1)...min(29, row + 1)))
            #expect(certain.isSubset(of: kept))
            #expect(kept.count == certain.count + 3)
        }
    }

    @Test func parametersAreCheckedAndWritten() throws {
        for pattern in Self.patterns + [
            .random(density: 0.25, perHead: true),
            .bigBird(windowBlocks: 2, globalBlocks: 0, randomBlocks: 4, perHead: true),
        ] {
            #expect(try BlockPattern(pattern.configuration) == pattern)
        }
        #expect(
            try BlockPattern(["name": "bigbird"])
                == .bigBird(windowBlocks: 1, globalBlocks: 1, randomBlocks: 3, perHead: false))
        #expect(
            throws: AttentionError.unknownOption(
                name: "bigbrid", owner: "pattern", suggestions: ["bigbird"], known: BlockPattern.names)
        ) { try BlockPattern("bigbrid") }
        #expect(
            throws: AttentionError.unknownOption(
                name: "left2", owner: "pattern 'window'", suggestions: ["left"], known: ["left", "right"])
        ) { try BlockPattern(["name": "window", "left": 3, "left2": 4]) }
        #expect(throws: AttentionError.self) { try BlockPattern(["name": "strided"]) }
        #expect(throws: AttentionError.self) { try BlockPattern(["name": "fixed", "stride": 4, "summary": 5]) }
        #expect(throws: AttentionError.self) { try BlockPattern(["name": "random", "density": 1.5]) }
    }

    @Test func largeLayoutsAnswerFromTheirLists() throws {
        // 4096 blocks along each side: questions must not scan the cells.
        let layout = try BlockLayout(blockSize: 64, queryBlocks: 4096, keyBlocks: 4096) { _, row in
            (0..<4096).filter { $0 == row || $0 % 64 == 0 }
        }
        let mask = AttentionMask.blocks(layout)
        let geometry = MaskGeometry(queryLength: 4096 * 64, keyLength: 4096 * 64 - 5)
        let clock = ContinuousClock()
        let time = clock.measure {
            for row in 0..<4096 {
                let queries = row * 64..<(row + 1) * 64
                #expect(mask.hull(queries: queries, geometry).lowerBound == 0)
                #expect(mask.classify(queries: queries, keys: 64..<64 * 64, geometry) != .full)
                _ = mask.span(query: row * 64, geometry)
            }
        }
        #expect(time < .seconds(1), "\(time)")
    }

    @Test func listsAgreeWithCells() throws {
        let cells = (0..<2 * 5 * 7).map { $0 * 11 % 7 < 3 }
        let layout = try BlockLayout(blockSize: 8, heads: 2, queryBlocks: 5, keyBlocks: 7, cells: cells)
        #expect(layout.cells == cells)
        #expect(layout.density == Double(cells.count { $0 }) / 70)
        let mask = AttentionMask.blocks(layout)
        for head in 0..<2 {
            let geometry = MaskGeometry(queryLength: 37, keyLength: 51, head: head)
            let dense = mask.materialize(geometry)
            for queries in [0..<8, 3..<20, 36..<37, 0..<37] {
                let rows = queries.map { query in (0..<51).filter { dense[query * 51 + $0] } }
                let all = rows.flatMap { $0 }
                let hull = mask.hull(queries: queries, geometry)
                #expect(hull.lowerBound == (all.min() ?? 0) && hull.upperBound == (all.max().map { $0 + 1 } ?? 0))
                for keys in [0..<8, 5..<30, 48..<51] {
                    let seen = rows.map { $0.filter(keys.contains).count }
                    let coverage = mask.classify(queries: queries, keys: keys, geometry)
                    let expected: TileCoverage =
                        seen.allSatisfy { $0 == 0 } ? .empty : seen.allSatisfy { $0 == keys.count } ? .full : .partial
                    #expect(coverage == expected, "\(head) \(queries) \(keys)")
                }
            }
            for query in 0..<37 {
                let row = (0..<51).filter { dense[query * 51 + $0] }
                if let span = mask.span(query: query, geometry) { #expect(Array(span) == row) }
            }
        }
        #expect(throws: AttentionError.self) {
            try BlockLayout(blockSize: 8, queryBlocks: 1, keyBlocks: 3) { _, _ in [2, 1] }
        }
    }

    @Test func keyBlockIndexListsWhatIsSeen() throws {
        let layout = try BlockPattern.random(density: 0.3, perHead: true)
            .layout(blockSize: 16, queryLength: 100, keyLength: 120, heads: 2, seed: 4)
        let masks: [AttentionMask] = [
            .full, .causal, .blocks(layout), .and([.causal, .blocks(layout)]),
            .and([.blocks(layout), .or([.prefix(length: 20), .window(left: 10, right: 3)])]),
            TokenPattern.global(tokens: [3, 70], own: true).mask,
        ]
        for mask in masks {
            let index = KeyBlockIndex(mask, blockSize: 16)
            for head in 0..<2 {
                let geometry = MaskGeometry(queryLength: 97, keyLength: 117, head: head)
                let dense = mask.materialize(geometry)
                var listed = 0
                for row in 0..<7 {
                    let blocks = index.keyBlocks(queries: row * 16..<(row + 1) * 16, geometry)
                    listed += blocks.count
                    for query in row * 16..<min(97, (row + 1) * 16) {
                        for key in 0..<117 where dense[query * 117 + key] {
                            #expect(blocks.contains(key / 16), "\(mask) \(query) \(key)")
                        }
                    }
                }
                if head == 0, !mask.dependsOnHead { #expect(index.density(geometry, heads: 2) == Double(listed) / 56) }
            }
        }
    }
}
