import AttentionCore
import AttentionOperators
import AttentionTesting
import TensorCore
import Testing

/// Slices of the keys and their merge, beyond the law that every operator is held to.
@Suite struct PartialAttentionTests {
    private static let inputs = AttentionCase("partial", queryLength: 12, keyLength: 40, headDim: 16).inputs()

    @Test func onePartIsTheWhole() throws {
        let flash = try OperatorRegistry.builtIn["flash"]
        let whole = try flash.forward(Self.inputs, options: .init(mask: .causal))
        let merged = try AttentionOutput.merging([
            flash.partial(Self.inputs, keys: 0..<40, options: .init(mask: .causal))
        ])
        #expect(try merged.output.maxAbsoluteDifference(whole.output) <= 1e-6)
        #expect(merged.output.dtype == .float32)
    }

    @Test func partsOfAnyOperatorsMerge() throws {
        let parts = try [("flash", 0..<7), ("full", 7..<30), ("memory-efficient", 30..<40)].map { name, keys in
            try OperatorRegistry.builtIn[name].partial(Self.inputs, keys: keys)
        }
        let whole = try DenseReference.forward(Self.inputs, options: .init(), precision: .double)
        let merged = try AttentionOutput.merging(parts)
        #expect(try merged.output.maxAbsoluteDifference(whole.output) <= 2e-6)
    }

    @Test func rowsThatSeeNothingStayEmpty() throws {
        let flash = try OperatorRegistry.builtIn["flash"]
        let options = AttentionOptions(mask: .causal(.topLeft))
        let hidden = try flash.partial(Self.inputs, keys: 20..<40, options: options)
        let merged = try AttentionOutput.merging([hidden, hidden])
        #expect(merged.output.doubles().allSatisfy { $0 == 0 })
        #expect(merged.logSumExp?.doubles().allSatisfy { $0 == -.infinity } == true)
    }

    @Test func whatCannotBeMergedIsRefused() throws {
        let flash = try OperatorRegistry.builtIn["flash"]
        let part = try flash.partial(Self.inputs, keys: 0..<10)
        var blind = part
        blind.logSumExp = nil
        #expect(
            throws: AttentionError.missingOperand(
                operand: "log_sum_exp", expected: "[1, 1, 12] in every partial result")
        ) { try AttentionOutput.merging([part, blind]) }
        #expect(
            throws: AttentionError.missingOperand(operand: "parts", expected: "at least one partial result")
        ) { try AttentionOutput.merging([]) }
        let other = AttentionOutput(output: Tensor(zeros: [1, 12, 1, 15]), logSumExp: Tensor(zeros: [1, 1, 12]))
        #expect(
            throws: AttentionError.invalidShape(operand: "output", expected: "[1, 12, 1, 16]", actual: [1, 12, 1, 15])
        ) { try AttentionOutput.merging([part, other]) }
        #expect(
            throws: AttentionError.invalidValue(operand: "keys", expected: "a range within 0..<40", actual: "30..<41")
        ) { try flash.partial(Self.inputs, keys: 30..<41) }
        #expect(throws: AttentionError.self) {
            try flash.partial(Self.inputs, keys: 0..<10, options: .init(dropout: 0.1))
        }
    }
}
