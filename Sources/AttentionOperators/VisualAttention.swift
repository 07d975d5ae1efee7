public import AttentionCore
public import Kernels
import TensorCore

/// Visual attention by large kernels (Visual Attention Network, Guo et al., 2022, equations 1 and 2).
///
/// `y = x · (Conv1x1(DW-D-Conv(DW-Conv(x))))`, elementwise: `x` the values of one sequence, laid out row by row on a grid,
/// with kvHeads · valueDim channels; a depthwise 5 x 5, a depthwise 7 x 7 with gaps of 3, and a product over the channels
/// make a map of attention that sees 23 x 23 positions. Queries and keys have no influence.
/// Cost: 2 · L · channels · (25 + 49 + channels) operations; working memory O(L · channels).
public struct VisualAttention: AttentionOperator {
    /// Options of the operator.
    public struct Configuration: OperatorConfiguration {
        /// Rows and columns of the grid; `nil` takes the squarest factorisation of the length.
        public var shape: [Int]?

        /// The squarest grid.
        public init() {}

        /// The options, for people.
        public static var options: [OptionDescription] {
            [
                OptionDescription(
                    "shape", "[rows, columns] of the grid that positions are laid out on",
                    default: "the squarest grid, where no side is over 4 times the other")
            ]
        }
    }

    /// No scores, so nothing that acts on scores.
    public static let capabilities = AttentionCapabilities(
        dtypes: [.float32, .float16, .bfloat16], headDims: 1...4096, features: [.valueDim],
        exactness: .approximate(limit: "none: a gate without a softmax"),
        workingMemory: "O(L)", arithmetic: "O(L)", hasGradients: true, traits: [.rowIndependent, .anyScore])

    /// Maths, choice and limits.
    public static let guide = OperatorGuide(
        maths: """
            x [H, W, C], the values of one sequence on a grid, C = kvHeads · valueDim
            a = depthwise * x + depthwise-bias            5 x 5, each channel by itself
            b = dilated * a + dilated-bias                7 x 7, gaps of 3, each channel by itself
            g = pointwise b + pointwise-bias              channels to channels at each position
            y = g · x                                     elementwise; zeros beyond the edges of the grid
            """,
        choose: """
            A Visual Attention Network, or images whose neighbourhoods matter: linear in the number of positions, with \
            a reach of 23 x 23. For text take local; for images with learned weights between any two positions take \
            flash, or block-sparse with a layout of two-dimensional windows.
            """,
        limits: """
            The grid must be full, so padded lengths are refused, and a causal mask too: a kernel looks both ways. \
            Queries and keys are not read, so scale, bias, sinks and every other change of scores are refused.
            """)

    /// The options in force.
    public let configuration: Configuration

    /// Checks the grid.
    /// - Throws: ``AttentionCore/AttentionError/invalidOption(name:expected:actual:)``.
    public init(_ configuration: Configuration) throws(AttentionError) {
        if let shape = configuration.shape { try GridShape.check(shape) }
        self.configuration = configuration
    }

