import AttentionCore
import Foundation
import TensorCore
import Testing

/// Masks in configurations and in normal form.
@Suite struct MaskNormalFormTests {
    private static let leaves: [AttentionMask] = {
        var result: [AttentionMask] = [
            .full, .causal, .causal(.topLeft), .window(left: 3, right: 2), .window(left: nil, right: 0),
            .window(left: 1, right: nil, corner: .topLeft), .prefix(length: 4), .prefix(length: 0), .or([]), .and([]),
            .shifted(ShiftedMask(.causal, queries: 2, keys: 1, lengths: .init(queryLength: 20, keyLength: 24))),
            .shifted(ShiftedMask(.window(left: 2, right: 2), keys: 3)),
        ]
        if let documents = try? DocumentMask(lengths: [4, 5], inner: .causal) { result.append(.documents(documents)) }
        if let tree = try? TreeMask(parents: [-1, 0, 0]) { result.append(.tree(tree)) }
        if let blocks = try? BlockLayout(blockSize: 4, queryBlocks: 3, keyBlocks: 3, cells: (0..<9).map { $0 % 2 == 0 })
        {
            result.append(.blocks(blocks))
        }
        return result
    }()

    /// Expressions drawn by a seed.
    private static func expression(_ random: inout CounterRandom, depth: Int) -> AttentionMask {
        let choice = depth == 0 ? 0 : Int(random.next() % 5)
        func parts() -> [AttentionMask] {
            (0..<Int(random.next() % 4)).map { _ in expression(&random, depth: depth - 1) }
        }
        switch choice {
        case 1: return .and(parts())
        case 2: return .or(parts())
        case 3: return .not(expression(&random, depth: depth - 1))
        case 4:
            return .shifted(
                ShiftedMask(
                    expression(&random, depth: depth - 1), queries: Int(random.next() % 4) - 1,
                    keys: Int(random.next() % 4) - 1))
        default: return leaves[Int(random.next() % UInt64(leaves.count))]
        }
    }

    private static let geometries = [
        MaskGeometry(queryLength: 9, keyLength: 11), MaskGeometry(queryLength: 11, keyLength: 7),
    ]

