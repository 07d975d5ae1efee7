import AttentionCore
import Foundation
import Kernels
import TensorCore

/// An operator whose result is exact attention of something other than it declares.
protocol FaultyOperator: AttentionOperator where Configuration == NoConfiguration {
    /// The output of one row, given what it may see.
    func row(_ query: Int, head: Int, operands: Operands) -> [Double]
}

/// The operands of a faulty operator, and plain attention of one row.
struct Operands {
    let problem: AttentionProblem
    let query: [Float]
    let key: [Float]
    let value: [Float]

    func query(_ row: Int, _ head: Int) -> ArraySlice<Float> {
        let start = (row * problem.heads + head) * problem.headDim
        return query[start..<start + problem.headDim]
    }

    /// Softmax attention of a query over keys; `bias` is added to the score of a key.
    func attend(
        _ query: [Double], head: Int, keys: [Int], bias: (Int) -> Double = { _ in 0 }
    ) -> [Double] {
        let kvHead = head / problem.group
        let scores = keys.map { key in
            let start = (key * problem.kvHeads + kvHead) * problem.headDim
            return zip(query, self.key[start..<start + problem.headDim]).reduce(0.0) { $0 + $1.0 * Double($1.1) }
                * Double(problem.scale) + bias(key)
        }
        let highest = scores.max() ?? 0
        let weights = scores.map { exp($0 - highest) }
        let sum = weights.reduce(0, +)
        var result = [Double](repeating: 0, count: problem.valueDim)
        for (key, weight) in zip(keys, weights) where weight > 0 {
            let start = (key * problem.kvHeads + kvHead) * problem.valueDim
            for d in result.indices { result[d] += weight / sum * Double(value[start + d]) }
        }
        return result
    }
}

extension FaultyOperator {
    static var capabilities: AttentionCapabilities {
        AttentionCapabilities(
            dtypes: [.float32], headDims: 1...64, features: [.causal], exactness: .exact, workingMemory: "O(L)",
            arithmetic: "O(L^2)")
    }

    var configuration: NoConfiguration { NoConfiguration() }

    func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        AttentionPlan(
            problem: problem, queryTile: 1, keyTile: 1, tasks: 1, workspaceBytes: 0, isa: "swift", threads: 1)
    }

    func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        let problem = plan.problem
        let operands = Operands(
            problem: problem, query: inputs.query.floats(), key: inputs.key.floats(), value: inputs.value.floats())
        var output: [Float] = []
        for query in 0..<problem.queryLength {
            for head in 0..<problem.heads { output += row(query, head: head, operands: operands).map { Float($0) } }
        }
        do throws(TensorError) {
            return AttentionOutput(
                output: try Tensor(
                    output, shape: [problem.batch, problem.queryLength, problem.heads, problem.valueDim]),
                logSumExp: nil)
        } catch {
            throw .tensor(operand: "output", reason: error.description)
        }
    }
}

/// Causal, but each row sees the third key after it too.
struct LeakingAttention: FaultyOperator {
    init(_ configuration: NoConfiguration) {}

    func row(_ query: Int, head: Int, operands: Operands) -> [Double] {
        let keys = Array(0...query) + (query + 3 < operands.problem.keyLength ? [query + 3] : [])
        return operands.attend(operands.query(query, head).map(Double.init), head: head, keys: keys)
    }
}

/// Causal by a penalty of ten thousand, which a large score outweighs.
struct PenalisingAttention: FaultyOperator {
    init(_ configuration: NoConfiguration) {}

    func row(_ query: Int, head: Int, operands: Operands) -> [Double] {
        operands.attend(
            operands.query(query, head).map(Double.init), head: head, keys: Array(0..<operands.problem.keyLength)
        ) { $0 > query ? -1e4 : 0 }
    }
}

/// Causal, but no row sees more than nine keys.
struct ShortSightedAttention: FaultyOperator {
    init(_ configuration: NoConfiguration) {}

    func row(_ query: Int, head: Int, operands: Operands) -> [Double] {
        operands.attend(
            operands.query(query, head).map(Double.init), head: head, keys: Array(max(0, query - 8)...query))
    }
}

/// Causal over keys, but every row uses the mean of all queries, as landmarks would.
struct MixingAttention: FaultyOperator {
    init(_ configuration: NoConfiguration) {}

    func row(_ query: Int, head: Int, operands: Operands) -> [Double] {
        var mixed = operands.query(query, head).map(Double.init)
        for other in 0..<operands.problem.queryLength {
            for (d, number) in operands.query(other, head).enumerated() {
                mixed[d] += Double(number) / Double(operands.problem.queryLength)
            }
        }
        return operands.attend(mixed, head: head, keys: Array(0...query))
    }
}
