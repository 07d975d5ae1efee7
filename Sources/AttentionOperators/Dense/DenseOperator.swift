import AttentionCore
import Kernels
import TensorCore

/// How much of a problem one run of a dense program sees.
enum DenseScope {
    /// One query head of one sequence, with its key head.
    case head
    /// All heads of one sequence side by side.
    case sequence
}

/// An operator that is written once as a program on matrices, ``build(_:)``.
///
/// From the program come the forward computation and the gradients on the zoo's kernels, a task for each head or sequence,
/// and the reference and its gradients on OpenBLAS, in Float and Double. The operator's file holds its mathematics, facts
/// and parameters, and nothing else.
protocol DenseOperator: AttentionOperator {
    /// How much one run of the program sees; one head by default.
    static var scope: DenseScope { get }

    /// The operator's mathematics for one task: operations of the task's tape from its operands to its output
    /// `[queries, heads · valueDim]`.
    ///
    /// A program that has a log-sum-exp, and declares it, leaves it with the tape. Called for sequences with at least one query and one key alone; without either, outputs and gradients are zero.
    func build<Number: DenseScalar>(_ task: DenseTask<Number>) -> DenseNode<Number>

    /// Bytes that a call takes for all its tasks together, beside its results; none by default.
    func sharedBytes(_ problem: AttentionProblem) -> Int
}

/// The operands of one run of a dense program.
struct DenseTask<Number: DenseScalar> {
    let tape: DenseTape<Number>
    /// `[queries, heads · headDim]`, true lengths only.
    let query: DenseNode<Number>
    /// `[keys, kvHeads · headDim]`.
    let key: DenseNode<Number>
    /// `[keys, kvHeads · valueDim]`.
    let value: DenseNode<Number>
    /// What the operator owns: rows of the last dimension.
    let parameters: [String: DenseNode<Number>]
    let problem: AttentionProblem
    let sequence: Int
    /// The query heads of the task.
    let heads: Range<Int>

    /// The true lengths.
    var geometry: MaskGeometry { problem.geometry(sequence, head: heads.lowerBound) }
    var queries: Int { query.rows }
    var keys: Int { key.rows }

    /// The factor on query · key.
    var scale: Number { Number(problem.scale) }

    /// A parameter by its name, `[product of all but the last extent, last extent]`.
    func parameter(_ name: String) -> DenseNode<Number> {
        parameters[name] ?? tape.constant(DenseMatrix(rows: 0, columns: 0))
    }

    /// How many keys each query sees under a causal mask; `nil` when each sees all.
    var ends: [Int]? {
        guard let mask = causalMask else { return nil }
        return (0..<queries).map { mask.keys(for: $0).upperBound }
    }

    /// The same as a visibility of scores.
    var visibility: DenseVisibility? {
        guard let mask = causalMask else { return nil }
        return DenseVisibility(columns: { mask.keys(for: $0) })
    }

    private var causalMask: KeyBand? {
        problem.options.mask == .full ? nil : problem.options.mask.band(geometry)
    }
}

extension DenseOperator {
    static var scope: DenseScope { .head }

    func sharedBytes(_ problem: AttentionProblem) -> Int { 0 }

