public import AttentionCore
public import Kernels
import TensorCore

/// Compositional attention (Mittal et al., 2021, equations 5 to 9): which keys to search for and which values to retrieve
/// are chosen apart.
///
/// Each query head is a search with its key head, each of the kvHeads value heads a retrieval. Every search weighs every
/// value head, and a second softmax, between a query and the retrieved values, mixes the kvHeads results:
///
///     O_ij = softmax(scale Q_i K_iᵀ) V_j,   y_i = Σ_j softmax_j((q W_q) · (O_ij W_k) / sqrt(r)) O_ij
///
/// The searches run on the tiled kernels of `flash` with all value heads side by side as one wide value, so scores are
/// made once; nothing is repeated in memory. Sixteen-bit operands are copied to F32 first.
/// Cost: 2 · heads · visible pairs · (headDim + kvHeads · valueDim) operations; working memory O(L · heads · kvHeads).
public struct CompositionalAttention: AttentionOperator {
    /// Options of the operator.
    public struct Configuration: OperatorConfiguration {
        /// Features in which queries and retrievals meet.
        public var retrievalDim: Int

        /// The paper's 32 features.
        public init() { retrievalDim = 32 }

        /// Decodes, with the default for an absent key.
        public init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            retrievalDim = try container.decodeIfPresent(Int.self, forKey: .retrievalDim) ?? 32
        }

