import AttentionCore
import Kernels
import TensorCore

/// The fast forward pass of a lambda layer.
///
/// Keys are cut into chunks; each chunk's state is made on its own, then the states of one key head are added up in order,
/// so that chunk `i` knows all keys before it. Blocks of rows then run side by side: without a causal mask each row reads
/// the whole state, with one the keys between the chunk's start and the row join one by one. What a row computes depends
/// on its sequence and its place alone.
struct LambdaForward: @unchecked Sendable {
    let shape: LambdaProblem
    let context: ComputeContext
    private let query: OperandView
    private let key: OperandView
    private let value: OperandView
    private let embeddings: Tensor
    /// Keeps the operands' memory alive while tasks read it.
    private let operands: [Tensor]

    /// Keys of a chunk: its state of headDim rows costs as much as headDim keys.
    static let chunk = 128
    /// Rows of a task.
    private static let rows = 64

    init(_ inputs: AttentionInputs, _ shape: LambdaProblem, _ context: ComputeContext) {
        self.shape = shape
        self.context = context
        // Each row of keys and values is read many times: once into Float.
        operands = [inputs.query, inputs.key.floatRows, inputs.value.floatRows]
        query = OperandView(operands[0])
        key = OperandView(operands[1])
        value = OperandView(operands[2])
        embeddings = (inputs.parameters["position-embeddings"] ?? Tensor(zeros: [0])).converted(to: .float32)
    }

    private var problem: AttentionProblem { shape.problem }
    private var stateFloats: Int { LambdaState.floats(problem.headDim, problem.valueDim) }
    /// Chunk states of one key head, and the total behind them.
    private var states: Int { (problem.keyLength + Self.chunk - 1) / Self.chunk + 1 }

    /// Floats of working memory that all threads share.
    static func sharedFloats(_ problem: AttentionProblem) -> Int {
        problem.batch * problem.kvHeads * ((problem.keyLength + chunk - 1) / chunk + 1)
            * LambdaState.floats(problem.headDim, problem.valueDim)
    }

    /// Floats of working memory of one thread.
    static func scratchFloats(_ problem: AttentionProblem) -> Int {
        LambdaState.floats(problem.headDim, problem.valueDim).roundedUp(to: 16)
            + (3 * problem.headDim).roundedUp(to: 16) + problem.valueDim.roundedUp(to: 16) + 16
    }

    func run() -> AttentionOutput {
        let output = Tensor(
            zeros: [problem.batch, problem.queryLength, problem.heads, problem.valueDim], dtype: problem.dtype)
        let shared = Tensor(zeros: [Self.sharedFloats(problem)])
        let pool = SendablePointer(shared.freshFloats)
        let groups = problem.batch * problem.kvHeads
        context.parallel(groups * (states - 1), scratchFloats: 2 * problem.headDim) { index, scratch in
            summarise(index / (states - 1), chunk: index % (states - 1), pool.base, scratch)
        }
        context.parallel(groups, scratchFloats: 2 * problem.headDim + stateFloats) { group, scratch in
            accumulate(group, pool.base, scratch)
        }
        let blocks = (problem.queryLength + Self.rows - 1) / Self.rows
        let target = SendablePointer(output.freshMutableAddress)
        context.parallel(groups * blocks, scratchFloats: Self.scratchFloats(problem)) { index, scratch in
            attend(index / blocks, block: index % blocks, pool.base, scratch, target.base)
        }
        withExtendedLifetime(shared) {}
        return AttentionOutput(output: output, logSumExp: nil)
    }

    private func state(_ base: UnsafeMutablePointer<Float>) -> LambdaState {
        LambdaState(base, features: problem.headDim, valueDim: problem.valueDim, kernels: context.kernels)
    }

    private func state(
        _ group: Int, _ chunk: Int, _ pool: UnsafeMutablePointer<Float>
    ) -> LambdaState {
        state(pool + (group * states + chunk) * stateFloats)
    }

    private func absorb(
        _ keys: Range<Int>, _ group: Int, into state: LambdaState, _ scratch: UnsafeMutablePointer<Float>
    ) {
        let (batch, head) = (group / problem.kvHeads, group % problem.kvHeads)
        for m in keys {
            state.absorb(key: key.floats(batch, m, head), value: value.floats(batch, m, head), scratch: scratch)
        }
    }

