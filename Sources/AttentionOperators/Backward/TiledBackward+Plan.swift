import AttentionCore
import Kernels
import TensorCore

extension TiledBackward {
    /// How the gradients of a problem are computed.
    /// - Parameters:
    ///   - problem: with everything that hides keys in its mask.
    ///   - heldBytes: what the operator holds beside.
    ///   - kept: what an earlier step of the call has left.
    static func plan(
        _ problem: AttentionProblem, context: ComputeContext, heldBytes: Int = 0, kept: KeptWorkspaces = .none
    ) -> GradientPlan {
        let layout = BackwardLayout(problem, context: context)
        let shares = shares(problem, layout, biasShape: problem.biasShape)
        let pairs = max(1, problem.batch * problem.kvHeads)
        let isShared = problem.biasShape.map { BiasGradient.isShared($0, problem) } ?? false
        return .fitting(context, pairs: isShared ? 1 : min(pairs, mostPairs)) { pairs, context in
            GradientPlan(
                threads: context.threads, pairsAtOnce: pairs,
                workspaceBytes: heldBytes
                    + workingBytes(
                        problem, layout, shares: shares, pairs: pairs, kept: kept, context: context),
                resultBytes: problem.gradientBytes)
        }
    }

    /// Bytes of workspaces that a pass over so many pairs at once leaves for the next step of a call.
    /// - Parameter kept: what an earlier step has left.
    static func keptBytes(
        _ problem: AttentionProblem, pairs: Int, kept: KeptWorkspaces, context: ComputeContext
    ) -> Int {
        let layout = BackwardLayout(problem, context: context)
        let shares = shares(problem, layout, biasShape: problem.biasShape)
        let sums = Workspace.keptBytes(floats: sumFloats(problem, layout, shares: shares, pairs: pairs))
        let scratch = [Int](
            repeating: Workspace.keptBytes(floats: layout.total), count: max(1, min(context.threads, pairs * shares)))
        return kept.bytes(taking: (sums > 0 ? [sums] : []) + scratch)
    }

    /// Floats in which the query gradients of so many pairs are summed, share by share.
    static func sumFloats(
        _ problem: AttentionProblem, _ layout: BackwardLayout, shares: Int, pairs: Int
    ) -> Int {
        pairs * shares * problem.queryLength * problem.group * layout.headStride
    }

    private static func workingBytes(
        _ problem: AttentionProblem, _ layout: BackwardLayout, shares: Int, pairs: Int,
        kept: KeptWorkspaces, context: ComputeContext
    ) -> Int {
        // The output again, in Float, where operands have sixteen bits: while it is made, no gradient is.
        var wide = problem
        wide.dtype = .float32
        let again =
            problem.dtype == .float32
            ? nil
            : AttentionPlan.sharing(
                wide, sizes: TileSizes.tasks(wide, sharing: true, context: context.untuned), context: context)
        let sums = Workspace.bytes(floats: sumFloats(problem, layout, shares: shares, pairs: pairs))
        let scratch = [Int](
            repeating: Workspace.bytes(floats: layout.total), count: max(1, min(context.threads, pairs * shares)))
        let workspaces = (again?.kept(context) ?? kept).bytes(taking: [sums] + scratch)
        // rowsum(dO · O), the log-sum-exp and its gradient, for each row.
        let rows = 3 * problem.logSumExpBytes
        let bias = problem.biasShape.map { BiasGradient.workingBytes($0, problem, copies: shares) } ?? 0
        let pass = workspaces + rows + bias
        guard let again else { return PlannedBytes.objects + pass }
        return PlannedBytes.objects + wide.outputBytes
            + max(pass, again.peakBytes - wide.outputBytes - problem.gradientBytes)
    }
}