    /// What convolutions cannot honour, and lengths without a grid.
    public func unsupportedReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        mixingReasons(for: problem)
            + (configuration.shape.map { GridShape.reasons($0, problem) } ?? GridShape.squarestReasons(problem))
    }

    /// Kernels and biases, in the order in which they are applied.
    public func parameters(for problem: AttentionProblem) -> [OperatorParameter] {
        LargeKernel.declarations(channels: problem.kvHeads * problem.valueDim)
    }

    /// The 23 x 23 positions around each.
    public func pattern(for problem: AttentionProblem) -> AttentionMask {
        let columns = max(1, shape(problem)[1])
        // 2 of the first kernel and 3 · 3 of the second.
        let reach = 11
        return .function(
            MaskFunction("visual(\(columns) columns)") { query, key, _ in
                abs(query / columns - key / columns) <= reach && abs(query % columns - key % columns) <= reach
            })
    }

    /// Rows of the grid.
    public func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        let shape = shape(problem)
        let channels = problem.kvHeads * problem.valueDim
        let room = problem.dtype == .float32 ? 0 : 4 * (problem.keyLength * channels + 16)
        return AttentionPlan(
            problem: problem, queryTile: max(1, shape[1]), keyTile: max(1, shape[1]), tasks: problem.batch * shape[0],
            workspaceBytes: PlannedBytes.objects
                + kernel(problem, nil).workingBytes(context) + room,
            isa: context.isa, threads: context.threads, hasLogSumExp: false)
    }

    /// The chain forwards and backwards, one sequence at a time.
    public func gradientPlan(_ problem: AttentionProblem, context: ComputeContext) -> GradientPlan? {
        let parameters = parameters(for: problem)
        let kernels = parameters.filter { $0.shape.rank == 3 }.reduce(0) { $0 + 4 * $1.shape.count }
        return GradientPlan(
            threads: context.threads, pairsAtOnce: 1,
            workspaceBytes: PlannedBytes.objects + kernels + kernel(problem, nil).workingBytesOfGradients(context),
            resultBytes: problem.gradientBytes + parameters.reduce(0) { $0 + 4 * $1.shape.count })
    }

    /// Two convolutions, a product, a gate.
    /// - Throws: ``AttentionCore/AttentionError`` when a parameter cannot be used.
    public func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        let channels = SequenceChannels(problem: plan.problem, context: context)
        let kernel = kernel(plan.problem, inputs)
        let output = channels.emptyOutput
        for batch in 0..<plan.problem.batch where plan.problem.keyLength > 0 {
            let x = read(inputs.value, batch, channels)
            let stages = try tensors { () throws(TensorError) in try kernel.stages(x, context: context) }
            let count = plan.problem.keyLength * channels.channels
            // F32 goes where it belongs: the output is zero so far.
            let isDirect = output.dtype == .float32
            let result = isDirect ? output : channels.room(plan.problem.keyLength)
            context.kernels.multiplyAdd(
                result.freshFloats + (isDirect ? batch * count : 0), stages.attention.freshFloats, x.freshFloats,
                count: count)
            if !isDirect {
                channels.write(result.freshFloats, count: plan.problem.keyLength, to: output, batch)
            }
            withExtendedLifetime((x, stages, result)) {}
        }
        return AttentionOutput(output: output, logSumExp: nil)
    }

    /// The chain backwards; the forward pass is repeated.
    /// - Throws: ``AttentionCore/AttentionError`` for a gradient by a log-sum-exp.
    public func backward(
        _ inputs: AttentionInputs, output: AttentionOutput, gradient: OutputGradient, plan: AttentionPlan,
        context: ComputeContext
    ) throws(AttentionError) -> AttentionGradients {
        try gradient.checkNoLogSumExp("visual")
        let channels = SequenceChannels(problem: plan.problem, context: context)
        let kernel = kernel(plan.problem, inputs)
        var result = channels.emptyGradients
        let sums = LargeKernel.Sums(channels: channels.channels)
        for batch in 0..<plan.problem.batch where plan.problem.keyLength > 0 {
            let x = read(inputs.value, batch, channels)
            let weights = read(gradient.output.readableByKernels, batch, channels)
            let byInput = try tensors { () throws(TensorError) in
                try kernel.backward(x, weights, sums: sums, context: context)
            }
            let room = channels.room(plan.problem.keyLength)
            room.freshFloats.update(from: byInput.freshFloats, count: byInput.count)
            channels.write(room.freshFloats, count: plan.problem.keyLength, to: result.value, batch)
            withExtendedLifetime((byInput, room)) {}
        }
        result.parameters = try tensors { () throws(TensorError) in try sums.shaped() }
        return result
    }

    private func read(_ tensor: Tensor, _ batch: Int, _ channels: SequenceChannels) -> Tensor {
        let length = channels.problem.keyLength
        let result = Tensor(zeros: [length, channels.channels])
        channels.read(OperandView(tensor), batch, count: length, to: result.freshFloats)
        withExtendedLifetime(tensor) {}
        return result
    }

    /// Loops for the convolutions, OpenBLAS for the product.
    /// - Throws: ``AttentionCore/AttentionError`` when the operands do not fit each other.
    public func reference(
        _ inputs: AttentionInputs, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionOutput {
        let problem = try AttentionProblem(inputs, options: options)
        try checkReferenceParameters(inputs, problem)
        let channels = SequenceChannels(problem: problem, context: try AttentionError.context(nil))
        let kernel = kernel(problem, inputs)
        switch precision {
        case .float:
            let plain = PlainLargeKernel<Float>(kernel)
            return try PlainMixing<Float>(channels: channels).forward(inputs.value) { x, _ in plain.forward(x) }
        case .double:
            let plain = PlainLargeKernel<Double>(kernel)
            return try PlainMixing<Double>(channels: channels).forward(inputs.value) { x, _ in plain.forward(x) }
        }
    }

    /// The chain backwards, just as plainly.
    /// - Throws: ``AttentionCore/AttentionError`` when the operands do not fit each other.
    public func referenceGradients(
        _ inputs: AttentionInputs, gradient: OutputGradient, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionGradients {
        switch precision {
        case .float: try plainGradients(inputs, gradient, options, as: Float.self)
        case .double: try plainGradients(inputs, gradient, options, as: Double.self)
        }
    }

    private func plainGradients<Number: MixingNumber>(
        _ inputs: AttentionInputs, _ gradient: OutputGradient, _ options: AttentionOptions, as: Number.Type
    ) throws(AttentionError) -> AttentionGradients {
        let problem = try AttentionProblem(inputs, options: options)
        try checkReferenceParameters(inputs, problem)
        let channels = SequenceChannels(problem: problem, context: try AttentionError.context(nil))
        let plain = PlainLargeKernel<Number>(kernel(problem, inputs))
        var sums: [String: [Number]] = [:]
        var result = try PlainMixing<Number>(channels: channels).backward(inputs.value, gradient) { x, dy, _ in
            plain.backward(x, dy, &sums)
        }
        for parameter in parameters(for: problem) {
            result.parameters[parameter.name] = try PlainMixing<Number>.tensor(
                sums[parameter.name] ?? [Number](repeating: 0, count: parameter.shape.count), parameter.shape,
                parameter.name)
        }
        return result
    }

    private func shape(_ problem: AttentionProblem) -> [Int] {
        configuration.shape ?? GridShape.squarest(problem.keyLength)
    }

    private func kernel(_ problem: AttentionProblem, _ inputs: AttentionInputs?) -> LargeKernel {
        LargeKernel(
            shape(problem), channels: problem.kvHeads * problem.valueDim, parameters: inputs?.parameters ?? [:])
    }

    private func tensors<Result>(
        _ body: () throws(TensorError) -> Result
    ) throws(AttentionError) -> Result {
        do throws(TensorError) {
            return try body()
        } catch {
            throw .tensor(operand: "parameters", reason: error.description)
        }
    }
}

extension VisualAttention: PositionMixer {
    var causalObstacle: String? { "cannot be had: the kernels look both ways" }
}
