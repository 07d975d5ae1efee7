public import AttentionCore
public import Kernels
import TensorCore

/// Pooling as a token mixer (PoolFormer, Yu et al., 2021, equation 4): the mean of a window minus the position itself.
///
/// Works on the values, each channel by itself; queries and keys have no influence. A window covers `size` positions of a
/// line, or `size · size` of a grid, centred (one more before than after when `size` is even), and is averaged over what
/// exists. Under a causal mask it covers the last `size` positions.
/// Cost: 4 additions for each number and axis, whatever the size; working memory O(L · channels).
public struct PoolingMix: AttentionOperator {
    /// Options of the operator.
    public struct Configuration: OperatorConfiguration {
        /// Positions of a window along each axis.
        public var size: Int
        /// Whether the position itself is subtracted.
        public var subtract: Bool
        /// Rows and columns of the grid that the positions are laid out on; `nil` is a line.
        public var shape: [Int]?

        /// The paper's window of 3.
        public init() {
            size = 3
            subtract = true
        }

        /// Decodes, with the default for an absent key.
        public init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            size = try container.decodeIfPresent(Int.self, forKey: .size) ?? 3
            subtract = try container.decodeIfPresent(Bool.self, forKey: .subtract) ?? true
            shape = try container.decodeIfPresent([Int].self, forKey: .shape)
        }

