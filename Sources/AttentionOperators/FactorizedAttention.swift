public import AttentionCore
public import Kernels

/// Factorised attention (Child et al., Generating Long Sequences with Sparse Transformers, 2019, section 4; Ho et al.,
/// Axial Attention, 2019): the full pattern as a product of sparse ones, so that every earlier position still reaches
/// every later one within two applications (one for each axis of a grid).
///
/// Three more schemes factorise the products instead of the pattern: efficient attention, low rank and landmarks.
///
/// Operands [batch, length, heads, headDim] of any lengths; a grid must hold exactly as many positions as there are
/// queries and keys. Blocks without a kept pair are never computed.
/// Cost: O(kept blocks · blockSize^2), O(L · sqrt L) pairs with a stride near sqrt L; working memory O(1) for each thread
/// beside the list of blocks.
public struct FactorizedAttention: AttentionOperator {
    /// Options of the operator.
    public struct Configuration: OperatorConfiguration {
        /// The factors.
        public var scheme = FactorizedScheme.strided(stride: 128)
        /// Which factors a head of this layer has.
        public var integration = FactorizedIntegration.merged
        /// The layer, counted from 0, for ``FactorizedIntegration/alternating``.
        public var step = 0

        /// Strided attention of 128, both factors at once.
        public init() {}

        /// Options.
        public init(
            scheme: FactorizedScheme, integration: FactorizedIntegration = .merged, step: Int = 0
        ) {
            self.scheme = scheme
            self.integration = integration
            self.step = step
        }

        /// The options, for people.
        public static var options: [OptionDescription] {
            [
                OptionDescription(
                    "scheme",
                    "the factors: `{\"name\": \"strided\", \"stride\": l}`, "
                        + "`{\"name\": \"fixed\", \"stride\": l, \"summary\": c}`, "
                        + "`{\"name\": \"axial\", \"shape\": [H, W]}`, `{\"name\": \"efficient\"}`, "
                        + "`{\"name\": \"low-rank\", \"rank\": r}` or `{\"name\": \"landmarks\", \"count\": m}`",
                    default: "strided with a stride of 128"),
                OptionDescription(
                    "integration",
                    "`merged`: one softmax over all factors; `alternating`: factor `step` modulo their number; "
                        + "`per-head`: each factor has its share of the heads",
                    default: "merged"),
                OptionDescription("step", "the layer, from 0 up, for `alternating`", default: "0"),
            ]
        }
    }

    /// Everything the tiled kernels honour.
    public static let capabilities = AttentionCapabilities.patterned(
        workingMemory: "O(L)", arithmetic: "O(L · sqrt L)")

    /// The page of the operator.
    public static let guide = OperatorGuide(
        maths: """
            p is the query's place, j the key; all of the first two schemes have j <= p.
            strided(l):   A1 = {j : p - l <= j},  l + 1 keys as in the paper's t = max(0, p - l);
                          A2 = {j : (p - j) mod l = 0}.
            fixed(l, c):  A1 = {j : floor(j / l) = floor(p / l)};
                          A2 = {j : j mod l in {l - c, ..., l - 1}}: the paper's set ends with l, which no remainder is.
            axial(shape): A_a = {j : j differs from p on axis a alone, or not at all}, last axis fastest.
            efficient:    softmax_features(Q) (softmax_tokens(K)ᵀ V).
            low-rank(r):  softmax(scale · Q (E K)ᵀ) (F V), as linformer.
            landmarks(m): softmax(Q K'ᵀ) pinv(softmax(Q' K'ᵀ)) softmax(Q' Kᵀ) V, as nystrom.
            merged: one softmax over the union. alternating: A_(step mod n). per-head: head h has A_floor(h · n / heads).
            """,
        choose: """
            Choose strided for data with a period of l (images, music), fixed for text, axial for grids; l near sqrt L
            makes the cost least. Trained models say which scheme they have. For windows with global tokens see
            `block-sparse`.
            """,
        limits: """
            strided and fixed are causal by definition. Strided columns touch nearly every block of 64, so merged strided
            attention saves little time here until l is well above 64; fixed and axial follow the blocks. A grid's shape
            must hold exactly the positions of the problem. efficient, low-rank and landmarks approximate: they take what
            their operators take, and integration and step mean nothing to them.
            """)

    /// The options in force.
    public let configuration: Configuration
    /// What computes a scheme that is no pattern.
    fileprivate let approximation: (any AttentionOperator)?

    /// The facts of the scheme: a pattern's are those of the type.
    public var capabilities: AttentionCapabilities { approximation?.capabilities ?? Self.capabilities }

    /// Checks the options.
    /// - Throws: ``AttentionCore/AttentionError/invalidOption(name:expected:actual:)``.
    public init(_ configuration: Configuration) throws(AttentionError) {
        try configuration.scheme.validate()
        guard configuration.step >= 0 else {
            throw .invalidOption(name: "step", expected: "from 0 up", actual: "\(configuration.step)")
        }
        if configuration.step > 0, configuration.integration != .alternating {
            throw .invalidOption(
                name: "step", expected: "0 unless integration is alternating", actual: "\(configuration.step)")
        }
        approximation = try configuration.scheme.approximation()
        if approximation != nil, configuration.integration != .merged {
            throw .invalidOption(
                name: "integration", expected: "merged for a scheme that is no pattern",
                actual: configuration.integration.rawValue)
        }
        self.configuration = configuration
    }

