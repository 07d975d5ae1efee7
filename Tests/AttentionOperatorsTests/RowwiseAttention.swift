import AttentionCore
import Foundation
import Kernels
import TensorCore

/// Softmax attention one query at a time: `o = Σ exp(sⱼ) vⱼ / Σ exp(sⱼ)` with `sⱼ = scale · q·kⱼ`, summed in Double.
struct RowwiseAttention: AttentionOperator {
    /// The operator's own options.
    ///
    /// Codable, with a default for each; unknown keys never reach it.
    struct Configuration: OperatorConfiguration {
        /// Rows that one task computes.
        var rowsPerTask: Int?

        static var options: [OptionDescription] {
            [OptionDescription("rowsPerTask", "rows that one task computes, from 1 up", default: "16")]
        }
    }

    /// Facts, declared once.
    ///
    /// A problem that uses a feature which is not listed is refused with a reason.
    static let capabilities = AttentionCapabilities(
        dtypes: [.float32], headDims: 1...1024,
        features: [
            .valueDim, .groupedQuery, .crossLength, .causal, .window, .keyLengths, .queryLengths, .logSumExp,
        ],
        exactness: .exact, workingMemory: "O(1)", arithmetic: "O(L^2)")

    let configuration: Configuration

    init(_ configuration: Configuration) throws(AttentionError) {
        if let rows = configuration.rowsPerTask, rows < 1 {
            throw .invalidOption(name: "rowsPerTask", expected: "1 or more", actual: "\(rows)")
        }
        self.configuration = configuration
    }

    /// What will happen, before anything does.
    func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        let rows = configuration.rowsPerTask ?? 16
        let total = problem.batch * problem.queryLength * problem.heads
        return AttentionPlan(
            problem: problem, queryTile: rows, keyTile: 1, tasks: (total + rows - 1) / rows, workspaceBytes: 0,
            isa: "swift", threads: context.threads)
    }

    /// Runs the plan.
    ///
    /// The operands have been checked against the capabilities.
    func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        let problem = plan.problem
        let query = inputs.query.floats()
        let key = inputs.key.floats()
        let value = inputs.value.floats()
        var output = [Float](
            repeating: 0, count: problem.batch * problem.queryLength * problem.heads * problem.valueDim)
        var logSumExp = [Float](repeating: -.infinity, count: problem.batch * problem.heads * problem.queryLength)
        for batch in 0..<problem.batch {
            let geometry = problem.geometry(batch)
            guard let band = problem.options.mask.band(geometry) else { continue }
            for head in 0..<problem.heads {
                for row in 0..<geometry.queryLength {
                    let q = ((batch * problem.queryLength + row) * problem.heads + head) * problem.headDim
                    let keys = band.keys(for: row)
                    let scores = keys.map { column in
                        let k = start(problem, batch, column, head) * problem.headDim
                        return (0..<problem.headDim).reduce(0.0) { $0 + Double(query[q + $1]) * Double(key[k + $1]) }
                            * Double(problem.scale)
                    }
                    guard let highest = scores.max() else { continue }
                    let weights = scores.map { exp($0 - highest) }
                    let sum = weights.reduce(0, +)
                    logSumExp[(batch * problem.heads + head) * problem.queryLength + row] = Float(highest + log(sum))
                    let o = ((batch * problem.queryLength + row) * problem.heads + head) * problem.valueDim
                    for d in 0..<problem.valueDim {
                        let total = zip(keys, weights).reduce(0.0) { total, pair in
                            let v = start(problem, batch, pair.0, head) * problem.valueDim
                            return total + pair.1 * Double(value[v + d])
                        }
                        output[o + d] = Float(total / sum)
                    }
                }
            }
        }
        do throws(TensorError) {
            return AttentionOutput(
                output: try Tensor(
                    output, shape: [problem.batch, problem.queryLength, problem.heads, problem.valueDim]),
                logSumExp: try Tensor(logSumExp, shape: [problem.batch, problem.heads, problem.queryLength]))
        } catch {
            throw .tensor(operand: "output", reason: error.description)
        }
    }

    /// The row of keys or values that a query head reads: heads of a group share one.
    private func start(_ problem: AttentionProblem, _ batch: Int, _ column: Int, _ head: Int) -> Int {
        (batch * problem.keyLength + column) * problem.kvHeads + head / problem.group
    }
}