    private func summarise(
        _ group: Int, chunk: Int, _ pool: UnsafeMutablePointer<Float>, _ scratch: UnsafeMutablePointer<Float>
    ) {
        let keys = problem.geometry(group / problem.kvHeads).keyLength
        let own = state(group, chunk, pool)
        own.reset()
        let first = min(keys, chunk * Self.chunk)
        absorb(first..<min(keys, first + Self.chunk), group, into: own, scratch)
    }

    /// Each chunk's state becomes that of the keys before it; the last one that of all keys.
    private func accumulate(
        _ group: Int, _ pool: UnsafeMutablePointer<Float>, _ scratch: UnsafeMutablePointer<Float>
    ) {
        let running = state(scratch + 2 * problem.headDim)
        let last = state(group, states - 1, pool)
        running.reset()
        for chunk in 0..<states - 1 {
            let own = state(group, chunk, pool)
            last.copy(running)
            running.merge(own, scratch: scratch)
            own.copy(last)
        }
        last.copy(running)
    }

    private func attend(
        _ group: Int, block: Int, _ pool: UnsafeMutablePointer<Float>, _ scratch: UnsafeMutablePointer<Float>,
        _ target: UnsafeMutableRawPointer
    ) {
        let (batch, head) = (group / problem.kvHeads, group % problem.kvHeads)
        let sequence = shape.sequence(batch)
        let exponents = scratch + stateFloats.roundedUp(to: 16)
        let q = exponents + 2 * problem.headDim
        let row = exponents + (3 * problem.headDim).roundedUp(to: 16)
        let own = state(scratch)
        var absorbed = -1
        let first = block * Self.rows
        for n in first..<max(first, min(first + Self.rows, sequence.queries)) {
            let end = sequence.end(n)
            if end == 0 { continue }
            if sequence.isCausal {
                // From the chunk's start in any case, so that no row depends on how rows are cut.
                let start = (end - 1) / Self.chunk * Self.chunk
                if absorbed < start || absorbed > end {
                    own.copy(state(group, start / Self.chunk, pool))
                    absorbed = start
                }
                absorb(absorbed..<end, group, into: own, exponents)
                absorbed = end
            } else if absorbed < 0 {
                own.copy(state(group, states - 1, pool))
                absorbed = end
            }
            for member in 0..<problem.group {
                let queryHead = head * problem.group + member
                context.kernels.toFloat(
                    q, from: query.row(batch, n, head: queryHead), code: query.code, count: problem.headDim)
                if shape.scale != 1 { for d in 0..<problem.headDim { q[d] *= shape.scale } }
                row.update(repeating: 0, count: problem.valueDim)
                own.apply(q, to: row)
                addPositions(n, q, row, sequence, batch, head)
                let cell = ((batch * problem.queryLength + n) * problem.heads + queryHead) * problem.valueDim
                context.kernels.finish(
                    target + cell * problem.dtype.byteWidth, code: problem.dtype.kernelCode ?? 0, row: row,
                    valueDim: problem.valueDim, rowSum: 1)
            }
        }
    }

    /// row += Σ (query · embedding of the key's place) value: the position lambda applied, without making it.
    private func addPositions(
        _ n: Int, _ q: UnsafePointer<Float>, _ row: UnsafeMutablePointer<Float>, _ sequence: LambdaSequence,
        _ batch: Int, _ head: Int
    ) {
        let table = embeddings.freshFloats
        for m in sequence.near(n) {
            let weight = context.kernels.dot(
                q, table + sequence.embedding(n, m) * problem.headDim, count: problem.headDim)
            context.kernels.scaledAdd(row, value.floats(batch, m, head), by: weight, count: problem.valueDim)
        }
    }
}

extension Tensor {
    /// The same numbers in F32 with a dense last dimension; nothing is copied when it is so.
    var floatRows: Tensor {
        guard dtype == .float32 else { return converted(to: .float32) }
        return strides.last == 1 || shape.dimensions.last == 1 ? self : contiguous()
    }
}

extension OperandView {
    /// One row of an F32 tensor.
    func floats(_ batch: Int, _ position: Int, _ head: Int) -> UnsafePointer<Float> {
        row(batch, position, head: head).assumingMemoryBound(to: Float.self)
    }
}
