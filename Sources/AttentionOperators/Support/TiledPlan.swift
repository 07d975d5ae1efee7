import AttentionCore
import Kernels
import TensorCore

extension AttentionCapabilities {
    /// What every operator on the tiled kernels honours.
    static func tiled(workingMemory: String, arithmetic: String) -> AttentionCapabilities {
        AttentionCapabilities(
            dtypes: [.float32, .float16, .bfloat16], headDims: 1...4096,
            features: Set(AttentionFeature.allCases).subtracting([.dtype, .headDim, .configuration, .gradients]),
            exactness: .exact,
            workingMemory: workingMemory, arithmetic: arithmetic, hasGradients: true)
    }
}

extension AttentionPlan {
    /// The plan of an operator whose tasks each take one workspace.
    static func tiled(
        _ problem: AttentionProblem, sizes: TileSizes, sharing: Bool, scratchFloats: Int, context: ComputeContext,
        packsOnce: Bool = false
    ) -> AttentionPlan {
        let heads = sharing ? problem.group : 1
        let step = max(1, sizes.rows / heads)
        let tasks = (0..<problem.batch).reduce(0) { total, batch in
            total + (problem.geometry(batch).queryLength + step - 1) / step * (problem.heads / heads)
        }
        let packed =
            packsOnce && PackedSequence.servesStreams(problem, context: context)
            ? PackedSequence.bytes(
                problem, panelWidth: context.kernels.panelWidth, limit: PackedSequence.streamedLimit) : 0
        return AttentionPlan(
            problem: problem, queryTile: sizes.rows, keyTile: sizes.keys, tasks: tasks,
            workspaceBytes: scratchFloats * 4 * max(1, min(context.threads, tasks)) + packed,
            isa: context.isa, threads: context.threads, tunedKind: sizes.tunedKind)
    }
}
