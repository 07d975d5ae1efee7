import AttentionCore
import AttentionOperators
import Kernels
import TensorCore
import Testing

/// Keys packed once for many tasks, or by each task for itself: a matter of time and memory, never of bits.
@Suite struct PackingTests {
    @Test(arguments: ["flash", "grouped-query"], ComputeContext.availableISAs)
    func packingOnceChangesNoBit(id: String, isa: String) throws {
        let context = try ComputeContext(threads: 2, isa: isa)
        let configured = try OperatorRegistry.builtIn[id]
        let options = AttentionOptions(mask: .causal)
        let whole = AttentionInputs(
            query: .random(uniform: [2, 700, 4, 40], seed: 1), key: .random(uniform: [2, 700, 2, 40], seed: 2),
            value: .random(uniform: [2, 700, 2, 24], seed: 3), keyLengths: [700, 530])
        let output = try configured.forward(whole, options: options, context: context)
        // So few queries that each task packs for itself, and more than are read in place.
        var last = whole
        last.query = try whole.query.sliced(1, 660..<700)
        let alone = try configured.forward(last, options: options, context: context)
        #expect(try output.output.sliced(1, 660..<700).floats() == alone.output.floats())
        let logarithms = try #require(output.logSumExp)
        #expect(try logarithms.sliced(2, 660..<700).floats() == alone.logSumExp?.floats())
    }
}

/// Rows of a task that are measured: a matter of time, never of bits.
@Suite struct TunedTilesTests {
    @Test(arguments: ["flash", "grouped-query", "local"])
    func tryingChangesNoBit(id: String) throws {
        var context = try ComputeContext(threads: 2)
        let configured = try OperatorRegistry.builtIn[id]
        let options = AttentionOptions(mask: .window(left: 300, right: 0))
        let inputs = AttentionInputs(
            query: .random(uniform: [1, 1500, 4, 40], seed: 1), key: .random(uniform: [1, 1500, 2, 40], seed: 2),
            value: .random(uniform: [1, 1500, 2, 24], seed: 3))
        let expected = try configured.forward(inputs, options: options, context: context)
        let tuning = Tuning(path: nil)
        context.tuning = tuning
        let problem = try AttentionProblem(inputs, options: options)
        let kind = try #require(configured.plan(problem, context: context).tunedKind)
        var tiles: Set<Int> = []
        for _ in 0..<5 * Tuning.samples {
            tiles.insert(configured.plan(problem, context: context).queryTile)
            let output = try configured.forward(inputs, options: options, context: context)
            #expect(output.output.floats() == expected.output.floats())
            #expect(output.logSumExp?.floats() == expected.logSumExp?.floats())
        }
        #expect(tiles.count >= 4)
        let decision = try #require(tuning.record.decisions[kind])
        #expect(decision.seconds.count == tiles.count)
    }

    @Test func whatTheUserChoseIsNotTuned() throws {
        var context = try ComputeContext(threads: 2)
        context.tuning = Tuning(path: nil)
        let problem = AttentionProblem(queryLength: 2048, heads: 8, headDim: 64)
        let flash = try OperatorRegistry.builtIn["flash"]
        #expect(flash.plan(problem, context: context).tunedKind != nil)
        let fixed = try flash.with(["queryTile": 70]).plan(problem, context: context)
        #expect(fixed.tunedKind == nil)
        #expect(fixed.queryTile == 70)
    }
}