        /// The options, for people.
        public static var options: [OptionDescription] {
            [
                OptionDescription(
                    "retrievalDim", "features in which queries and retrieved values meet, from 1 to 4096",
                    default: "32")
            ]
        }
    }

    /// Everything the tiled kernels honour, but a log-sum-exp: two softmaxes have none.
    public static let capabilities: AttentionCapabilities = {
        var result = AttentionCapabilities.tiled(workingMemory: "O(L)", arithmetic: "O(L^2)")
        result.features.subtract([.logSumExp, .int8Keys])
        result.exactness = .approximate(limit: "of one key head, whose retrieval is the only one")
        result.hasGradients = true
        result.traits = [.weightedMean, .keyOrderFree, .rowIndependent, .anyScore, .seesEveryKey]
        return result
    }()

    /// Maths, choice and limits.
    public static let guide = OperatorGuide(
        maths: """
            searches i: query heads, each with its key head; retrievals j: the kvHeads value heads
            Search_i = softmax(scale Q_i K_iᵀ),  O_ij = Search_i V_j
            q̄_i = q_i W_q,  k̄_ij = O_ij W_k      W_q [headDim, r], W_k [valueDim, r]
            y_i = Σ_j softmax_j(q̄_i · k̄_ij / sqrt(r)) O_ij
            masks, bias, softcap, sinks and dropout act on the searches
            """,
        choose: """
            Where heads should share what they retrieve: tasks of compositional generalisation, with few value heads. \
            It costs (headDim + kvHeads · valueDim) / (headDim + valueDim) times as much as flash, so keep kvHeads \
            small by grouped heads. With one key head it is grouped-query at a higher price.
            """,
        limits: """
            No log-sum-exp: parts of the keys cannot be merged, for the second softmax looks at whole retrievals. \
            The output is not linear in the values.
            """)

    /// The options in force.
    public let configuration: Configuration

    /// What the searches run on.
    private let flash: FlashAttention

    /// Checks the width of the retrieval.
    /// - Throws: ``AttentionCore/AttentionError/invalidOption(name:expected:actual:)``.
    public init(_ configuration: Configuration) throws(AttentionError) {
        guard (1...4096).contains(configuration.retrievalDim) else {
            throw .invalidOption(
                name: "retrievalDim", expected: "from 1 to 4096", actual: "\(configuration.retrievalDim)")
        }
        self.configuration = configuration
        flash = try FlashAttention(.init())
    }

    /// The two projections of the retrieval.
    public func parameters(for problem: AttentionProblem) -> [OperatorParameter] {
        func projection(_ name: String, _ inputs: Int, _ summary: String) -> OperatorParameter {
            // As PyTorch begins linear layers: uniform from ±1 / sqrt(inputs).
            OperatorParameter(
                name, shape: [inputs, configuration.retrievalDim],
                initial: .uniform(amplitude: 1 / Float(max(1, inputs)).squareRoot()), summary: summary)
        }
        return [
            projection("retrieval-query", problem.headDim, "queries to what they ask of a retrieval"),
            projection("retrieval-key", problem.valueDim, "retrieved values to what they offer"),
        ]
    }

    /// The plan of the searches, and their outputs.
    public func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        let wide = WideSearch.problem(problem)
        return .fitting(context, rows: flash.rows(wide, context.untuned), unit: context.kernels.tileRows) {
            rows, context in
            let searches = flash.plan(wide, rows: rows, context: context.untuned)
            return AttentionPlan(
                problem: problem, queryTile: searches.queryTile, keyTile: searches.keyTile, tasks: searches.tasks,
                workspaceBytes: problem.widenedBytes + searches.resultBytes
                    + max(
                        searches.workspaceBytes - problem.outputBytes,
                        PlannedBytes.objects
                            + Retrieval.workingBytes(problem, retrievalDim: configuration.retrievalDim, context)
                            + searches.kept(context).allBytes),
                isa: context.isa, threads: context.threads, hasLogSumExp: false)
        }
    }

    /// The searches again, the retrieval backwards, then the searches backwards.
    public func gradientPlan(_ problem: AttentionProblem, context: ComputeContext) -> GradientPlan? {
        let wide = WideSearch.problem(problem)
        let parameters = parameters(for: problem).reduce(0) { $0 + 4 * $1.shape.count }
        let results = problem.gradientBytes + parameters
        return .fitting(context) { _, context in
            let free = context.limited(toBytes: nil).untuned
            let forward = flash.plan(wide, context: free)
            // The retrieval uses the smallest, which is then the first to go.
            let kept = KeptWorkspaces(sizes: forward.kept(free).sizes.sorted(by: >))
            let backward = TiledBackward.plan(wide, context: free, kept: kept)
            // Both searches' outputs and what the retrieval says of the queries stay until the end.
            let held =
                problem.widenedBytes + forward.resultBytes + wide.outputBytes
                + 4 * problem.queryCount + parameters
            let narrowing = 4 * problem.valueCount * (problem.kvHeads + 1)
            let converted = problem.dtype == .float32 ? 0 : problem.gradientBytes
            let peak =
                held
                + max(
                    PlannedBytes.objects + kept.allBytes
                        + Retrieval.workingBytesOfGradients(
                            problem, retrievalDim: configuration.retrievalDim, context),
                    backward.workspaceBytes + backward.resultBytes,
                    PlannedBytes.objects + backward.resultBytes + narrowing + converted
                        + TiledBackward.keptBytes(
                            wide, pairs: backward.pairsAtOnce, kept: kept, context: context))
            return GradientPlan(
                threads: context.threads, pairsAtOnce: backward.pairsAtOnce, workspaceBytes: peak - results,
                resultBytes: results)
        }
    }

    /// Searches, then the softmax over their retrievals.
    /// - Throws: ``AttentionCore/AttentionError`` when bias or mask do not broadcast.
    public func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        let problem = plan.problem
        let wide = WideSearch(inputs, problem, dtype: .float32)
        let search = try flash.forward(
            wide.inputs, plan: flash.plan(wide.problem, rows: plan.queryTile, context: context.untuned),
            context: context)
        let output = Tensor(
            zeros: [problem.batch, problem.queryLength, problem.heads, problem.valueDim], dtype: problem.dtype)
        try Self.tensors { () throws(TensorError) in
            try Retrieval(problem, inputs.parameters, context).forward(wide.inputs.query, search, to: output)
        }
        return AttentionOutput(output: output, logSumExp: nil)
    }

    /// The retrieval backwards, then the searches with all that it says about their outputs.
    /// - Throws: ``AttentionCore/AttentionError`` for a gradient by a log-sum-exp.
    public func backward(
        _ inputs: AttentionInputs, output: AttentionOutput, gradient: OutputGradient, plan: AttentionPlan,
        context: ComputeContext
    ) throws(AttentionError) -> AttentionGradients {
        try gradient.checkNoLogSumExp("compositional")
        let problem = plan.problem
        let wide = WideSearch(inputs, problem, dtype: .float32)
        let context = context.limited(toBytes: nil).untuned
        let searchPlan = flash.plan(wide.problem, context: context)
        let search = try flash.forward(wide.inputs, plan: searchPlan, context: context)
        let retrieval = try Self.tensors { () throws(TensorError) in
            try Retrieval(problem, inputs.parameters, context).backward(
                wide.inputs.query, search, gradient.output.floatRows)
        }
        var result = try flash.backward(
            wide.inputs, output: search, gradient: OutputGradient(output: retrieval.search), plan: searchPlan,
            context: context)
        let byQuery = result.query.contiguous()
        context.kernels.scaledAdd(
            byQuery.freshFloats, retrieval.query.freshFloats, by: 1, count: byQuery.count)
        result.query = byQuery.converted(to: problem.dtype)
        result.key = result.key.converted(to: problem.dtype)
        result.value = try WideSearch.narrowed(
            result.value, kvHeads: problem.kvHeads, valueDim: problem.valueDim
        ).converted(to: problem.dtype)
        result.parameters = retrieval.parameters
        withExtendedLifetime(retrieval) {}
        return result
    }

    /// The dense reference for the searches, plain products for the retrieval.
    /// - Throws: ``AttentionCore/AttentionError`` when the operands do not fit each other.
    public func reference(
        _ inputs: AttentionInputs, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionOutput {
        let problem = try AttentionProblem(inputs, options: options)
        try checkReferenceParameters(inputs, problem)
        switch precision {
        case .float: return try PlainRetrieval<Float>(inputs, problem, precision).forward()
        case .double: return try PlainRetrieval<Double>(inputs, problem, precision).forward()
        }
    }

    /// The dense reference's gradients for the searches, plain products for the retrieval.
    /// - Throws: ``AttentionCore/AttentionError`` when the operands do not fit each other.
    public func referenceGradients(
        _ inputs: AttentionInputs, gradient: OutputGradient, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionGradients {
        let problem = try AttentionProblem(inputs, options: options)
        try checkReferenceParameters(inputs, problem)
        switch precision {
        case .float: return try PlainRetrieval<Float>(inputs, problem, precision).backward(gradient)
        case .double: return try PlainRetrieval<Double>(inputs, problem, precision).backward(gradient)
        }
    }

    private static func tensors<Value>(
        _ body: () throws(TensorError) -> Value
    ) throws(AttentionError) -> Value {
        do throws(TensorError) {
            return try body()
        } catch {
            throw .tensor(operand: "parameters", reason: error.description)
        }
    }
}
