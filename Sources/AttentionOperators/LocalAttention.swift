public import AttentionCore
public import Kernels

/// Local attention (Longformer, section 3.1): each query sees a window of keys around its place.
///
/// The window is the common option `window`; causal masks and other bands narrow it. A task reads only the keys between
/// the first and the last one that any of its queries sees, so cost and memory traffic grow with
/// `queryLength · window`. Working memory O(1) for each thread.
public struct LocalAttention: TiledOperator {
    /// The operator has no options beyond `window`.
    public typealias Configuration = NoConfiguration

    /// Everything the tiled kernels honour, but masks that are not a window, alone or within documents.
    public static let capabilities: AttentionCapabilities = {
        var result = AttentionCapabilities.tiled(workingMemory: "O(1)", arithmetic: "O(L · window)")
        result.features.subtract([.maskAlgebra, .treeMask, .blockLayout, .maskFunction])
        return result
    }()

    /// For people who choose.
    public static let guide = OperatorGuide(
        maths: """
            query i sees keys j with  i + n - L - left <= j <= i + n - L + right
            O = softmax over those of scale · Q Kᵀ, times V;   cost L · (left + right + 1)
            """,
        choose: """
            For long sequences whose meaning is near: text encoders with sliding windows, the local layers of \
            interleaved models, audio. Time is linear in the length. If some tokens must be seen by all, take \
            block-sparse or global; if the whole past matters, flash.
            """,
        limits: """
            It needs a window that is closed on both sides, alone or within documents, and refuses anything else. A row \
            sees nothing outside of its window, however important: several layers stacked reach further, one does not. \
            Windows narrower than a tile cost a tile.
            """)

    /// The options in force.
    public let configuration: NoConfiguration

    /// An operator without options.
    public init(_ configuration: NoConfiguration) { self.configuration = configuration }

    /// What the kernels cannot do, and a window that is missing or open on one side.
    public func unsupportedReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        var reasons = Self.capabilities.unsupportedReasons(for: problem)
        if problem.options.mask.band(problem.geometryOfExtents) != nil {
            // An expression that comes to one band is a window, however it was written.
            reasons.removeAll { $0.aspect == .maskAlgebra }
        }
        let remedy =
            "set window to [left, right], for example [\(max(0, problem.keyLength - 1)), \(max(0, problem.keyLength - 1))]"
        guard let band = problem.options.mask.outerBand(problem.geometryOfExtents) else { return reasons }
        if band.low == nil { reasons.append(.init(.window, "left is unlimited", remedy: remedy)) }
        if band.high == nil { reasons.append(.init(.window, "right is unlimited", remedy: remedy)) }
        return reasons
    }

    /// One task for each head and block of queries.
    public func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        .sharing(problem, context: context)
    }

    /// Runs the tasks.
    /// - Throws: ``AttentionCore/AttentionError`` when bias or mask do not broadcast.
    public func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        let tiled = try TiledAttention(inputs, plan: plan, sharesHeads: true, context: context)
        return tiled.run(RowBlock.cut(plan.problem, rows: plan.queryTile, sharing: true), sinks: inputs.sinks)
    }
}

extension AttentionMask {
    /// The band that a mask keeps to: of a conjunction, that of the parts which are bands; of documents, that within them.
    fileprivate func outerBand(_ geometry: MaskGeometry) -> KeyBand? {
        if let band = band(geometry) { return band }
        switch self {
        case .and(let parts):
            return parts.compactMap { $0.outerBand(geometry) }.reduce(KeyBand(keyLength: geometry.keyLength)) {
                $0.intersection($1)
            }
        case .documents(let documents): return documents.inner.outerBand(geometry)
        default: return nil
        }
    }
}
