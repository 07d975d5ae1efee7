import AttentionCore
import Foundation
import Kernels
import TensorCore

/// Turns the running state of finished rows into output and log-sum-exp.
struct OutputWriter: @unchecked Sendable {
    let output: Tensor
    let logSumExp: Tensor
    private let problem: AttentionProblem
    private let sinks: [Float]?
    private let code: Int32
    /// The first row of each sequence, where sequences are one behind the other.
    private let queryStarts: [Int]?
    private let outputAddress: UnsafeMutableRawPointer
    private let logSumExpAddress: UnsafeMutablePointer<Float>

    /// Tasks write every row but padded ones, which are zero, with a log-sum-exp of -infinity.
    init(_ problem: AttentionProblem, sinks: [Float]?, queryStarts: [Int]? = nil) {
        self.problem = problem
        self.sinks = sinks
        self.queryStarts = queryStarts
        output = Tensor(unwritten: problem.outputShape, dtype: problem.dtype)
        logSumExp = Tensor(zeros: problem.logSumExpShape)
        code = problem.dtype.kernelCode ?? 0
        outputAddress = output.freshMutableAddress
        logSumExpAddress = logSumExp.freshMutableAddress.assumingMemoryBound(to: Float.self)
        logSumExpAddress.update(repeating: -.infinity, count: logSumExp.count)
        guard queryStarts == nil else { return }
        let rowBytes = problem.heads * problem.valueDim * problem.dtype.byteWidth
        for batch in 0..<problem.batch {
            let length = problem.geometry(batch).queryLength
            memset(
                outputAddress + (batch * problem.queryLength + length) * rowBytes, 0,
                (problem.queryLength - length) * rowBytes)
        }
    }

    /// Writes every row of a task.
    func write(_ rows: RowBlock, _ state: RowState, kernels: KernelTable) {
        let start = queryStarts?[rows.batch] ?? rows.batch * problem.queryLength
        for row in 0..<rows.rows {
            let head = rows.head(row)
            let query = rows.query(row)
            let (denominator, logarithm) = finish(state.rowMax[row], state.rowSum[row], sink: sinks?[head])
            let cell = ((start + query) * problem.heads + head) * problem.valueDim
            kernels.finish(
                outputAddress + cell * problem.dtype.byteWidth, code: code,
                row: state.output + row * state.outputStride, valueDim: problem.valueDim, rowSum: denominator)
            if queryStarts == nil {
                logSumExpAddress[(rows.batch * problem.heads + head) * problem.queryLength + query] = logarithm
            } else {
                logSumExpAddress[head * problem.queryRows + start + query] = logarithm
            }
        }
    }

    /// The denominator relative to the row's maximum, and its natural logarithm; a sink is one more score.
    private func finish(_ highest: Float, _ sum: Float, sink: Float?) -> (denominator: Float, logarithm: Float) {
        let ln2: Float = 0.693_147_2
        guard let sink, sink > -.infinity else { return (sum, sum == 0 ? -.infinity : (highest + log2(sum)) * ln2) }
        if sum == 0 { return (0, sink) }
        let sinkScore = sink / ln2
        let peak = max(highest, sinkScore)
        let total = sum * exp2(highest - peak) + exp2(sinkScore - peak)
        return (sum + exp2(sinkScore - highest), (peak + log2(total)) * ln2)
    }

    /// The finished result.
    var result: AttentionOutput { AttentionOutput(output: output, logSumExp: logSumExp) }
}
