import AttentionCore
import Kernels

/// An operator's call along the blocks of its own pattern: what the operators with a pattern share.
struct PatternedRun {
    /// The problem as it was given.
    let problem: AttentionProblem
    /// The problem with the pattern in its mask.
    let whole: AttentionProblem
    let blockSize: Int

    init(_ problem: AttentionProblem, pattern: AttentionMask, blockSize: Int = 64) {
        self.problem = problem
        self.blockSize = blockSize
        whole = problem.narrowed(by: pattern)
    }

    func plan(_ context: ComputeContext) -> AttentionPlan {
        SparsePlan(whole, blockSize: blockSize, context: context).plan(for: problem, context: context)
    }

    func gradientPlan(_ context: ComputeContext) -> GradientPlan {
        TiledBackward.plan(whole, context: context, heldBytes: whole.options.mask.layoutBytes)
    }

    func forward(_ inputs: AttentionInputs, _ context: ComputeContext) throws(AttentionError) -> AttentionOutput {
        try SparseAttention(inputs, problem: whole, blockSize: blockSize, context: context).run(sinks: inputs.sinks)
    }

    func backward(
        _ inputs: AttentionInputs, _ output: AttentionOutput, _ gradient: OutputGradient, _ context: ComputeContext
    ) throws(AttentionError) -> AttentionGradients {
        try TiledBackward(inputs, output: output, gradient: gradient, problem: whole, context: context).run()
    }

    /// The part of all pairs that queries see, from 0 to 1.
    var density: Double {
        var all = 0.0
        for batch in 0..<problem.batch {
            let geometry = problem.geometry(batch)
            all += Double(geometry.queryLength) * Double(geometry.keyLength)
        }
        all *= Double(problem.heads) * 2 * Double(problem.headDim + problem.valueDim)
        return all == 0 ? 0 : whole.usefulFlops / all
    }
}

extension AttentionProblem {
    /// The problem with an operator's own pattern in its mask.
    func narrowed(by pattern: AttentionMask) -> AttentionProblem {
        guard pattern != .full else { return self }
        var result = self
        result.options.mask = options.mask == .full ? pattern : .and([options.mask, pattern])
        return result
    }
}

extension AttentionCapabilities {
    /// What operators on the tiled kernels honour whose pattern is placed among the keys.
    static func patterned(workingMemory: String, arithmetic: String) -> AttentionCapabilities {
        var result = AttentionCapabilities.tiled(workingMemory: workingMemory, arithmetic: arithmetic)
        // Rows are placed by the number of queries and keys, and not every key is seen.
        result.traits.subtract([.keyOrderFree, .rowIndependent, .seesEveryKey])
        result.features.remove(.int8Keys)
        return result
    }
}
