import AttentionCore
import Kernels
import TensorCore

/// One operator on the operands of a case, ready to be timed.
struct SweepCall {
    /// The operands, with everything that the operator owns.
    let inputs: AttentionInputs
    /// What a loss says about the results.
    let gradient: OutputGradient
    private let configured: ConfiguredOperator
    private let options: AttentionOptions
    private let context: ComputeContext
    /// For gradients: what forward gave.
    private let output: AttentionOutput?

    /// Initialises what the operator owns; for gradients, runs forward once.
    init(
        _ configured: ConfiguredOperator, _ plain: AttentionInputs, _ problem: AttentionProblem,
        direction: BenchSweep.Direction, context: ComputeContext
    ) throws(AttentionError) {
        self.configured = configured
        self.context = context
        options = problem.options
        inputs = try configured.initialising(plain, options: options, seed: 1).inputs
        let isBackward = direction == .backward
        gradient = OutputGradient(
            output: .random(
                uniform: isBackward
                    ? [problem.batch, problem.queryLength, problem.heads, problem.valueDim] : [0, 0, 0, 0],
                seed: 11, dtype: problem.dtype))
        output = isBackward ? try configured.forward(inputs, options: options, context: context) : nil
    }

    /// One call.
    func run() throws(AttentionError) {
        if output == nil {
            _ = try configured.forward(inputs, options: options, context: context)
        } else {
            _ = try gradients()
        }
    }

    /// The gradients.
    func gradients() throws(AttentionError) -> AttentionGradients {
        try configured.backward(inputs, output: output, gradient: gradient, options: options, context: context)
    }
}

extension BenchCase {
    /// The operands, where only attention can fail.
    func operands() throws(AttentionError) -> AttentionInputs {
        do throws(BenchError) {
            return try inputs()
        } catch {
            if case .attention(let inner) = error { throw inner }
            throw .tensor(operand: "query, key or value", reason: error.description)
        }
    }
}
