public import AttentionCore
public import Kernels
import TensorCore

/// Lambda layers (LambdaNetworks, Bello, 2021, table 2): each query applies a linear map that its context has made.
///
/// The content lambda is the softmax of each key feature over the positions, times the values; the position lambda sums
/// values by embeddings of their relative places, within a radius (lambda convolution) or everywhere. No score between a
/// query and a key exists. Query heads that share a key head share its lambdas, which the paper calls multi-query.
/// Under a causal mask a row's softmax is over the keys that it sees, by running maxima and sums.
/// Cost: O(L · headDim · valueDim) for the content and O(L · (2 · radius + 1) · (headDim + valueDim)) for the positions;
/// working memory O(L).
public struct LambdaAttention: AttentionOperator {
    /// Options of the operator.
    public struct Configuration: OperatorConfiguration {
        /// Positions on either side of a query that have an embedding.
        public var radius: Int?
        /// The longest sequence whose positions all have embeddings for each other.
        public var maxLength: Int?

        /// The paper's reach of 23 positions.
        public init() {}

        /// The options, for people.
        public static var options: [OptionDescription] {
            [
                OptionDescription(
                    "radius", "positions on either side of a query that have an embedding, from 0 up", default: "11"),
                OptionDescription(
                    "maxLength", "instead of radius: every position has an embedding, in sequences up to this length",
                    default: "none"),
            ]
        }
    }

    /// Masks that are a prefix of the keys; no scores, so nothing that acts on scores.
    public static let capabilities = AttentionCapabilities(
        dtypes: [.float32, .float16, .bfloat16], headDims: 1...4096,
        features: [.valueDim, .groupedQuery, .crossLength, .causal, .keyLengths, .queryLengths],
        exactness: .approximate(
            limit: "of equal keys, no embeddings and queries that sum to 1, where both are the mean of the values"),
        workingMemory: "O(L)", arithmetic: "O(L)", hasGradients: true,
        traits: [.rowIndependent, .anyScore, .seesEveryKey, .linearInValues])

    /// Maths, choice and limits.
    public static let guide = OperatorGuide(
        maths: """
            Q [n, k], K [m, k], V [m, v] of one head; E_n [m, k] the embeddings of the places seen from query n
            K̄ = softmax(K) over the positions m, each feature by itself
            λᶜ = K̄ᵀ V,  λᵖ_n = E_nᵀ V,  y_n = (λᶜ + λᵖ_n)ᵀ q_n
            E_n[m] = position-embeddings[m - place of n + radius], zero beyond the radius
            scale multiplies q_n and is 1 unless given; causal: the softmax and both sums over the keys that n sees
            """,
        choose: """
            Images and other long inputs whose neighbourhood has a fixed meaning: cost is linear in the length, and \
            positions count as much as content. For text, or where a query must pick single keys, take flash or local. \
            maxLength costs O(L^2) as attention does.
            """,
        limits: """
            There are no scores, so windows, dense masks, bias, softcap, slopes, sinks and dropout are refused: a query \
            sees a prefix of the keys. Outputs are not means of values and grow with the queries: the paper normalises \
            queries and values before. Keys may not be permuted, for their places count.
            """)

    /// The options in force.
    public let configuration: Configuration

    /// The paper's scope is 23 positions along each axis.
    private static let defaultRadius = 11

    /// Checks the reach.
    /// - Throws: ``AttentionCore/AttentionError/invalidOption(name:expected:actual:)``.
    public init(_ configuration: Configuration) throws(AttentionError) {
        if let radius = configuration.radius, !(0...1 << 24).contains(radius) {
            throw .invalidOption(name: "radius", expected: "a number from 0 to 16777216", actual: "\(radius)")
        }
        if let length = configuration.maxLength {
            guard (1...1 << 24).contains(length) else {
                throw .invalidOption(name: "maxLength", expected: "a length from 1 to 16777216", actual: "\(length)")
            }
            if configuration.radius != nil {
                throw .invalidOption(
                    name: "maxLength", expected: "maxLength or radius, not both", actual: "\(length) beside a radius")
            }
        }
        self.configuration = configuration
    }