    /// What the kernels cannot do, a grid that does not fit, and heads that the factors do not divide.
    public func unsupportedReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        if let approximation { return approximation.unsupportedReasons(for: problem) }
        var reasons = Self.capabilities.unsupportedReasons(for: problem)
        if case .axial(let shape) = configuration.scheme {
            let positions = shape.reduce(1, *)
            if problem.queryLength != positions || problem.keyLength != positions {
                reasons.append(
                    .init(
                        .configuration,
                        "shape \(shape) has \(positions) positions for \(problem.queryLength) queries and "
                            + "\(problem.keyLength) keys",
                        remedy: "give a shape of as many positions as queries and keys"))
            }
        }
        let factors = configuration.scheme.factors.count
        if configuration.integration == .perHead, problem.heads % factors != 0 {
            reasons.append(
                .init(
                    .configuration, "\(factors) factors do not divide \(problem.heads) heads",
                    remedy: "use a multiple of \(factors) heads, or another integration"))
        }
        return reasons
    }

    /// The pairs of the factors that the integration takes.
    public func pattern(for problem: AttentionProblem) -> AttentionMask {
        if approximation != nil { return .full }
        let factors = configuration.scheme.factors
        switch configuration.integration {
        case .merged: return .or(factors.map(\.mask))
        case .alternating: return factors[configuration.step % factors.count].mask
        case .perHead:
            let heads = problem.heads
            return .function(
                MaskFunction(
                    "per-head \(factors) of \(heads)",
                    bounds: { queries, geometry in
                        factors[geometry.head * factors.count / heads].mask.hull(queries: queries, geometry)
                    },
                    classify: { queries, keys, geometry in
                        factors[geometry.head * factors.count / heads].mask
                            .classify(queries: queries, keys: keys, geometry)
                    }
                ) { query, key, geometry in
                    factors[geometry.head * factors.count / heads].allows(query: query, key: key, geometry)
                })
        }
    }

    /// The part of all pairs that queries see, from 0 to 1.
    ///
    /// Cost: O(queryLength · keyLength), times heads per head.
    public func density(for problem: AttentionProblem) -> Double { approximation == nil ? run(problem).density : 1 }

    /// How many applications it takes until every position has reached every one that may see it: all later ones for
    /// causal schemes, all for grids; `nil` when it never does.
    ///
    /// Merged factors apply together; alternating and per-head factors in turn, beginning with the first. A residual
    /// connection keeps what a position had.
    ///
    /// Cost: O(length³ / 64) for each application: for short lengths.
    public func hops(length: Int) -> Int? {
        // Products of the whole reach everything at once.
        if approximation != nil { return 1 }
        let factors = configuration.scheme.factors
        let isMerged = configuration.integration == .merged
        let geometry = MaskGeometry(queryLength: length, keyLength: length)
        let steps = (isMerged ? [AttentionMask.or(factors.map(\.mask))] : factors.map(\.mask)).map {
            PatternReach($0, geometry)
        }
        let wanted = PatternReach(factors.allSatisfy(\.isCausal) ? .causal : .full, geometry)
        var reach = steps[0]
        for hop in 1...max(1, length) {
            if reach == wanted { return hop }
            let next = reach.followed(by: steps[hop % steps.count])
            if steps.count == 1, next == reach { return nil }
            reach = next
        }
        return nil
    }

    /// One task for each block of queries and head, or heads that share their keys.
    public func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        approximation?.plan(problem, context: context) ?? run(problem).plan(context)
    }

    /// Shares of the keys, some pairs of sequence and key head at a time; an approximation's own.
    public func gradientPlan(_ problem: AttentionProblem, context: ComputeContext) -> GradientPlan? {
        if let approximation { return approximation.gradientPlan(problem, context: context) }
        return run(problem).gradientPlan(context)
    }

    /// Runs the tasks.
    /// - Throws: ``AttentionCore/AttentionError`` when bias or mask do not broadcast.
    public func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        if let approximation { return try approximation.forward(inputs, plan: plan, context: context) }
        return try run(plan.problem).forward(inputs, context)
    }

    /// Computes scores again from the log-sum-exp, block by block.
    /// - Throws: ``AttentionCore/AttentionError`` when the output has no log-sum-exp or operands do not broadcast.
    public func backward(
        _ inputs: AttentionInputs, output: AttentionOutput, gradient: OutputGradient, plan: AttentionPlan,
        context: ComputeContext
    ) throws(AttentionError) -> AttentionGradients {
        if let approximation {
            return try approximation.backward(
                inputs, output: output, gradient: gradient, plan: plan, context: context)
        }
        return try run(plan.problem).backward(inputs, output, gradient, context)
    }

    fileprivate func run(_ problem: AttentionProblem) -> PatternedRun {
        PatternedRun(problem, pattern: pattern(for: problem))
    }
}

extension FactorizedAttention {
    /// The tensors that the scheme owns: the projections of low rank.
    public func parameters(for problem: AttentionProblem) -> [OperatorParameter] {
        approximation?.parameters(for: problem) ?? []
    }

    /// As the scheme has it: over its pattern by the dense reference, or by the reference of its approximation.
    public func reference(
        _ inputs: AttentionInputs, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionOutput {
        if let approximation { return try approximation.reference(inputs, options: options, precision: precision) }
        return try DenseReference.forward(
            inputs, options: run(AttentionProblem(inputs, options: options)).whole.options, precision: precision)
    }

    /// The gradients of ``reference(_:options:precision:)``.
    public func referenceGradients(
        _ inputs: AttentionInputs, gradient: OutputGradient, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionGradients {
        if let approximation {
            return try approximation.referenceGradients(
                inputs, gradient: gradient, options: options, precision: precision)
        }
        return try DenseReference.backward(
            inputs, gradient: gradient, options: run(AttentionProblem(inputs, options: options)).whole.options,
            precision: precision)
    }
}
