import AttentionCore
import Kernels
import TensorCore

extension WideSearch {
    /// The problem of the searches: values of all heads side by side.
    static func problem(_ problem: AttentionProblem, dtype: DType = .float32) -> AttentionProblem {
        var searches = problem
        searches.dtype = dtype
        searches.valueDim = problem.kvHeads * problem.valueDim
        return searches
    }
}

extension Retrieval {
    private static func matrixBytes(_ problem: AttentionProblem, retrievalDim: Int, _ context: ComputeContext) -> Int {
        // The projections in Double; their product, and packed.
        8 * retrievalDim * (problem.headDim + problem.valueDim)
            + PackedMatrix.bytes(outputs: problem.valueDim, inputs: problem.headDim, context: context)
            + 4 * problem.headDim * problem.valueDim
            + DenseLayers.linearBytes(
                rows: problem.batch * problem.queryLength * problem.heads,
                inputs: max(problem.headDim, problem.valueDim), context: context)
    }

    /// Bytes of ``forward(_:_:to:)``: queries and directions as rows.
    static func workingBytes(_ problem: AttentionProblem, retrievalDim: Int, _ context: ComputeContext) -> Int {
        4 * problem.queryCount + 4 * problem.outputCount + matrixBytes(problem, retrievalDim: retrievalDim, context)
    }

    /// Bytes of ``backward(_:_:_:)`` beside its results: queries, directions and the gradient by these as rows.
    static func workingBytesOfGradients(_ problem: AttentionProblem, retrievalDim: Int, _ context: ComputeContext)
        -> Int
    {
        4 * problem.queryCount + 8 * problem.outputCount + matrixBytes(problem, retrievalDim: retrievalDim, context)
            + (problem.dtype == .float32 ? 0 : 4 * problem.outputCount)
    }
}