        /// The options, for people.
        public static var options: [OptionDescription] {
            [
                OptionDescription("size", "positions of a window along each axis, from 1 up", default: "3"),
                OptionDescription("subtract", "whether the position itself is subtracted", default: "true"),
                OptionDescription(
                    "shape", "[rows, columns] of the grid that positions are laid out on", default: "a line"),
            ]
        }
    }

    /// No scores, so nothing that acts on scores; windows are an option, not a mask.
    public static let capabilities = AttentionCapabilities(
        dtypes: [.float32, .float16, .bfloat16], headDims: 1...4096,
        features: [.valueDim, .keyLengths, .queryLengths, .causal],
        exactness: .approximate(
            limit: "of equal scores (scale 0) within the same window, subtract false"),
        workingMemory: "O(L)", arithmetic: "O(L)", hasGradients: true,
        traits: [.rowIndependent, .anyScore, .linearInValues])

    /// The type's facts; without subtraction each row is a mean.
    public var capabilities: AttentionCapabilities {
        var result = Self.capabilities
        if !configuration.subtract { result.traits.insert(.weightedMean) }
        return result
    }

    /// Maths, choice and limits.
    public static let guide = OperatorGuide(
        maths: """
            T_i = mean of x_j over the window of i - x_i, x the values
            window: i - size/2 ... i + (size-1)/2 along each axis, what exists of it; causal: i - size + 1 ... i
            subtract = false: T_i = mean of x_j over the window of i
            dx = Σ over the windows that hold i of dT_j / count_j - dT_i
            """,
        choose: """
            A PoolFormer, or a baseline that tells how much of a model is its architecture and not its attention: it is \
            the cheapest mixer here, linear in L and independent of the window. For a learned local mixture take local; \
            for mixing over everything take fourier-mix.
            """,
        limits: """
            Only neighbours are mixed, by fixed weights. Queries and keys are not read, so scale, bias, sinks and every \
            other change of scores are refused. A grid has no order, so a causal mask is for lines alone.
            """)

    /// The options in force.
    public let configuration: Configuration

    /// Channels that one task works on: four buffers of 64 floats for each position stay in the caches.
    private static let channelBlock = 64

    /// Checks the window and the grid.
    /// - Throws: ``AttentionCore/AttentionError/invalidOption(name:expected:actual:)``.
    public init(_ configuration: Configuration) throws(AttentionError) {
        guard (1...1 << 30).contains(configuration.size) else {
            throw .invalidOption(name: "size", expected: "a window from 1 up", actual: "\(configuration.size)")
        }
        if let shape = configuration.shape { try GridShape.check(shape) }
        self.configuration = configuration
    }

    /// What pooling cannot honour.
    public func unsupportedReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        var reasons = mixingReasons(for: problem) + lengthReasons(for: problem)
        if let shape = configuration.shape {
            reasons += GridShape.reasons(shape, problem)
            if problem.features.contains(.causal) {
                reasons.append(
                    .init(
                        .causal, "has no meaning on a grid, whose positions have no order",
                        remedy: "leave shape out or set causal to false"))
            }
        }
        return reasons
    }

    /// The window of each position.
    public func pattern(for problem: AttentionProblem) -> AttentionMask {
        let window = window(problem, length: problem.keyLength)
        guard window.isGrid else { return .window(left: window.left, right: window.right, corner: .topLeft) }
        return .function(
            MaskFunction("pooling(\(configuration.size), \(window.rows) x \(window.columns))") { query, key, _ in
                window.holds(query, key)
            })
    }

    /// Blocks of channels, each over all positions.
    public func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        .fitting(context, rows: 1, unit: 1) { _, context in
            AttentionPlan(
                problem: problem, queryTile: max(1, problem.queryLength), keyTile: max(1, problem.keyLength),
                tasks: problem.batch * blocks(problem), workspaceBytes: workspaceBytes(problem, context),
                isa: context.isa, threads: context.threads, hasLogSumExp: false)
        }
    }

    /// The same blocks.
    public func gradientPlan(_ problem: AttentionProblem, context: ComputeContext) -> GradientPlan? {
        .fitting(context) { _, context in
            GradientPlan(
                threads: context.threads, pairsAtOnce: 1, workspaceBytes: workspaceBytes(problem, context),
                resultBytes: problem.gradientBytes)
        }
    }

    private func blocks(_ problem: AttentionProblem) -> Int {
        (problem.kvHeads * problem.valueDim + Self.channelBlock - 1) / Self.channelBlock
    }

    /// Bytes of one sequence: what windows slide over, and Float copies of what comes in and goes out in sixteen bits.
    private func workspaceBytes(_ problem: AttentionProblem, _ context: ComputeContext) -> Int {
        let window = window(problem, length: problem.keyLength)
        let scratch = Workspace.bytes(floats: window.scratchFloats(channels: Self.channelBlock))
        let positions = window.rows * window.columns + problem.keyLength
        let copies = problem.dtype == .float32 ? 0 : 4 * positions * problem.kvHeads * problem.valueDim
        return PlannedBytes.objects + scratch * max(1, min(context.threads, blocks(problem))) + copies
            + 4 * problem.keyLength
    }

    /// Sums windows, divides, subtracts.
    /// - Throws: nothing that the checks before have not thrown.
    public func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        let channels = SequenceChannels(problem: plan.problem, context: context)
        let output = channels.emptyOutput
        let view = OperandView(inputs.value)
        for batch in 0..<plan.problem.batch {
            let length = channels.sources(batch)
            pool(
                view, batch, channels, window(plan.problem, length: length), given: length,
                wanted: channels.targets(batch), isAdjoint: false, to: output)
        }
        withExtendedLifetime(inputs) {}
        return AttentionOutput(output: output, logSumExp: nil)
    }

    /// Divides, then sums the mirrored windows.
    /// - Throws: ``AttentionCore/AttentionError`` for a gradient by a log-sum-exp.
    public func backward(
        _ inputs: AttentionInputs, output: AttentionOutput, gradient: OutputGradient, plan: AttentionPlan,
        context: ComputeContext
    ) throws(AttentionError) -> AttentionGradients {
        try gradient.checkNoLogSumExp("pooling")
        let channels = SequenceChannels(problem: plan.problem, context: context)
        let result = channels.emptyGradients
        let source = gradient.output.readableByKernels
        for batch in 0..<plan.problem.batch {
            let length = channels.sources(batch)
            pool(
                OperandView(source), batch, channels, window(plan.problem, length: length),
                given: channels.targets(batch), wanted: length, isAdjoint: true, to: result.value)
        }
        withExtendedLifetime(source) {}
        return result
    }

    private func pool(
        _ source: OperandView, _ batch: Int, _ channels: SequenceChannels, _ window: PoolingWindow, given: Int,
        wanted: Int, isAdjoint: Bool, to result: Tensor
    ) {
        guard window.length > 0 else { return }
        let width = channels.channels
        let positions = window.rows * window.columns
        // F32 is read and written where it lies; what is not wanted of the output becomes zero again.
        let plain = source.joinedFloats(batch, valueDim: channels.problem.valueDim, heads: channels.problem.kvHeads)
        let copy = plain == nil ? channels.room(given) : nil
        if let copy { channels.read(source, batch, count: given, to: copy.freshFloats) }
        let isDirect = result.dtype == .float32
        let sums = isDirect ? result : channels.room(positions)
        let start = isDirect ? batch * result.shape[1] * width : 0
        let cells = SendablePointer((plain ?? UnsafePointer(sums.freshFloats), sums.freshFloats + start))
        let copied = SendablePointer(copy?.freshFloats)
        let stride = plain == nil ? width : source.rowStride
        let factors = (0..<window.length).map { 1 / Float(window.count($0)) }
        let subtract = configuration.subtract
        let blocks = (width + Self.channelBlock - 1) / Self.channelBlock
        let scratchFloats = window.scratchFloats(channels: Self.channelBlock)
        channels.context.parallel(blocks, scratchFloats: scratchFloats) { block, scratch in
            let first = block * Self.channelBlock
            let count = min(Self.channelBlock, width - first)
            let x = (copied.base.map { UnsafePointer($0) } ?? cells.base.0) + first
            let sum = cells.base.1 + first
            for position in 0..<given {
                let factor = isAdjoint ? factors[position] : 1
                let (from, to) = (x + position * stride, sum + position * width)
                for c in 0..<count { to[c] = from[c] * factor }
            }
            (isAdjoint ? window.mirrored : window).sum(sum, width: width, channels: count, scratch: scratch)
            for position in 0..<wanted {
                let factor = isAdjoint ? 1 : factors[position]
                let (from, to) = (x + position * stride, sum + position * width)
                let subtracts = subtract && position < given
                for c in 0..<count { to[c] = subtracts ? to[c] * factor - from[c] : to[c] * factor }
            }
            for position in wanted..<positions {
                for c in 0..<count { sum[position * width + c] = 0 }
            }
        }
        if !isDirect { channels.write(sums.freshFloats, count: wanted, to: result, batch) }
        withExtendedLifetime((copy, sums)) {}
    }

    /// The window of a sequence.
    private func window(_ problem: AttentionProblem, length: Int) -> PoolingWindow {
        let size = configuration.size
        let isCausal = problem.features.contains(.causal)
        let grid = configuration.shape ?? [1, max(1, length)]
        return PoolingWindow(
            left: isCausal ? size - 1 : size / 2, right: isCausal ? 0 : (size - 1) / 2, rows: grid[0],
            columns: grid[1], length: length)
    }

    /// A product with the dense matrix of means.
    /// - Throws: ``AttentionCore/AttentionError`` when the operands do not fit each other.
    public func reference(
        _ inputs: AttentionInputs, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionOutput {
        let channels = try channels(inputs, options)
        switch precision {
        case .float:
            return try PlainMixing<Float>(channels: channels).forward(inputs.value) { x, _ in
                means(channels.problem, x.rows).times(x)
            }
        case .double:
            return try PlainMixing<Double>(channels: channels).forward(inputs.value) { x, _ in
                means(channels.problem, x.rows).times(x)
            }
        }
    }

    /// A product with its transpose.
    /// - Throws: ``AttentionCore/AttentionError`` when the operands do not fit each other.
    public func referenceGradients(
        _ inputs: AttentionInputs, gradient: OutputGradient, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionGradients {
        let channels = try channels(inputs, options)
        switch precision {
        case .float:
            return try PlainMixing<Float>(channels: channels).backward(inputs.value, gradient) { _, dy, _ in
                means(channels.problem, dy.rows).transposed.times(dy)
            }
        case .double:
            return try PlainMixing<Double>(channels: channels).backward(inputs.value, gradient) { _, dy, _ in
                means(channels.problem, dy.rows).transposed.times(dy)
            }
        }
    }

    /// `[length, length]`: a mean in each row, minus the identity.
    private func means<Number: MixingNumber>(_ problem: AttentionProblem, _ length: Int) -> PlainMatrix<Number> {
        let window = window(problem, length: length)
        let one: Number = configuration.subtract ? 1 : 0
        var result = PlainMatrix<Number>(rows: length, columns: length)
        for row in 0..<length {
            let held = (0..<length).filter { window.holds(row, $0) }
            for column in held { result[row, column] = 1 / Number(held.count) }
            result[row, row] -= one
        }
        return result
    }

    private func channels(
        _ inputs: AttentionInputs, _ options: AttentionOptions
    ) throws(AttentionError) -> SequenceChannels {
        SequenceChannels(
            problem: try AttentionProblem(inputs, options: options), context: try AttentionError.context(nil))
    }
}

extension PoolingMix: PositionMixer {
    var causalObstacle: String? { nil }
}