    @Test func normalFormsAndBandsKeepEveryCell() {
        var random = CounterRandom(seed: 5)
        var bands = 0
        for _ in 0..<3000 {
            let mask = Self.expression(&random, depth: 3)
            for geometry in Self.geometries {
                let cells = mask.materialize(geometry)
                #expect(mask.normalised.materialize(geometry) == cells, "\(mask)")
                if let band = mask.band(geometry) {
                    bands += 1
                    let width = geometry.keyLength
                    let keys = (0..<geometry.queryLength).map { query in
                        (0..<width).map { band.keys(for: query).contains($0) }
                    }
                    #expect(keys.flatMap { $0 } == cells, "\(mask)")
                }
                for keys in [0..<geometry.keyLength, 3..<geometry.keyLength + 2] {
                    for query in 0..<geometry.queryLength {
                        var row = [UInt8](repeating: 7, count: keys.count)
                        row.withUnsafeMutableBufferPointer { buffer in
                            if let base = buffer.baseAddress {
                                mask.fill(base, query: query, keys: keys, geometry)
                            }
                        }
                        let expected = keys.map { key in
                            key < geometry.keyLength && cells[query * geometry.keyLength + key] ? UInt8(1) : 0
                        }
                        #expect(row == expected, "\(mask) \(query) \(keys)")
                    }
                }
                let coverage = mask.classify(queries: 2..<6, keys: 1..<5, geometry)
                let tile = (2..<6).flatMap { query in (1..<5).map { cells[query * geometry.keyLength + $0] } }
                if coverage == .empty { #expect(!tile.contains(true), "\(mask)") }
                if coverage == .full { #expect(!tile.contains(false), "\(mask)") }
            }
            #expect(mask.normalised.normalised == mask.normalised, "\(mask)")
        }
        #expect(bands > 1000)
    }

    @Test func expressionsOfBandsAreBands() {
        let geometry = MaskGeometry(queryLength: 30, keyLength: 40)
        let window = AttentionMask.window(left: 9, right: 4)
        let masks: [(AttentionMask, KeyBand)] = [
            (.not(.not(.causal)), KeyBand(high: 10, keyLength: 40)),
            (.and([.and([.causal]), .and([.full, window])]), KeyBand(low: 1, high: 10, keyLength: 40)),
            (.or([.window(left: 3, right: 0), window]), KeyBand(low: 1, high: 14, keyLength: 40)),
            (.or([.window(left: 5, right: 0), .window(left: 0, right: 7)]), KeyBand(low: 5, high: 17, keyLength: 40)),
            (
                .or([.window(left: 5, right: 0), .and([.not(.causal), .window(left: nil, right: 6)])]),
                KeyBand(low: 5, high: 16, keyLength: 40)
            ),
            (.not(.or([.not(.causal), .not(window)])), KeyBand(low: 1, high: 10, keyLength: 40)),
            (.not(.and([.causal, .full])), KeyBand(low: 11, keyLength: 40)),
            (
                .shifted(ShiftedMask(.causal, queries: 5, keys: 2, lengths: .init(queryLength: 50, keyLength: 60))),
                KeyBand(high: 13, keyLength: 40)
            ),
        ]
        for (mask, band) in masks { #expect(mask.band(geometry) == band, "\(mask)") }
        #expect(AttentionMask.or([.prefix(length: 3), .causal]).band(geometry) == nil)
        #expect(
            AttentionMask.or([.window(left: 0, right: 0), .not(.window(left: 9, right: nil))]).band(geometry) == nil)
    }

    @Test func normalFormsAreShort() {
        #expect(AttentionMask.and([.and([.full, .causal]), .and([.causal])]).normalised == .causal)
        #expect(
            AttentionMask.not(.or([.not(.causal), .not(.prefix(length: 3))])).normalised
                == .and([.causal, .prefix(length: 3)]))
        #expect(AttentionMask.or([.or([.causal, .full]), .prefix(length: 2)]).normalised == .full)
        #expect(AttentionMask.and([.causal, .or([])]).normalised == .or([]))
    }

    @Test func everyMaskThatCanBeWrittenIsReadBack() throws {
        let documents = try DocumentMask(
            queries: [0..<3, 5..<9], keys: [7..<9, 0..<4], inner: .window(left: 2, right: nil))
        let layout = try BlockLayout(
            blockSize: 4, heads: 2, queryBlocks: 2, keyBlocks: 3, cells: (0..<12).map { $0 % 5 < 2 })
        let masks: [AttentionMask] =
            Self.leaves + [
                .documents(documents), .blocks(layout), .and([.blocks(layout), .not(.documents(documents))]),
                .tree(try TreeMask(parents: [])),
            ]
        for mask in masks {
            let text = mask.configuration.jsonText
            #expect(try AttentionMask(ConfigurationValue(json: text)) == mask, "\(text)")
            let data = try JSONEncoder().encode(mask)
            #expect(try JSONDecoder().decode(AttentionMask.self, from: data) == mask, "\(text)")
            let specification = try AttentionSpecification(["name": "flash", "mask": mask.configuration])
            #expect(specification.options.mask == mask)
        }
        #expect(
            try AttentionMask(["documents": ["lengths": [3, 4], "inner": "causal"]])
                == .documents(DocumentMask(lengths: [3, 4], inner: .causal)))
        #expect(
            try AttentionMask(["blocks": ["size": 16, "layout": [[1, 0], [1, 1]]]])
                == .blocks(BlockLayout(blockSize: 16, queryBlocks: 2, keyBlocks: 2, cells: [true, false, true, true])))
    }

    @Test func wrongMasksSayWhatIsWrong() {
        let wrong: [(ConfigurationValue, String)] = [
            (["documents": ["queries": [[0, 3]], "keys": [[0, -1]]]], "documents.keys"),
            (["documents": ["queries": [[0, 3]]]], "documents.keys"),
            (["documents": ["lengths": [1], "keys": [[0, 1]]]], "documents.keys"),
            (["documents": ["lengths": [3, -4]]], "documents"), (["documents": [1, 2]], "documents"),
            (["documents": ["lengths": [3], "iner": "causal"]], "iner"), (["tree": [0, 1]], "tree"),
            (["tree": "deep"], "tree"), (["shift": ["mask": "causal", "by": [1]]], "shift.by"),
            (["shift": ["by": [1, 2]]], "shift.mask"),
            (["shift": ["mask": "causal", "by": [1, 2], "lengths": [-1, 4]]], "shift.lengths"),
            (["blocks": ["size": 0, "layout": [[1]]]], "blockSize"), (["blocks": ["layout": [[1]]]], "blocks.size"),
            (["blocks": ["size": 4, "layout": [[1], [1, 0]]]], "layout"),
            (["blocks": ["size": 4, "layout": [[2]]]], "layout"), (["function": "parity"], "mask"),
            (["prefix": -1], "prefix"), (["documents": ["lengths": [3], "inner": ["prefix": -2]]], "prefix"),
        ]
        for (value, name) in wrong {
            do {
                let mask = try AttentionMask(value)
                Issue.record("\(value.jsonText) was read as \(mask)")
            } catch {
                switch error {
                case .invalidOption(let option, _, _), .unknownOption(let option, _, _, _):
                    #expect(option == name, "\(value.jsonText)")
                default: Issue.record("\(error)")
                }
            }
        }
    }
}
