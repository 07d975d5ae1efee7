public import Kernels

/// An operator with its name and options: what models and commands hold.
public struct ConfiguredOperator: Sendable {
    /// The catalogue's facts.
    public let entry: CatalogueEntry
    /// The operator itself.
    public let `operator`: any AttentionOperator
    /// The options it was made with.
    public let configuration: [String: ConfigurationValue]

    /// Names an operator.
    public init(
        entry: CatalogueEntry, operator: any AttentionOperator, configuration: [String: ConfigurationValue] = [:]
    ) {
        self.entry = entry
        self.operator = `operator`
        self.configuration = configuration
    }

    /// The same operator with other options.
    /// - Throws: ``AttentionError`` for options that it does not have or cannot take.
    public func with(_ configuration: [String: ConfigurationValue]) throws(AttentionError) -> ConfiguredOperator {
        let changed = try type(of: `operator`).make(configuration, owner: id)
        return ConfiguredOperator(entry: entry, operator: changed, configuration: configuration)
    }

    /// The name in configurations.
    public var id: String { entry.id }

    /// What the operator can do.
    public var capabilities: AttentionCapabilities { `operator`.capabilities }

    /// Why the operator cannot run a problem; empty when it can.
    public func unsupportedReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        `operator`.unsupportedReasons(for: problem)
    }

    /// Why the operator cannot run a problem where a context says, the bytes it allows included; empty when it can.
    public func unsupportedReasons(for problem: AttentionProblem, context: ComputeContext) -> [UnsupportedReason] {
        `operator`.unsupportedReasons(for: problem, context: context)
    }

    /// Why the operator cannot compute gradients where a context says, the bytes it allows included; empty when it can.
    public func unsupportedGradientReasons(
        for problem: AttentionProblem, context: ComputeContext
    ) -> [UnsupportedReason] {
        `operator`.unsupportedGradientReasons(for: problem, context: context)
    }

    /// How the operator will compute the gradients of a problem, given the output; `nil` when it cannot say.
    public func gradientPlan(_ problem: AttentionProblem, context: ComputeContext) -> GradientPlan? {
        `operator`.gradientPlan(problem, context: context)
    }

    /// How the operator will run a problem.
    public func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        `operator`.plan(problem, context: context)
    }

    /// Checks, plans and computes.
    /// - Throws: ``AttentionError``: bad operands, or the reasons why this operator cannot run them, under its name.
    public func forward(
        _ inputs: AttentionInputs, options: AttentionOptions = .init(), context: ComputeContext? = nil
    ) throws(AttentionError) -> AttentionOutput {
        try named { () throws(AttentionError) in
            try `operator`.forward(inputs, options: options, context: context)
        }
    }

    /// As ``forward(_:options:context:)``; a problem that was met lately is neither checked nor planned again.
    package func forward(
        _ inputs: AttentionInputs, options: AttentionOptions, context: ComputeContext, plans: PlanMemory
    ) throws(AttentionError) -> AttentionOutput {
        try named { () throws(AttentionError) in
            let problem = try AttentionProblem(inputs, options: options)
            if let plan = plans.plan(self, problem, context) {
                try `operator`.checkParameters(inputs, problem)
                return try `operator`.forward(inputs, following: plan, context)
            }
            let plan = try `operator`.checkedPlan(problem, inputs, context)
            plans.keep(plan, self, context)
            return try `operator`.forward(inputs, following: plan, context)
        }
    }

    /// Refusals of `body` under the operator's name.
    private func named<Result>(_ body: () throws(AttentionError) -> Result) throws(AttentionError) -> Result {
        do throws(AttentionError) {
            return try body()
        } catch {
            guard case .unsupported(_, let problem, let reasons) = error else { throw error }
            throw .unsupported(name: id, problem: problem, reasons: reasons)
        }
    }

    /// What a page about the operator says beyond its facts.
    public var guide: OperatorGuide { `operator`.guide }

    /// Why the operator cannot compute gradients of a problem that it supports; empty when it can.
    public func unsupportedGradientReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        `operator`.unsupportedGradientReasons(for: problem)
    }

    /// The keys that the operator's own structure lets each query see, beside the problem's mask.
    public func pattern(for problem: AttentionProblem) -> AttentionMask { `operator`.pattern(for: problem) }

    /// Whether the result is softmax attention over the problem's mask and nothing else.
    public func isPlain(for problem: AttentionProblem) -> Bool { `operator`.isPlain(for: problem) }

    /// The tensors that the operator owns.
    public func parameters(for problem: AttentionProblem) -> [OperatorParameter] { `operator`.parameters(for: problem) }

    /// The inputs with every missing parameter at its initial value, and the names of those.
    /// - Throws: ``AttentionError`` when the operands do not fit each other.
    public func initialising(
        _ inputs: AttentionInputs, options: AttentionOptions = .init(), seed: UInt64 = 0
    ) throws(AttentionError) -> (inputs: AttentionInputs, initialised: [String]) {
        try `operator`.initialising(inputs, options: options, seed: seed)
    }

    /// Checks, plans and computes the derivatives of a loss by the operands.
    /// - Parameter output: what forward gave for the same inputs and options; computed when absent.
    /// - Throws: ``AttentionError``: bad operands, or the reasons why this operator cannot run them, under its name.
    public func backward(
        _ inputs: AttentionInputs, output: AttentionOutput? = nil, gradient: OutputGradient,
        options: AttentionOptions = .init(), context: ComputeContext? = nil
    ) throws(AttentionError) -> AttentionGradients {
        try named { () throws(AttentionError) in
            try `operator`.backward(inputs, output: output, gradient: gradient, options: options, context: context)
        }
    }

    /// The derivatives of the operator's reference.
    /// - Throws: ``AttentionError`` when the operands do not fit each other.
    public func referenceGradients(
        _ inputs: AttentionInputs, gradient: OutputGradient, options: AttentionOptions = .init(),
        precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionGradients {
        try `operator`.referenceGradients(inputs, gradient: gradient, options: options, precision: precision)
    }

    /// The operator's reference.
    /// - Throws: ``AttentionError`` when the operands do not fit each other.
    public func reference(
        _ inputs: AttentionInputs, options: AttentionOptions = .init(), precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionOutput {
        try `operator`.reference(inputs, options: options, precision: precision)
    }
}

extension AttentionOperator {
    /// An operator of this type by options as they are written.
    fileprivate static func make(
        _ fields: [String: ConfigurationValue], owner: String
    ) throws(AttentionError) -> any AttentionOperator {
        try Self(OperatorRegistry.decode(Configuration.self, from: fields, owner: owner))
    }
}
