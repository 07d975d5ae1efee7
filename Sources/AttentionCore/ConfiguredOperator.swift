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

    /// The name in configurations.
    public var id: String { entry.id }

    /// What the operator can do.
    public var capabilities: AttentionCapabilities { type(of: `operator`).capabilities }

    /// Why the operator cannot run a problem; empty when it can.
    public func unsupportedReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        `operator`.unsupportedReasons(for: problem)
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
        do throws(AttentionError) {
            return try `operator`.forward(inputs, options: options, context: context)
        } catch {
            if case .unsupported(_, let problem, let reasons) = error {
                throw .unsupported(name: id, problem: problem, reasons: reasons)
            }
            throw error
        }
    }

    /// The operator's reference.
    /// - Throws: ``AttentionError`` when the operands do not fit each other.
    public func reference(
        _ inputs: AttentionInputs, options: AttentionOptions = .init(), precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionOutput {
        try `operator`.reference(inputs, options: options, precision: precision)
    }
}
