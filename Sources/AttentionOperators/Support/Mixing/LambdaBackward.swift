import AttentionCore
import Kernels
import TensorCore

/// The gradients of a lambda layer, one task for each sequence and key head, in memory linear in the length.
///
/// With `p` the exponential of a key over the denominator that a query sees, `dy` the output's gradient:
///
///     dq_d = lambda_d · dy
///     G_d  = Σ over the queries that see m of q_d dy         S_d likewise of q_d dq_d
///     dv_m = Σ_d p_d G_d          dk_d = p_d (G_d · v_m - S_d)
///
/// Keys are gone through backwards. G and S are kept in terms of the denominator of the keys up to m: a query's own is
/// larger, so the factors between them are at most 1 and nothing overflows.
struct LambdaBackward: @unchecked Sendable {
    let shape: LambdaProblem
    let context: ComputeContext
    private let query: OperandView
    private let key: OperandView
    private let value: OperandView
    private let gradient: OperandView
    private let embeddings: Tensor
    private let operands: [Tensor]
    private let byQuery: Tensor
    private let byKey: Tensor
    private let byValue: Tensor
    /// `[batch · kvHeads][embeddings][headDim]`.
    private let byEmbedding: Tensor

    private static let log2e: Float = 1.442_695

    init(
        _ inputs: AttentionInputs, _ gradient: OutputGradient, _ shape: LambdaProblem, _ context: ComputeContext
    ) {
        self.shape = shape
        self.context = context
        operands = [inputs.query, inputs.key, inputs.value, gradient.output].map(\.floatRows)
        query = OperandView(operands[0])
        key = OperandView(operands[1])
        value = OperandView(operands[2])
        self.gradient = OperandView(operands[3])
        embeddings = (inputs.parameters["position-embeddings"] ?? Tensor(zeros: [0])).converted(to: .float32)
        byQuery = Tensor(zeros: inputs.query.shape)
        byKey = Tensor(zeros: inputs.key.shape)
        byValue = Tensor(zeros: inputs.value.shape)
        byEmbedding = Tensor(
            zeros: [shape.problem.batch * shape.problem.kvHeads, shape.embeddings, shape.problem.headDim])
    }

    private var problem: AttentionProblem { shape.problem }

    func run() -> AttentionGradients {
        let groups = problem.batch * problem.kvHeads
        context.parallel(groups) { group, _ in derive(group) }
        let sum = Tensor(zeros: [shape.embeddings, problem.headDim])
        for group in 0..<groups {
            context.kernels.scaledAdd(
                sum.freshFloats, byEmbedding.freshFloats + group * sum.count, by: 1, count: sum.count)
        }
        return AttentionGradients(
            query: byQuery.converted(to: problem.dtype), key: byKey.converted(to: problem.dtype),
            value: byValue.converted(to: problem.dtype), parameters: ["position-embeddings": sum])
    }

    private func derive(_ group: Int) {
        let (batch, head) = (group / problem.kvHeads, group % problem.kvHeads)
        let task = Task(
            batch: batch, head: head, group: group, sequence: shape.sequence(batch),
            maxima: Tensor(zeros: [max(1, problem.keyLength), problem.headDim]),
            denominators: Tensor(zeros: [max(1, problem.keyLength), problem.headDim]),
            content: Tensor(zeros: [problem.queryLength, problem.group, problem.headDim]))
        forwards(task)
        backwards(task)
        withExtendedLifetime(task) {}
    }

    private struct Task {
        let batch: Int
        let head: Int
        let group: Int
        let sequence: LambdaSequence
        /// Running maxima and denominators after each key.
        let maxima: Tensor
        let denominators: Tensor
        /// The part of the queries' gradients that comes from the content.
        let content: Tensor
    }

    /// Queries in order: their own gradients, and everything that goes by positions.
    private func forwards(_ task: Task) {
        let (features, width) = (problem.headDim, problem.valueDim)
        let scratch = Workspace.take(floats: LambdaState.floats(features, width) + 3 * features)
        defer { Workspace.giveBack(scratch) }
        let exponents = scratch.base + LambdaState.floats(features, width)
        let q = exponents + 2 * features
        let state = LambdaState(scratch.base, features: features, valueDim: width, kernels: context.kernels)
        state.reset()
        var absorbed = 0
        for n in 0..<task.sequence.queries {
            let end = task.sequence.end(n)
            if end == 0 { continue }
            while absorbed < end {
                state.absorb(
                    key: key.floats(task.batch, absorbed, task.head),
                    value: value.floats(task.batch, absorbed, task.head), scratch: exponents)
                (task.maxima.freshFloats + absorbed * features).update(from: state.maximum, count: features)
                (task.denominators.freshFloats + absorbed * features).update(from: state.denominator, count: features)
                absorbed += 1
            }
            for member in 0..<problem.group {
                let queryHead = task.head * problem.group + member
                let dy = gradient.floats(task.batch, n, queryHead)
                let own = query.floats(task.batch, n, queryHead)
                for d in 0..<features { q[d] = own[d] * shape.scale }
                let content = task.content.freshFloats + (n * problem.group + member) * features
                let dq = byQuery.row(task.batch, n, queryHead)
                for d in 0..<features {
                    content[d] = context.kernels.dot(state.sum + d * width, dy, count: width) / state.denominator[d]
                    dq[d] = content[d]
                }
                positions(task, n, q, dy, dq)
                if shape.scale != 1 { for d in 0..<features { dq[d] *= shape.scale } }
            }
        }
    }

