import AttentionCore
import Kernels
import TensorCore

/// Values as mixing operators see them: for each sequence a matrix `[positions, channels]`, the channels being those of
/// all value heads side by side.
struct SequenceChannels: Sendable {
    let problem: AttentionProblem
    let context: ComputeContext

    /// Channels of one position: kvHeads · valueDim.
    var channels: Int { problem.kvHeads * problem.valueDim }

    /// Positions that hold values.
    func sources(_ batch: Int) -> Int { problem.geometry(batch).keyLength }

    /// Positions that an output is asked for: row i is position i, and one without a value stays zero.
    func targets(_ batch: Int) -> Int {
        let geometry = problem.geometry(batch)
        return min(geometry.queryLength, geometry.keyLength)
    }

    /// Reads one position into `channels` floats.
    func read(_ view: OperandView, _ batch: Int, _ position: Int, to target: UnsafeMutablePointer<Float>) {
        if view.headStride == problem.valueDim {
            context.kernels.toFloat(
                target, from: view.row(batch, position, head: 0), code: view.code, count: channels)
            return
        }
        for head in 0..<problem.kvHeads {
            context.kernels.toFloat(
                target + head * problem.valueDim, from: view.row(batch, position, head: head), code: view.code,
                count: problem.valueDim)
        }
    }

    /// Reads some positions of a sequence, `[positions, channels]`, on every thread.
    func read(
        _ view: OperandView, _ batch: Int, count: Int, to target: UnsafeMutablePointer<Float>
    ) {
        let cells = SendablePointer(target)
        eachBlock(of: count) { rows in
            for row in rows { read(view, batch, row, to: cells.base + row * channels) }
        }
    }

    /// Blocks of positions on every thread.
    func eachBlock(of count: Int, _ body: @Sendable (Range<Int>) -> Void) {
        let step = 32
        context.parallel((count + step - 1) / step) { index, _ in
            body(index * step..<min(count, (index + 1) * step))
        }
    }

    /// Writes floats `[count, channels]` to the first positions of a sequence of a dense result.
    ///
    /// - Parameter source: readable for a vector beyond its end.
    func write(_ source: UnsafePointer<Float>, count: Int, to result: Tensor, _ batch: Int) {
        let address = SendablePointer(result.freshMutableAddress)
        let width = result.dtype.byteWidth
        let code = result.dtype.kernelCode ?? 0
        let start = batch * result.shape[1]
        let cells = SendablePointer(source)
        eachBlock(of: count) { rows in
            for row in rows {
                context.kernels.finish(
                    address.base + (start + row) * channels * width, code: code, row: cells.base + row * channels,
                    valueDim: channels, rowSum: 1)
            }
        }
    }

    /// Zeros of the output's shape and type.
    var emptyOutput: Tensor {
        Tensor(zeros: [problem.batch, problem.queryLength, problem.heads, problem.valueDim], dtype: problem.dtype)
    }

    /// Zeros of the gradients' shapes and types: queries and keys have no influence.
    var emptyGradients: AttentionGradients {
        let problem = problem
        return AttentionGradients(
            query: Tensor(
                zeros: [problem.batch, problem.queryLength, problem.heads, problem.headDim], dtype: problem.dtype),
            key: Tensor(
                zeros: [problem.batch, problem.keyLength, problem.kvHeads, problem.headDim], dtype: problem.dtype),
            value: Tensor(
                zeros: [problem.batch, problem.keyLength, problem.kvHeads, problem.valueDim], dtype: problem.dtype))
    }

    /// Room for floats `[positions, channels]`, with what vectors read beyond the end.
    func room(_ positions: Int) -> Tensor { Tensor(zeros: [positions * channels + 16]) }
}

extension OperandView {
    /// The first position of a sequence of an F32 tensor whose heads lie side by side; `nil` for others.
    func joinedFloats(_ batch: Int, valueDim: Int, heads: Int) -> UnsafePointer<Float>? {
        guard code == DType.float32.kernelCode, heads == 1 || headStride == valueDim else { return nil }
        return row(batch, 0, head: 0).assumingMemoryBound(to: Float.self)
    }
}

extension Tensor {
    /// The first element of F32 storage that nobody else reads yet.
    var freshFloats: UnsafeMutablePointer<Float> { freshMutableAddress.assumingMemoryBound(to: Float.self) }

    /// The same numbers in a form that kernels read: F32, F16 or BF16 with a dense last dimension.
    var readableByKernels: Tensor {
        guard dtype.kernelCode != nil else { return converted(to: .float32) }
        return strides.last == 1 || shape.dimensions.last == 1 ? self : contiguous()
    }
}

extension OutputGradient {
    /// Refuses a gradient by a log-sum-exp that does not exist.
    func checkNoLogSumExp(_ name: String) throws(AttentionError) {
        guard let logSumExp else { return }
        throw .invalidValue(
            operand: "log_sum_exp_gradient", expected: "none, because \(name) has no log-sum-exp",
            actual: "\(logSumExp.shape)")
    }
}

extension AttentionOperator {
    /// Refuses operands without the parameters that a reference reads; `forward` and `backward` have been checked.
    func checkReferenceParameters(_ inputs: AttentionInputs, _ problem: AttentionProblem) throws(AttentionError) {
        for parameter in parameters(for: problem) {
            guard let tensor = inputs.parameters[parameter.name] else {
                throw .missingOperand(
                    operand: "parameter '\(parameter.name)'", expected: "\(parameter.shape), \(parameter.summary)")
            }
            guard tensor.shape == parameter.shape else {
                throw .invalidShape(
                    operand: "parameter '\(parameter.name)'", expected: "\(parameter.shape)", actual: tensor.shape)
            }
        }
    }
}
