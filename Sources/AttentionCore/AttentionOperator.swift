public import Kernels
import TensorCore

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

    /// What a page about the operator says beyond its facts.
    static var guide: OperatorGuide { get }

    /// The facts of this value: those of the type, unless the type stands for operators that are described at run time.
    var capabilities: AttentionCapabilities { get }

    /// The guide of this value: that of the type, unless the type stands for operators that are described at run time.
    var guide: OperatorGuide { get }

    /// The options in force.
    var configuration: Configuration { get }

    /// Configures the operator.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)``.
    init(_ configuration: Configuration) throws(AttentionError)

    /// Why the operator cannot run a problem; empty when it can. The default reads ``capabilities``.
    func unsupportedReasons(for problem: AttentionProblem) -> [UnsupportedReason]

    /// Why the operator cannot compute gradients of a problem that it supports; empty when it can.
    func unsupportedGradientReasons(for problem: AttentionProblem) -> [UnsupportedReason]

    /// The keys that the operator's own structure lets each query see, beside the problem's mask.
    ///
    /// ``AttentionMask/full`` (the default) for an operator that honours the problem's mask and nothing else. Probes and
    /// references compare with the conjunction of both.
    func pattern(for problem: AttentionProblem) -> AttentionMask

    /// The tensors that the operator owns, in a fixed order; none by default.
    func parameters(for problem: AttentionProblem) -> [OperatorParameter]

    /// How the operator will run a problem that it supports. Cost: O(batch · queryLength) at most; no data is touched.
    ///
    /// Within ``Kernels/ComputeContext/maxBytes`` where the operator can do with so few, else the smallest plan it has.
    func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan

    /// How the operator will compute the gradients of a problem, given the output; `nil` (the default) when it cannot say.
    ///
    /// Bytes as for ``plan(_:context:)``.
    func gradientPlan(_ problem: AttentionProblem, context: ComputeContext) -> GradientPlan?

    /// Computes a planned problem. Call ``forward(_:options:context:)`` instead, which checks first and spreads the work over
    /// the plan's threads.
    /// - Throws: ``AttentionError`` when operands contradict the plan.
    func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput

    /// The derivatives of a loss by the operands of a planned problem. Call
    /// ``backward(_:output:gradient:options:context:)`` instead, which checks first.
    ///
    /// Deterministic for any thread count.
    /// - Parameter output: what ``forward(_:plan:context:)`` gave for the same inputs.
    /// - Throws: ``AttentionError`` when operands contradict the plan.
    func backward(
        _ inputs: AttentionInputs, output: AttentionOutput, gradient: OutputGradient, plan: AttentionPlan,
        context: ComputeContext
    ) throws(AttentionError) -> AttentionGradients

    /// The derivatives of ``reference(_:options:precision:)``, computed just as plainly.
    /// - Throws: ``AttentionError`` when the operands do not fit each other.
    func referenceGradients(
        _ inputs: AttentionInputs, gradient: OutputGradient, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionGradients

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
    /// The type's facts.
    public var capabilities: AttentionCapabilities { Self.capabilities }

    /// The type's guide.
    public var guide: OperatorGuide { Self.guide }

    /// The reasons that ``capabilities`` gives.
    public func unsupportedReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        capabilities.unsupportedReasons(for: problem)
    }

    /// Unknown.
    public func gradientPlan(_ problem: AttentionProblem, context: ComputeContext) -> GradientPlan? { nil }

    /// Nothing beyond the facts.
    public static var guide: OperatorGuide { .none }

    /// No gradients where ``capabilities`` has none, nor of a score function without a derivative.
    public func unsupportedGradientReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        var reasons: [UnsupportedReason] = []
        if !capabilities.hasGradients {
            reasons.append(.init(.gradients, "do not exist", remedy: "choose an operator that has them"))
        }
        if problem.hasInt8Keys {
            reasons.append(
                .init(
                    .int8Keys, "are rounded, which has no derivative",
                    remedy: "convert keys and values to \(problem.dtype.rawValue), multiplied by their scales"))
        }
        if problem.pages != nil {
            reasons.append(
                .init(.pages, "are for inference", remedy: "gather the keys and values of each sequence"))
        }
        if let function = problem.options.scoreFunction, function.derivative == nil {
            reasons.append(
                .init(
                    .scoreFunction, "'\(function.name)' has no derivative",
                    remedy: "give the score function its derivative"))
        }
        return reasons
    }

    /// The problem's mask and nothing else.
    public func pattern(for problem: AttentionProblem) -> AttentionMask { .full }

    /// None.
    public func parameters(for problem: AttentionProblem) -> [OperatorParameter] { [] }

    /// Whether the result is softmax attention over the problem's mask and nothing else: what ``DenseReference`` computes.
    public func isPlain(for problem: AttentionProblem) -> Bool {
        capabilities.exactness == .exact && pattern(for: problem) == .full
    }

    /// Softmax attention over the problem's mask and the operator's own pattern, by ``DenseReference``.
    public func reference(
        _ inputs: AttentionInputs, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionOutput {
        try DenseReference.forward(
            inputs, options: adding(pattern(for: AttentionProblem(inputs, options: options)), to: options),
            precision: precision)
    }

    /// Gradients of softmax attention over the problem's mask and the operator's own pattern, by ``DenseReference``.
    public func referenceGradients(
        _ inputs: AttentionInputs, gradient: OutputGradient, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionGradients {
        try DenseReference.backward(
            inputs, gradient: gradient,
            options: adding(pattern(for: AttentionProblem(inputs, options: options)), to: options),
            precision: precision)
    }

    /// No gradients.
    /// - Throws: always, ``AttentionError/unsupported(name:problem:reasons:)``.
    public func backward(
        _ inputs: AttentionInputs, output: AttentionOutput, gradient: OutputGradient, plan: AttentionPlan,
        context: ComputeContext
    ) throws(AttentionError) -> AttentionGradients {
        throw .unsupported(
            name: "\(Self.self)", problem: plan.problem.description,
            reasons: unsupportedGradientReasons(for: plan.problem))
    }

    private func adding(_ pattern: AttentionMask, to options: AttentionOptions) -> AttentionOptions {
        guard pattern != .full else { return options }
        var result = options
        result.mask = options.mask == .full ? pattern : .and([options.mask, pattern])
        return result
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
        return try forward(inputs, following: try checkedPlan(problem, inputs, context), context)
    }

    /// Checks the operands, plans and computes the derivatives of a loss by them.
    ///
    /// Cost: about 2.5 times that of ``forward(_:options:context:)`` for exact operators. An output that is computed here
    /// counts to the bytes that the context allows.
    /// - Parameters:
    ///   - output: what forward gave for the same inputs and options; computed when absent.
    ///   - context: threads and kernels; by default what the environment asks for.
    /// - Throws: ``AttentionError``: bad operands, or the reasons why this operator cannot run them.
    public func backward(
        _ inputs: AttentionInputs, output: AttentionOutput? = nil, gradient: OutputGradient,
        options: AttentionOptions = .init(), context: ComputeContext? = nil
    ) throws(AttentionError) -> AttentionGradients {
        let context = try AttentionError.context(context)
        let problem = try AttentionProblem(inputs, options: options)
        let reasons = unsupportedReasons(for: problem) + unsupportedGradientReasons(for: problem)
        guard reasons.isEmpty else {
            throw .unsupported(name: "\(Self.self)", problem: problem.description, reasons: reasons)
        }
        try checkParameters(inputs, problem)
        try gradient.check(problem)
        let plan = plan(problem, context: context)
        let held = output == nil ? plan.resultBytes : 0
        let shortage = unsupportedGradientReasons(for: problem, context: context, heldBytes: held)
        guard shortage.isEmpty else { throw refusal(problem, shortage) }
        if output == nil { try checkMemory(of: plan, context) }
        let output = if let output { output } else { try forward(inputs, following: plan, context) }
        var narrowed = context.limited(toBytes: context.maxBytes.map { $0 - held })
        if let plan = gradientPlan(problem, context: narrowed) { narrowed = narrowed.with(threads: plan.threads) }
        return try backward(inputs, output: output, gradient: gradient, plan: plan, context: narrowed)
    }

    /// The plan of a problem that the operator supports, if its bytes are allowed.
    func checkedPlan(
        _ problem: AttentionProblem, _ inputs: AttentionInputs, _ context: ComputeContext
    ) throws(AttentionError) -> AttentionPlan {
        let reasons = unsupportedReasons(for: problem)
        guard reasons.isEmpty else { throw refusal(problem, reasons) }
        try checkParameters(inputs, problem)
        let plan = plan(problem, context: context)
        try checkMemory(of: plan, context)
        return plan
    }

    private func checkMemory(of plan: AttentionPlan, _ context: ComputeContext) throws(AttentionError) {
        let shortage = memoryReasons(plan, context)
        guard shortage.isEmpty else { throw refusal(plan.problem, shortage) }
    }

    /// Computes what ``checkedPlan(_:_:_:)`` has planned under the same context, for parameters that have been checked.
    func forward(
        _ inputs: AttentionInputs, following plan: AttentionPlan, _ context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        let spread = context.with(threads: plan.threads)
        guard let tuning = context.tuning, let kind = plan.tunedKind else {
            return try forward(inputs, plan: plan, context: spread)
        }
        let clock = ContinuousClock()
        let start = clock.now
        let output = try forward(inputs, plan: plan, context: spread)
        tuning.note((clock.now - start) / .seconds(1), of: plan.queryTile, for: kind)
        return output
    }

    private func refusal(_ problem: AttentionProblem, _ reasons: [UnsupportedReason]) -> AttentionError {
        .unsupported(name: "\(Self.self)", problem: problem.description, reasons: reasons)
    }

    /// The inputs with every missing parameter at its initial value.
    ///
    /// Cost: O(size of the parameters).
    /// - Parameter seed: of parameters that begin at random.
    /// - Returns: the inputs, and the names of the parameters that were missing.
    /// - Throws: ``AttentionError`` when the operands do not fit each other.
    public func initialising(
        _ inputs: AttentionInputs, options: AttentionOptions = .init(), seed: UInt64 = 0
    ) throws(AttentionError) -> (inputs: AttentionInputs, initialised: [String]) {
        var result = inputs
        var names: [String] = []
        for parameter in parameters(for: try AttentionProblem(inputs, options: options))
        where inputs.parameters[parameter.name] == nil {
            result.parameters[parameter.name] = parameter.initialValue(seed: seed)
            names.append(parameter.name)
        }
        return (result, names)
    }

    /// Refuses parameters that are missing or of another shape or type than declared.
    func checkParameters(
        _ inputs: AttentionInputs, _ problem: AttentionProblem
    ) throws(AttentionError) {
        let declared = parameters(for: problem)
        for parameter in declared {
            guard let tensor = inputs.parameters[parameter.name] else {
                throw .missingOperand(
                    operand: "parameter '\(parameter.name)'", expected: "\(parameter.shape), \(parameter.summary)")
            }
            guard tensor.shape == parameter.shape else {
                throw .invalidShape(
                    operand: "parameter '\(parameter.name)'", expected: "\(parameter.shape)", actual: tensor.shape)
            }
            guard tensor.dtype == .float32 || tensor.dtype == .float64 else {
                throw .invalidDType(
                    operand: "parameter '\(parameter.name)'", expected: [.float32, .float64], actual: tensor.dtype)
            }
        }
        let known = declared.map(\.name)
        if let stray = inputs.parameters.keys.sorted().first(where: { !known.contains($0) }) {
            throw .unknownOption(
                name: stray, owner: "\(Self.self)", suggestions: NearestName.suggestions(for: stray, among: known),
                known: known)
        }
    }
}

extension OutputGradient {
    /// Checks that shapes and types fit a problem.
    package func check(_ problem: AttentionProblem) throws(AttentionError) {
        let shape = Shape([problem.batch, problem.queryLength, problem.heads, problem.valueDim])
        guard output.shape == shape else {
            throw .invalidShape(operand: "output_gradient", expected: "\(shape)", actual: output.shape)
        }
        guard output.dtype.isFloatingPoint else {
            throw .invalidDType(
                operand: "output_gradient", expected: [.float32, .float16, .bfloat16, .float64], actual: output.dtype)
        }
        guard let logSumExp else { return }
        let rows = Shape([problem.batch, problem.heads, problem.queryLength])
        guard logSumExp.shape == rows, logSumExp.dtype.isFloatingPoint else {
            throw .invalidShape(operand: "log_sum_exp_gradient", expected: "\(rows)", actual: logSumExp.shape)
        }
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
