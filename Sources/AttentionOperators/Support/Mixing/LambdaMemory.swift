import AttentionCore
import Kernels
import TensorCore

extension LambdaForward {
    /// Bytes of the forward pass: keys and values in Float, the states of all chunks, and each thread's scratch.
    static func workingBytes(_ problem: AttentionProblem, threads: Int) -> Int {
        let groups = problem.batch * problem.kvHeads
        let copies = problem.dtype == .float32 ? 0 : 4 * (problem.keyCount + problem.valueCount)
        let running = 2 * problem.headDim + LambdaState.floats(problem.headDim, problem.valueDim)
        let blocks = (problem.queryLength + 63) / 64
        let scratch = max(
            max(1, min(threads, groups)) * Workspace.bytes(floats: running),
            max(1, min(threads, groups * blocks)) * Workspace.bytes(floats: scratchFloats(problem)))
        return copies + 4 * sharedFloats(problem) + scratch
    }
}

extension LambdaBackward {
    /// Bytes of the backward pass: operands and gradients in Float where they have sixteen bits, the embeddings' gradient of
    /// every key head, and what each task knows of its keys and queries.
    static func workingBytes(_ shape: LambdaProblem, threads: Int) -> Int {
        let problem = shape.problem
        let groups = problem.batch * problem.kvHeads
        let operands = problem.queryCount + problem.keyCount + problem.valueCount
        let copies = problem.dtype == .float32 ? 0 : 4 * (2 * operands + problem.outputCount)
        let task =
            4 * problem.headDim * (2 * max(1, problem.keyLength) + problem.queryLength * problem.group)
            + Workspace.bytes(
                floats: LambdaState.floats(problem.headDim, problem.valueDim) + 3 * problem.headDim)
        let tasks = max(1, min(threads, groups)) * task
        // In sixteen bits gradients are converted when no task is left.
        return copies + 4 * groups * shape.embeddings * problem.headDim
            + (problem.dtype == .float32 ? tasks : max(0, tasks - problem.gradientBytes))
    }
}
