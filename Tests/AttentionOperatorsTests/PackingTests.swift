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
