public import Kernels

/// One way of computing attention.
///
/// An operator is a value: configured once, then asked about problems, planned and run, from any thread.
/// A new operator is one type that conforms to this protocol and one entry in `registry.json`. The contract:
///
/// - **Layout** `[batch, length, heads, headDim]`, last dimension dense, any other strides; inputs are never modified.
/// - **Reasons, not crashes**: ``unsupportedReasons(for:)`` is empty exactly when ``forward(_:plan:context:)`` works.
/// - **Determinism**: the same bits for any thread count, batch company and strides.
/// - **Masked cells are never read into a result**, even when they hold NaN.
/// - **A row that sees no key** gives zeros and a log-sum-exp of -infinity.
///
/// `AttentionTesting` proves all of it in one line.
public protocol AttentionOperator: Sendable {
    /// The operator's own options.
    associatedtype Configuration: OperatorConfiguration

    /// Facts declared once.
    static var capabilities: AttentionCapabilities { get }

    /// The options in force.
    var configuration: Configuration { get }

    /// Configures the operator.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)``.
    init(_ configuration: Configuration) throws(AttentionError)

    /// Why the operator cannot run a problem; empty when it can. The default reads ``capabilities``.
    func unsupportedReasons(for problem: AttentionProblem) -> [UnsupportedReason]

    /// How the operator will run a problem that it supports. Cost: O(batch · queryLength) at most; no data is touched.
    func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan

    /// Computes a planned problem. Call ``forward(_:options:context:)`` instead, which checks first.
    /// - Throws: ``AttentionError`` when operands contradict the plan.
    func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput

    /// The plain, materialised, OpenBLAS-backed computation this operator is compared with.
    /// - Throws: ``AttentionError`` when the operands do not fit each other.
    func reference(
        _ inputs: AttentionInputs, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionOutput
}

/// The arithmetic of a reference.
public enum ReferencePrecision: String, Sendable, Hashable, CaseIterable {
    /// `sgemm`: the error an ordinary Float implementation makes.
    case float
    /// `dgemm`: the yardstick.
    case double
}

extension AttentionOperator {
    /// The reasons that ``capabilities`` gives.
    public func unsupportedReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        Self.capabilities.unsupportedReasons(for: problem)
    }

    /// Exact softmax attention by ``DenseReference``.
    public func reference(
        _ inputs: AttentionInputs, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionOutput {
        try DenseReference.forward(inputs, options: options, precision: precision)
    }

    /// Checks the operands, plans and computes.
    ///
    /// Cost: as the operator declares.
    /// - Parameter context: threads and kernels; by default what the environment asks for.
    /// - Throws: ``AttentionError``: bad operands, or the reasons why this operator cannot run them.
    public func forward(
        _ inputs: AttentionInputs, options: AttentionOptions = .init(), context: ComputeContext? = nil
    ) throws(AttentionError) -> AttentionOutput {
        let context = try AttentionError.context(context)
        let problem = try AttentionProblem(inputs, options: options)
        let reasons = unsupportedReasons(for: problem)
        guard reasons.isEmpty else {
            throw .unsupported(name: "\(Self.self)", problem: problem.description, reasons: reasons)
        }
        return try forward(inputs, plan: plan(problem, context: context), context: context)
    }
}

extension AttentionError {
    /// The context given, or the one the environment asks for.
    package static func context(_ given: ComputeContext?) throws(AttentionError) -> ComputeContext {
        if let given { return given }
        do throws(ComputeContextError) {
            return try ComputeContext.shared()
        } catch {
            throw .environment(variable: error.variable, expected: error.expected, actual: error.actual)
        }
    }
}
