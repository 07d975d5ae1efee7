import AttentionCore
import AttentionOperators
import AttentionTesting
import Kernels
import TensorCore
import Testing

/// Masks by document, tree, block and function, dropout and score functions through the kernels, against the reference.
@Suite struct MaskAndModifierTests {
    static let options: [(name: String, options: AttentionOptions)] = {
        let relative = ScoreFunction("relative", derivative: { _, _ in 1 }) { score, place in
            score - 0.05 * Double((place.query - place.key) * (place.query - place.key) % 7) + Double(place.head)
        }
        let parity = MaskFunction("parity") { query, key, geometry in (query + key + geometry.head) % 3 != 0 }
        let cells = (0..<4 * 5 * 5).map { $0 * 7 % 5 < 3 }
        guard let documents = try? DocumentMask(lengths: [10, 0, 21, 34], inner: .causal),
            let gappy = try? DocumentMask(
                queries: [0..<7, 9..<40, 40..<65], keys: [50..<65, 3..<20, 20..<45], inner: .window(left: 9, right: 4)),
            let tree = try? TreeMask(parents: [-1, 0, 0, 1, 1, 2, -1, 6]),
            let blocks = try? BlockLayout(blockSize: 16, heads: 4, queryBlocks: 5, keyBlocks: 5, cells: cells)
        else { return [] }
        let shifted = ShiftedMask(.causal, queries: 5, keys: 11, lengths: .init(queryLength: 90, keyLength: 100))
        let masks: [(String, AttentionMask)] = [
            ("documents", .documents(documents)), ("gappy", .documents(gappy)), ("tree", .tree(tree)),
            ("blocks", .blocks(blocks)), ("shifted", .shifted(shifted)), ("function", .function(parity)),
            ("prefix-lm", .or([.prefix(length: 20), .causal])), ("blocks-causal", .and([.blocks(blocks), .causal])),
            ("not-documents", .not(.documents(documents))),
        ]
        return masks.map { ($0.0, AttentionOptions(mask: $0.1)) } + [
            ("dropout", AttentionOptions(dropout: 0.3, seed: 5)),
            ("dropout-causal", AttentionOptions(mask: .causal, dropout: 0.9, seed: 6)),
            ("score-function", AttentionOptions(mask: .causal, softcap: 3, scoreFunction: relative)),
            ("everything", AttentionOptions(mask: .blocks(blocks), softcap: 5, dropout: 0.5, scoreFunction: relative)),
        ]
    }()

    static let ids = ["full", "memory-efficient", "flash", "grouped-query", "block-sparse"]

    @Test(arguments: ids, ComputeContext.availableISAs)
    func matchesTheReference(id: String, isa: String) throws {
        #expect(Self.options.count == 13)
        for kvHeads in [4, 2, 1] {
            for length in [65, 2] {
                var attentionCase = AttentionCase("modifiers", queryLength: length, keyLength: 65, headDim: 20)
                attentionCase.heads = 4
                attentionCase.kvHeads = kvHeads
                attentionCase.batch = 2
                let inputs = attentionCase.inputs()
                for (name, options) in Self.options {
                    let tolerance = try Tolerance(inputs, options: options)
                    let result = try OperatorRegistry.builtIn[id].forward(
                        inputs, options: options, context: ComputeContext(threads: 2, isa: isa))
                    for excess in tolerance.errors(of: result) {
                        #expect(
                            excess.ratio <= 1, "\(id) \(isa) \(name) \(length) \(kvHeads) \(excess.operand): \(excess)")
                    }
                }
            }
        }
    }

    @Test func localTakesDocumentsWithAWindow() throws {
        let inputs = AttentionCase("local", queryLength: 65, headDim: 16).inputs()
        let within = AttentionMask.documents(try DocumentMask(lengths: [20, 45], inner: .window(left: 4, right: 0)))
        let beside = AttentionMask.and([
            .documents(try DocumentMask(lengths: [20, 45])), .window(left: 4, right: 0),
        ])
        let local = try OperatorRegistry.builtIn["local"]
        for mask in [within, beside] {
            let options = AttentionOptions(mask: mask)
            let result = try local.forward(inputs, options: options)
            for excess in try Tolerance(inputs, options: options).errors(of: result) { #expect(excess.ratio <= 1) }
        }
        let open = AttentionProblem(
            queryLength: 65, heads: 1, headDim: 16,
            options: .init(mask: .documents(try DocumentMask(lengths: [20, 45]))))
        #expect(local.unsupportedReasons(for: open).map(\.aspect) == [.window, .window])
    }
}
