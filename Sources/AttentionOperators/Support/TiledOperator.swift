import AttentionCore
import Kernels

/// An operator that computes softmax attention over the problem's mask on the tiled kernels: its gradients are those of
/// every such operator.
protocol TiledOperator: AttentionOperator {}

extension TiledOperator {
    /// Shares of the keys, some pairs of sequence and key head at a time.
    public func gradientPlan(_ problem: AttentionProblem, context: ComputeContext) -> GradientPlan? {
        TiledBackward.plan(problem, context: context)
    }

    /// Computes scores again in Float from the log-sum-exp, block by block.
    /// - Throws: ``AttentionCore/AttentionError`` when the output has no log-sum-exp or operands do not broadcast.
    public func backward(
        _ inputs: AttentionInputs, output: AttentionOutput, gradient: OutputGradient, plan: AttentionPlan,
        context: ComputeContext
    ) throws(AttentionError) -> AttentionGradients {
        try TiledBackward(
            inputs, output: output, gradient: gradient, problem: plan.problem, context: context
        ).run()
    }
}

/// An operator that attends by a pattern of blocks beside the problem's mask.
protocol PatternedOperator: AttentionOperator {
    /// A call on a problem along the blocks of the pattern.
    func run(_ problem: AttentionProblem) -> PatternedRun
}

extension PatternedOperator {
    /// One task for each block of queries and head, or heads that share their keys.
    public func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        run(problem).plan(context)
    }

    /// Shares of the keys, some pairs of sequence and key head at a time.
    public func gradientPlan(_ problem: AttentionProblem, context: ComputeContext) -> GradientPlan? {
        run(problem).gradientPlan(context)
    }

    /// Runs the tasks.
    /// - Throws: ``AttentionCore/AttentionError`` when bias or mask do not broadcast.
    public func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        try run(plan.problem).forward(inputs, context)
    }

    /// Computes scores again from the log-sum-exp, block by block.
    /// - Throws: ``AttentionCore/AttentionError`` when the output has no log-sum-exp or operands do not broadcast.
    public func backward(
        _ inputs: AttentionInputs, output: AttentionOutput, gradient: OutputGradient, plan: AttentionPlan,
        context: ComputeContext
    ) throws(AttentionError) -> AttentionGradients {
        try run(plan.problem).backward(inputs, output, gradient, context)
    }
}