    /// One task for each head or sequence; a step reads all of it.
    public func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        let tasks = problem.batch * (Self.scope == .head ? problem.heads : 1)
        let hasLogSumExp = capabilities.features.contains(.logSumExp)
        let sketch = DenseSketch(self, problem, engine: FastEngine(kernels: context.kernels))
        let pieces = sketch.pieces(isRecording: false)
        return .fitting(context, rows: 1, unit: 1) { _, context in
            AttentionPlan(
                problem: problem, queryTile: max(1, problem.queryLength), keyTile: max(1, problem.keyLength),
                tasks: tasks,
                workspaceBytes: sketch.workingBytes(pieces.prefix(context.threads), hasLogSumExp: hasLogSumExp),
                isa: context.isa, threads: context.threads, hasLogSumExp: hasLogSumExp)
        }
    }

    /// A wave of tasks at a time, as many as there are threads.
    public func gradientPlan(_ problem: AttentionProblem, context: ComputeContext) -> GradientPlan? {
        let sketch = DenseSketch(self, problem, engine: FastEngine(kernels: context.kernels))
        let pieces = sketch.pieces(isRecording: true)
        let parameters = parameters(for: problem).reduce(0) { $0 + 4 * $1.shape.count }
        return .fitting(context) { _, context in
            GradientPlan(
                threads: context.threads, pairsAtOnce: context.threads,
                workspaceBytes: sketch.workingBytesOfGradients(
                    pieces.prefix(context.threads), parameterBytes: parameters),
                resultBytes: problem.gradientBytes + parameters)
        }
    }

    /// Runs the program on the zoo's kernels.
    /// - Throws: ``AttentionCore/AttentionError/missingOperand(operand:expected:)`` for a parameter.
    public func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        let runner = try DenseRunner(
            self, plan.problem, inputs, engine: FastEngine(kernels: context.kernels), context: context)
        let result = runner.forward()
        return AttentionOutput(output: result.output.converted(to: plan.problem.dtype), logSumExp: result.logSumExp)
    }

    /// Runs the program on the zoo's kernels, then backwards.
    ///
    /// Gradients that tasks share are added in the order of the tasks, so threads do not change them.
    /// - Throws: ``AttentionCore/AttentionError`` when a parameter is missing, or for a loss of the log-sum-exp.
    public func backward(
        _ inputs: AttentionInputs, output: AttentionOutput, gradient: OutputGradient, plan: AttentionPlan,
        context: ComputeContext
    ) throws(AttentionError) -> AttentionGradients {
        let runner = try DenseRunner(
            self, plan.problem, inputs, engine: FastEngine(kernels: context.kernels), context: context)
        return try runner.gradients(gradient, dtype: plan.problem.dtype)
    }

    /// Runs the program on OpenBLAS.
    /// - Throws: ``AttentionCore/AttentionError`` for operands that do not fit, and for problems that the operator refuses.
    public func reference(
        _ inputs: AttentionInputs, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionOutput {
        let problem = try checked(inputs, options)
        let result =
            switch precision {
            case .float: try DenseRunner(self, problem, inputs, engine: ReferenceEngine<Float>()).forward()
            case .double: try DenseRunner(self, problem, inputs, engine: ReferenceEngine<Double>()).forward()
            }
        return AttentionOutput(output: result.output, logSumExp: result.logSumExp)
    }

    /// Runs the program on OpenBLAS, then backwards.
    /// - Throws: ``AttentionCore/AttentionError`` for operands that do not fit, and for problems that the operator refuses.
    public func referenceGradients(
        _ inputs: AttentionInputs, gradient: OutputGradient, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionGradients {
        let problem = try checked(inputs, options)
        switch precision {
        case .float:
            return try DenseRunner(self, problem, inputs, engine: ReferenceEngine<Float>()).gradients(gradient)
        case .double:
            return try DenseRunner(self, problem, inputs, engine: ReferenceEngine<Double>()).gradients(gradient)
        }
    }

    /// The problem, which must be one that the operator takes but for its element type.
    private func checked(
        _ inputs: AttentionInputs, _ options: AttentionOptions
    ) throws(AttentionError) -> AttentionProblem {
        let problem = try AttentionProblem(inputs, options: options)
        let reasons = unsupportedReasons(for: problem).filter { $0.aspect != .dtype }
        guard reasons.isEmpty else {
            throw .unsupported(name: "\(Self.self)", problem: problem.description, reasons: reasons)
        }
        return problem
    }
}

extension AttentionCapabilities {
    /// Facts of an approximation in the form of a dense program: padding, groups and lengths of any kind are honoured.
    static func dense(
        adding features: Set<AttentionFeature> = [], limit: String, workingMemory: String, arithmetic: String,
        traits: Set<AttentionTrait>
    ) -> AttentionCapabilities {
        AttentionCapabilities(
            dtypes: [.float32, .float16, .bfloat16], headDims: 1...4096,
            features: features.union([.valueDim, .groupedQuery, .crossLength, .keyLengths, .queryLengths]),
            exactness: .approximate(limit: limit), workingMemory: workingMemory, arithmetic: arithmetic,
            hasGradients: true, traits: traits)
    }
}

extension [UnsupportedReason] {
    /// Says why in the operator's own words where a feature is missing.
    func explaining(_ aspect: AttentionFeature, _ explanation: String) -> [UnsupportedReason] {
        map { $0.aspect == aspect ? UnsupportedReason(aspect, explanation, remedy: $0.remedy) : $0 }
    }
}