    /// What a lambda cannot honour, and sequences longer than the embeddings.
    public func unsupportedReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        var reasons = capabilities.unsupportedReasons(for: problem)
        let longest = max(problem.queryLength, problem.keyLength)
        if let length = configuration.maxLength, longest > length {
            reasons.append(
                .init(
                    .configuration, "maxLength \(length) is less than the \(longest) positions",
                    remedy: "set maxLength to \(longest), or radius"))
        }
        return reasons
    }

    /// The embeddings.
    public func parameters(for problem: AttentionProblem) -> [OperatorParameter] {
        let shape = shape(problem)
        return [
            OperatorParameter(
                "position-embeddings", shape: [shape.embeddings, problem.headDim],
                initial: .uniform(amplitude: 1 / Float(max(1, problem.headDim)).squareRoot()),
                summary: "of the places from radius before a query to radius after it")
        ]
    }

    /// Chunks of keys, then blocks of rows.
    public func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        let tasks = problem.batch * problem.kvHeads * ((problem.queryLength + 63) / 64)
        return .fitting(context, rows: 1, unit: 1) { _, context in
            AttentionPlan(
                problem: problem, queryTile: 64, keyTile: LambdaForward.chunk, tasks: tasks,
                workspaceBytes: PlannedBytes.objects + LambdaForward.workingBytes(problem, threads: context.threads),
                isa: context.isa, threads: context.threads, hasLogSumExp: false)
        }
    }

    /// One task for each sequence and key head.
    public func gradientPlan(_ problem: AttentionProblem, context: ComputeContext) -> GradientPlan? {
        let embeddings = 4 * shape(problem).embeddings * problem.headDim
        return .fitting(context) { _, context in
            GradientPlan(
                threads: context.threads, pairsAtOnce: min(context.threads, problem.batch * problem.kvHeads),
                workspaceBytes: PlannedBytes.objects
                    + LambdaBackward.workingBytes(shape(problem), threads: context.threads),
                resultBytes: problem.gradientBytes + embeddings)
        }
    }

    /// States of chunks, their sums, then the rows.
    /// - Throws: nothing that the checks before have not thrown.
    public func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        LambdaForward(inputs, shape(plan.problem), context).run()
    }

    /// Rows forwards, then keys backwards.
    /// - Throws: ``AttentionCore/AttentionError`` for a gradient by a log-sum-exp.
    public func backward(
        _ inputs: AttentionInputs, output: AttentionOutput, gradient: OutputGradient, plan: AttentionPlan,
        context: ComputeContext
    ) throws(AttentionError) -> AttentionGradients {
        try gradient.checkNoLogSumExp("lambda")
        return LambdaBackward(inputs, gradient, shape(plan.problem), context).run()
    }

    /// Each query's lambda on OpenBLAS.
    /// - Throws: ``AttentionCore/AttentionError`` when the operands do not fit each other.
    public func reference(
        _ inputs: AttentionInputs, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionOutput {
        let problem = try AttentionProblem(inputs, options: options)
        try checkReferenceParameters(inputs, problem)
        let shape = shape(problem)
        switch precision {
        case .float: return try PlainLambda<Float>(inputs, shape).forward()
        case .double: return try PlainLambda<Double>(inputs, shape).forward()
        }
    }

    /// Each query's lambda backwards on OpenBLAS.
    /// - Throws: ``AttentionCore/AttentionError`` when the operands do not fit each other.
    public func referenceGradients(
        _ inputs: AttentionInputs, gradient: OutputGradient, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionGradients {
        let problem = try AttentionProblem(inputs, options: options)
        try checkReferenceParameters(inputs, problem)
        let shape = shape(problem)
        switch precision {
        case .float: return try PlainLambda<Float>(inputs, shape).backward(gradient)
        case .double: return try PlainLambda<Double>(inputs, shape).backward(gradient)
        }
    }

    private func shape(_ problem: AttentionProblem) -> LambdaProblem {
        let radius = configuration.radius ?? configuration.maxLength.map { $0 - 1 } ?? Self.defaultRadius
        return LambdaProblem(problem: problem, radius: radius)
    }
}
