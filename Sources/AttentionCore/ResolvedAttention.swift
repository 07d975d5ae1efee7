public import Kernels

/// A specification whose operator has been found and whose options have been checked: ready to run.
public struct ResolvedAttention: Sendable {
    enum Choice: Sendable {
        case named(ConfiguredOperator)
        case automatic(OperatorRegistry)
    }

    /// What was asked for.
    public let specification: AttentionSpecification
    let choice: Choice

    /// An operator that is already made, with common options.
    public init(_ configured: ConfiguredOperator, options: AttentionOptions = .init()) {
        specification = AttentionSpecification(
            name: configured.id, options: options, configuration: configured.configuration)
        choice = .named(configured)
    }

    init(specification: AttentionSpecification, choice: Choice) {
        self.specification = specification
        self.choice = choice
    }

    /// The operator for a problem: the named one, or the dispatcher's choice.
    /// - Throws: ``AttentionError/unsupported(name:problem:reasons:)`` when it cannot run the problem.
    public func choose(
        for problem: AttentionProblem, context: ComputeContext
    ) throws(AttentionError) -> ConfiguredOperator {
        switch choice {
        case .named(let configured):
            let reasons = configured.unsupportedReasons(for: problem, context: context)
            guard reasons.isEmpty else {
                throw .unsupported(name: configured.id, problem: problem.description, reasons: reasons)
            }
            return configured
        case .automatic(let registry):
            return try Dispatcher.choose(problem, registry: registry, context: context)
        }
    }

    /// The common options, with a layer's own mask joined to the specification's.
    public func options(adding mask: AttentionMask = .full) -> AttentionOptions {
        var options = specification.options
        if mask != .full { options.mask = options.mask == .full ? mask : .and([options.mask, mask]) }
        return options
    }

    /// Computes attention.
    /// - Throws: ``AttentionError``: bad operands, or the reasons why the operator cannot run them.
    public func forward(
        _ inputs: AttentionInputs, adding mask: AttentionMask = .full, context: ComputeContext? = nil
    ) throws(AttentionError) -> AttentionOutput {
        let context = try AttentionError.context(context)
        let options = options(adding: mask)
        let configured: ConfiguredOperator
        switch choice {
        case .named(let named): configured = named
        case .automatic:
            configured = try choose(for: AttentionProblem(inputs, options: options), context: context)
        }
        return try configured.forward(inputs, options: options, context: context)
    }
}
