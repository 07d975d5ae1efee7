import AttentionCore
import AttentionOperators
import AttentionTesting
import Kernels
import TensorCore
import Testing

/// Gradients of the tiled operators where blocks, shares and waves of tasks meet.
@Suite struct BackwardTests {
    private static func make(
        _ name: String, _ queries: Int, _ keys: Int, dim: Int = 24, _ edit: (inout AttentionCase) -> Void = { _ in }
    ) -> GradientCase {
        var result = AttentionCase(name, queryLength: queries, keyLength: keys, headDim: dim)
        edit(&result)
        return GradientCase(result, usesLogSumExp: true)
    }

    /// More key blocks than shares, more pairs of sequence and head than one wave, groups larger than a step.
    static let cases: [GradientCase] = [
        make("many-key-blocks", 300, 2300) { $0.config = ["causal": true] },
        make("many-pairs", 40, 60) {
            $0.batch = 5
            $0.heads = 8
            $0.kvHeads = 4
        },
        make("large-group", 9, 500) {
            $0.heads = 130
            $0.kvHeads = 1
            $0.config = ["causal": true]
        },
        make("wide-heads", 150, 500, dim: 130) { $0.config = ["window": [200, 3]] },
        make("shared-bias", 120, 900) {
            $0.batch = 2
            $0.heads = 6
            $0.kvHeads = 3
            $0.bias = .init(shape: [120, 900], seed: 3, amplitude: 2)
            $0.config = ["causal": true]
        },
        make("shared-row-bias", 120, 900) {
            $0.batch = 2
            $0.heads = 6
            $0.kvHeads = 3
            $0.bias = .init(shape: [1, 6, 120, 1], seed: 3, amplitude: 2)
        },
        make("number-as-bias", 60, 900) {
            $0.batch = 3
            $0.heads = 2
            $0.kvHeads = 2
            $0.bias = .init(shape: [1], seed: 3, amplitude: 2)
        },
        make("sinks-windows-lengths", 240, 520) {
            $0.batch = 2
            $0.heads = 4
            $0.kvHeads = 2
            $0.sinks = [1, -1, 0.5, 3]
            $0.queryLengths = [240, 113]
            $0.keyLengths = [520, 300]
            $0.config = ["causal": true, "window": [70, 0], "softcap": 5]
        },
    ]

    @Test(arguments: ["flash", "grouped-query", "memory-efficient", "full"], ComputeContext.availableISAs)
    func blocksMeet(id: String, isa: String) throws {
        let report = GradientSuite.compare(
            try OperatorRegistry.builtIn[id], contexts: [try ComputeContext(threads: 2, isa: isa)], cases: Self.cases)
        #expect(report.isPassing, "\(id) on \(isa): \(report)")
        #expect(report.accepted == Self.cases.count)
    }

    @Test(arguments: ComputeContext.availableISAs)
    func threadsChangeNoBit(isa: String) throws {
        let flash = try OperatorRegistry.builtIn["flash"]
        for gradientCase in Self.cases {
            let inputs = gradientCase.attention.inputs()
            let options = try gradientCase.resolvedOptions()
            let results = try [1, 3].map { threads in
                try flash.backward(
                    inputs, gradient: gradientCase.gradient(), options: options,
                    context: ComputeContext(threads: threads, isa: isa))
            }
            for (one, three) in zip(results[0].named, results[1].named) {
                #expect(one.tensor.bitwiseEquals(three.tensor), "\(gradientCase.name) [\(isa)]: \(one.name)")
            }
        }
    }

    @Test func anOutputOfAnotherShapeIsRefused() throws {
        let inputs = AttentionCase("refused", queryLength: 8, headDim: 8).inputs()
        let gradient = OutputGradient(output: Tensor(zeros: [1, 8, 1, 8]))
        let flash = try OperatorRegistry.builtIn["flash"]
        var output = try flash.forward(inputs)
        output.logSumExp = nil
        #expect(throws: AttentionError.missingOperand(operand: "log_sum_exp", expected: "[1, 1, 8]")) {
            try flash.backward(inputs, output: output, gradient: gradient)
        }
        let other = AttentionOutput(output: Tensor(zeros: [1, 7, 1, 8]), logSumExp: Tensor(zeros: [1, 1, 8]))
        #expect(
            throws: AttentionError.invalidShape(operand: "output", expected: "[1, 8, 1, 8]", actual: [1, 7, 1, 8])
        ) { try flash.backward(inputs, output: other, gradient: gradient) }
    }
}