    private func positions(
        _ task: Task, _ n: Int, _ q: UnsafePointer<Float>, _ dy: UnsafePointer<Float>,
        _ dq: UnsafeMutablePointer<Float>
    ) {
        let (features, width) = (problem.headDim, problem.valueDim)
        let kernels = context.kernels
        let start = byEmbedding.freshFloats + task.group * shape.embeddings * features
        for m in task.sequence.near(n) {
            let place = task.sequence.embedding(n, m) * features
            let embedding = embeddings.freshFloats + place
            let weight = kernels.dot(q, embedding, count: features)
            let change = kernels.dot(dy, value.floats(task.batch, m, task.head), count: width)
            kernels.scaledAdd(dq, embedding, by: change, count: features)
            kernels.scaledAdd(start + place, q, by: change, count: features)
            kernels.scaledAdd(byValue.row(task.batch, m, task.head), dy, by: weight, count: width)
        }
    }

    /// Keys from the last to the first.
    private func backwards(_ task: Task) {
        let (features, width) = (problem.headDim, problem.valueDim)
        let scratch = Workspace.take(floats: features * (width + 3))
        defer { Workspace.giveBack(scratch) }
        let sums = scratch.base
        let totals = sums + features * width
        let factors = totals + features
        scratch.base.update(repeating: 0, count: features * (width + 1))
        var n = task.sequence.queries - 1
        let last = n < 0 ? 0 : task.sequence.end(n)
        for m in stride(from: last - 1, through: 0, by: -1) {
            // Without a causal mask every query shares the last denominator.
            let reference = (task.sequence.isCausal ? m : last - 1) * features
            if task.sequence.isCausal, m < last - 1 { lower(task, to: m, sums, totals, factors) }
            func addQueries(from end: Int) {
                while n >= 0, task.sequence.end(n) >= end {
                    addQuery(task, n, sums, totals)
                    n -= 1
                }
            }
            // A softmax over one key is constant: who sees no other key gives it no gradient, not even a rounded one.
            addQueries(from: max(2, m + 1))
            let k = key.floats(task.batch, m, task.head)
            let v = value.floats(task.batch, m, task.head)
            let maxima = task.maxima.freshFloats + reference
            let denominators = task.denominators.freshFloats + reference
            for d in 0..<features { factors[d] = (k[d] - maxima[d]) * Self.log2e }
            context.kernels.exp2(factors, factors, count: features)
            let dk = byKey.row(task.batch, m, task.head)
            for d in 0..<features {
                factors[d] /= denominators[d]
                dk[d] = factors[d] * (context.kernels.dot(sums + d * width, v, count: width) - totals[d])
            }
            addQueries(from: m + 1)
            let dv = byValue.row(task.batch, m, task.head)
            for d in 0..<features {
                context.kernels.scaledAdd(dv, sums + d * width, by: factors[d], count: width)
            }
        }
    }

    /// From the denominator of the keys up to m + 1 to that up to m.
    private func lower(
        _ task: Task, to m: Int, _ sums: UnsafeMutablePointer<Float>, _ totals: UnsafeMutablePointer<Float>,
        _ factors: UnsafeMutablePointer<Float>
    ) {
        let features = problem.headDim
        let maxima = task.maxima.freshFloats + m * features
        let denominators = task.denominators.freshFloats + m * features
        for d in 0..<features { factors[d] = (maxima[d] - maxima[d + features]) * Self.log2e }
        context.kernels.exp2(factors, factors, count: features)
        for d in 0..<features {
            let factor = factors[d] * denominators[d] / denominators[d + features]
            totals[d] *= factor
            let row = sums + d * problem.valueDim
            for c in 0..<problem.valueDim { row[c] *= factor }
        }
    }

    private func addQuery(
        _ task: Task, _ n: Int, _ sums: UnsafeMutablePointer<Float>, _ totals: UnsafeMutablePointer<Float>
    ) {
        let features = problem.headDim
        for member in 0..<problem.group {
            let queryHead = task.head * problem.group + member
            let dy = gradient.floats(task.batch, n, queryHead)
            let q = query.floats(task.batch, n, queryHead)
            let content = task.content.freshFloats + (n * problem.group + member) * features
            for d in 0..<features {
                let scaled = q[d] * shape.scale
                totals[d] += scaled * content[d]
                context.kernels.scaledAdd(sums + d * problem.valueDim, dy, by: scaled, count: problem.valueDim)
            }
        }
    }
}

extension Tensor {
    /// One row of a fresh dense F32 tensor `[batch, length, heads, dim]`.
    func row(_ batch: Int, _ position: Int, _ head: Int) -> UnsafeMutablePointer<Float> {
        freshFloats + ((batch * shape[1] + position) * shape[2] + head) * shape[3]
    }
}
