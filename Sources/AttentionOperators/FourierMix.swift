public import AttentionCore
import Foundation
public import Kernels
import TensorCore

/// Fourier mixing (FNet, Lee-Thorp et al., 2021, equation 3): `y = Re(F_seq F_hidden x)`.
///
/// `x` [positions, hidden] are the values of one sequence, hidden = kvHeads · valueDim; `F` are unscaled discrete Fourier
/// transforms along positions and channels. Queries and keys have no influence. Any length: powers of two by Stockham's
/// algorithm, others by Bluestein's. A padded sequence is transformed over its true length.
/// Cost: O(L · hidden · log(L · hidden)) operations, working memory O(L · hidden). The transform is symmetric, so the
/// gradient is the same transform of the output's gradient.
public struct FourierMix: AttentionOperator {
    /// Options of the operator.
    public struct Configuration: OperatorConfiguration {
        /// Whether the channels are transformed too.
        public var hidden: Bool

        /// Both axes, as in the paper.
        public init() { hidden = true }

        /// Decodes, with the default for an absent key.
        public init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            hidden = try container.decodeIfPresent(Bool.self, forKey: .hidden) ?? true
        }

        /// The options, for people.
        public static var options: [OptionDescription] {
            [OptionDescription("hidden", "whether the channels are transformed too", default: "true")]
        }
    }

    /// No scores, so nothing that acts on scores.
    public static let capabilities = AttentionCapabilities(
        dtypes: [.float32, .float16, .bfloat16], headDims: 1...4096, features: [.valueDim, .keyLengths, .queryLengths],
        exactness: .approximate(
            limit: "of a single position, hidden false, where the output is the value"),
        workingMemory: "O(L)", arithmetic: "O(L log L)", hasGradients: true,
        traits: [.rowIndependent, .anyScore, .seesEveryKey, .linearInValues])

    /// Maths, choice and limits.
    public static let guide = OperatorGuide(
        maths: """
            x [L, C], the values of one sequence, C = kvHeads · valueDim
            y = Re(F_L x F_C),  F_n[j, k] = exp(-2πi jk / n)
              = cos_L x cos_C - sin_L x sin_C
            hidden = false: y = cos_L x
            dx = cos_L dy cos_C - sin_L dy sin_C, the same transform
            """,
        choose: """
            An encoder that was trained with it: FNet keeps 92 to 97 % of BERT's accuracy with no attention parameters. \
            The cheapest way to let every position see every other. To approximate softmax attention take linformer, \
            nystrom or favor; for exact attention take flash.
            """,
        limits: """
            Causal masks and windows cannot be had: every output is a sum over all positions, and no part of a \
            transform is a transform. Queries and keys are not read, so scale, bias, sinks and every other change of \
            scores are refused. Outputs grow like sqrt(L C): FNet normalises them afterwards.
            """)

    /// The options in force.
    public let configuration: Configuration

    /// An operator with options.
    public init(_ configuration: Configuration) { self.configuration = configuration }

    /// What the transform cannot honour.
    public func unsupportedReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        mixingReasons(for: problem)
    }

    /// Blocks of channels, each over all positions.
    public func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        let mixing = mixing(problem, context)
        let longest = (0..<problem.batch).map(mixing.channels.sources).max() ?? 0
        return .fitting(context, rows: 1, unit: 1) { _, context in
            AttentionPlan(
                problem: problem, queryTile: max(1, longest), keyTile: max(1, longest),
                tasks: problem.batch * mixing.blocks, workspaceBytes: workspaceBytes(problem, context),
                isa: context.isa, threads: context.threads, hasLogSumExp: false)
        }
    }

    /// The same transform.
    public func gradientPlan(_ problem: AttentionProblem, context: ComputeContext) -> GradientPlan? {
        .fitting(context) { _, context in
            GradientPlan(
                threads: context.threads, pairsAtOnce: 1, workspaceBytes: workspaceBytes(problem, context),
                resultBytes: problem.gradientBytes)
        }
    }

    /// Bytes of the sequence that takes most, and of its result in Float where results have sixteen bits.
    private func workspaceBytes(_ problem: AttentionProblem, _ context: ComputeContext) -> Int {
        let mixing = mixing(problem, context)
        let lengths = Set((0..<problem.batch).map(mixing.channels.sources))
        let room = problem.dtype == .float32 ? 0 : 4 * (problem.keyLength * mixing.channels.channels + 16)
        return PlannedBytes.objects + room + (lengths.map(mixing.workingBytes).max() ?? 0)
    }

    /// Transforms each sequence.
    /// - Throws: nothing that the checks before have not thrown.
    public func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        let mixing = mixing(plan.problem, context)
        let output = mixing.channels.emptyOutput
        transform(inputs.value, mixing, given: mixing.channels.sources, wanted: mixing.channels.targets, to: output)
        return AttentionOutput(output: output, logSumExp: nil)
    }

    /// The same transform of the output's gradient.
    /// - Throws: ``AttentionCore/AttentionError`` for a gradient by a log-sum-exp.
    public func backward(
        _ inputs: AttentionInputs, output: AttentionOutput, gradient: OutputGradient, plan: AttentionPlan,
        context: ComputeContext
    ) throws(AttentionError) -> AttentionGradients {
        try gradient.checkNoLogSumExp("fourier-mix")
        let mixing = mixing(plan.problem, context)
        let result = mixing.channels.emptyGradients
        transform(
            gradient.output.readableByKernels, mixing, given: mixing.channels.targets,
            wanted: mixing.channels.sources, to: result.value)
        return result
    }

    private func transform(
        _ source: Tensor, _ mixing: FourierMixing, given: (Int) -> Int, wanted: (Int) -> Int, to result: Tensor
    ) {
        let view = OperandView(source)
        let channels = mixing.channels
        for batch in 0..<channels.problem.batch {
            let length = channels.sources(batch)
            if result.dtype == .float32 {
                mixing.run(
                    view, batch, given: given(batch), length: length, wanted: wanted(batch),
                    to: result.freshFloats + batch * result.shape[1] * channels.channels)
            } else {
                let room = channels.room(wanted(batch))
                mixing.run(
                    view, batch, given: given(batch), length: length, wanted: wanted(batch), to: room.freshFloats)
                channels.write(room.freshFloats, count: wanted(batch), to: result, batch)
                withExtendedLifetime(room) {}
            }
        }
        withExtendedLifetime(source) {}
    }

    /// Products with dense cosine and sine matrices.
    /// - Throws: ``AttentionCore/AttentionError`` when the operands do not fit each other.
    public func reference(
        _ inputs: AttentionInputs, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionOutput {
        let channels = try channels(inputs, options)
        switch precision {
        case .float:
            return try PlainMixing<Float>(channels: channels).forward(inputs.value) { value, _ in dense(value) }
        case .double:
            return try PlainMixing<Double>(channels: channels).forward(inputs.value) { value, _ in dense(value) }
        }
    }

    /// The same products of the output's gradient.
    /// - Throws: ``AttentionCore/AttentionError`` when the operands do not fit each other.
    public func referenceGradients(
        _ inputs: AttentionInputs, gradient: OutputGradient, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionGradients {
        let channels = try channels(inputs, options)
        switch precision {
        case .float:
            return try PlainMixing<Float>(channels: channels).backward(inputs.value, gradient) { _, dy, _ in dense(dy) }
        case .double:
            return try PlainMixing<Double>(channels: channels).backward(inputs.value, gradient) { _, dy, _ in
                dense(dy)
            }
        }
    }

    private func dense<Number: MixingNumber>(_ x: PlainMatrix<Number>) -> PlainMatrix<Number> {
        func matrix(_ n: Int, _ function: (Double) -> Double) -> PlainMatrix<Number> {
            PlainMatrix(rows: n, columns: n) { Number(function(2 * Double.pi * Double($0 * $1 % n) / Double(n))) }
        }
        guard x.rows > 0 else { return x }
        let cosines = matrix(x.rows, cos).times(x)
        guard configuration.hidden else { return cosines }
        var result = cosines.times(matrix(x.columns, cos))
        result.add(matrix(x.rows, sin).times(x), matrix(x.columns, sin), alpha: -1)
        return result
    }

    private func channels(
        _ inputs: AttentionInputs, _ options: AttentionOptions
    ) throws(AttentionError) -> SequenceChannels {
        SequenceChannels(
            problem: try AttentionProblem(inputs, options: options), context: try AttentionError.context(nil))
    }

    private func mixing(_ problem: AttentionProblem, _ context: ComputeContext) -> FourierMixing {
        FourierMixing(
            channels: SequenceChannels(problem: problem, context: context), hidden: configuration.hidden)
    }
}

extension FourierMix: PositionMixer {
    var causalObstacle: String? { "cannot be had: a Fourier transform mixes every position, the future too" }
}
