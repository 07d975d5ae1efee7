import AttentionCore
import Kernels
import TensorCore

/// The operands of compositional attention's searches: every search reads all value heads side by side.
struct WideSearch {
    /// Queries, keys and modifiers as they came; values `[batch, keyLength, kvHeads, kvHeads · valueDim]`.
    let inputs: AttentionInputs
    /// The problem of the searches.
    let problem: AttentionProblem

    /// - Parameter dtype: what the operands are brought to.
    init(_ inputs: AttentionInputs, _ problem: AttentionProblem, dtype: DType) {
        var wide = inputs
        wide.parameters = [:]
        wide.query = inputs.query.converted(keeping: dtype)
        wide.key = inputs.key.converted(keeping: dtype)
        let value = inputs.value.converted(keeping: dtype)
        // Heads that lie side by side are one row; every key head sees the same row, so nothing is repeated in memory.
        let isJoined = value.shape[2] == 1 || value.strides[2] == value.shape[3]
        let joined = isJoined ? value : value.contiguous()
        wide.value = Tensor(
            dtype: dtype, shape: [value.shape[0], value.shape[1], value.shape[2], value.shape[2] * value.shape[3]],
            strides: [joined.strides[0], joined.strides[1], 0, 1], offset: joined.offset, storage: joined.storage)
        self.inputs = wide
        self.problem = Self.problem(problem, dtype: dtype)
    }

    /// The gradient by the values: what each search says of a value head, added up.
    static func narrowed(_ wide: Tensor, kvHeads: Int, valueDim: Int) throws(AttentionError) -> Tensor {
        let shape = wide.shape
        let rows = shape[0] * shape[1]
        if wide.dtype == .float64 {
            return try PlainMixing<Double>.tensor(
                sums(wide.doubles(), rows, kvHeads, valueDim), [shape[0], shape[1], kvHeads, valueDim], "gradient")
        }
        return try PlainMixing<Float>.tensor(
            sums(wide.floats(), rows, kvHeads, valueDim), [shape[0], shape[1], kvHeads, valueDim], "gradient")
    }

    private static func sums<Number: MixingNumber>(
        _ numbers: [Number], _ rows: Int, _ kvHeads: Int, _ valueDim: Int
    ) -> [Number] {
        let width = kvHeads * valueDim
        var result = [Number](repeating: 0, count: rows * width)
        for row in 0..<rows {
            for head in 0..<kvHeads {
                for c in 0..<width { result[row * width + c] += numbers[(row * kvHeads + head) * width + c] }
            }
        }
        return result
    }
}

extension Tensor {
    /// The same numbers of another type; the view itself where it has that type.
    fileprivate func converted(keeping dtype: DType) -> Tensor {
        self.dtype == dtype && (strides[3] == 1 || shape[3] == 1) ? self : converted(to: dtype)
    }
}

/// The softmax over retrievals: for each row of a search, which value head to take.
///
/// With `U = retrieval-query · retrieval-keyᵀ / sqrt(r)`, made once, the score of retrieval j is `(q U) · O_j`.
struct Retrieval {
    let problem: AttentionProblem
    let context: ComputeContext
    /// `[headDim][retrievalDim]` and `[valueDim][retrievalDim]`.
    private let byQuery: [Double]
    private let byKey: [Double]
    private let width: Int
    private let factor: Double

    init(_ problem: AttentionProblem, _ parameters: [String: Tensor], _ context: ComputeContext) {
        self.problem = problem
        self.context = context
        byQuery = parameters["retrieval-query"]?.doubles() ?? []
        byKey = parameters["retrieval-key"]?.doubles() ?? []
        width = byQuery.count / max(1, problem.headDim)
        factor = 1 / Double(max(1, width)).squareRoot()
    }

    private var rows: Int { problem.batch * problem.queryLength * problem.heads }

    /// `[headDim][valueDim]`.
    private func product() throws(TensorError) -> Tensor {
        var cells = [Float](repeating: 0, count: problem.headDim * problem.valueDim)
        for d in 0..<problem.headDim {
            for c in 0..<problem.valueDim {
                var sum = 0.0
                for i in 0..<width { sum += byQuery[d * width + i] * byKey[c * width + i] }
                cells[d * problem.valueDim + c] = Float(sum * factor)
            }
        }
        return try Tensor(cells, shape: [problem.headDim, problem.valueDim])
    }

    /// Queries as rows; zeros for those that see nothing, so that what is there reaches no sum.
    private func queries(_ query: Tensor, _ search: AttentionOutput) -> Tensor {
        let result = Tensor(zeros: [rows, problem.headDim])
        let view = OperandView(query)
        for batch in 0..<problem.batch {
            for n in 0..<problem.queryLength {
                for head in 0..<problem.heads where sees(search, batch, n, head) {
                    let row = (batch * problem.queryLength + n) * problem.heads + head
                    (result.freshFloats + row * problem.headDim).update(
                        from: view.floats(batch, n, head), count: problem.headDim)
                }
            }
        }
        return result
    }

    private func sees(_ search: AttentionOutput, _ batch: Int, _ n: Int, _ head: Int) -> Bool {
        guard let logSumExp = search.logSumExp else { return true }
        return logSumExp.freshFloats[(batch * problem.heads + head) * problem.queryLength + n] != -.infinity
    }

    /// Weights of one row's retrievals.
    private func weigh(
        _ weights: UnsafeMutablePointer<Float>, _ retrievals: UnsafePointer<Float>, _ direction: UnsafePointer<Float>
    ) {
        let count = problem.kvHeads
        var highest = -Float.infinity
        for j in 0..<count {
            weights[j] = context.kernels.dot(
                retrievals + j * problem.valueDim, direction, count: problem.valueDim)
            highest = max(highest, weights[j])
        }
        for j in 0..<count { weights[j] = (weights[j] - highest) * 1.442_695 }
        context.kernels.exp2(weights, weights, count: count)
        var sum: Float = 0
        for j in 0..<count { sum += weights[j] }
        for j in 0..<count { weights[j] /= sum }
    }

    private func eachRow(_ body: @Sendable (_ row: Int) -> Void) {
        let rows = rows
        context.parallel((rows + 31) / 32) { block, _ in
            for row in block * 32..<min(rows, (block + 1) * 32) { body(row) }
        }
    }

    /// Mixes the retrievals of each search.
    func forward(_ query: Tensor, _ search: AttentionOutput, to output: Tensor) throws(TensorError) {
        let directions = try DenseLayers.linear(
            queries(query, search), PackedMatrix(product().permuted([1, 0]), context: context), context: context)
        let cells = SendablePointer(
            (search.output.freshFloats, directions.freshFloats, output.freshMutableAddress))
        let (count, dim, dtype) = (problem.kvHeads, problem.valueDim, problem.dtype)
        eachRow { row in
            let (retrievals, directions, target) = cells.base
            withUnsafeTemporaryAllocation(of: Float.self, capacity: count + dim + 16) { room in
                guard let weights = room.baseAddress else { return }
                let own = retrievals + row * count * dim
                weigh(weights, own, directions + row * dim)
                let sum = weights + count
                for c in 0..<dim + 16 { sum[c] = 0 }
                for j in 0..<count { context.kernels.scaledAdd(sum, own + j * dim, by: weights[j], count: dim) }
                context.kernels.finish(
                    target + row * dim * dtype.byteWidth, code: dtype.kernelCode ?? 0, row: sum, valueDim: dim,
                    rowSum: 1)
            }
        }
        withExtendedLifetime((search, directions)) {}
    }

    /// Gradients by the searches' outputs, by the queries (as rows) and by the parameters.
    struct Gradients {
        let search: Tensor
        let query: Tensor
        let parameters: [String: Tensor]
    }

    /// With `w` the weights and `dy` the output's gradient: `ds = w (dy·O_j - Σ w dy·O)`, `dO_j = w dy + ds (q U)`,
    /// `d(qU) = Σ ds O_j`.
    func backward(
        _ query: Tensor, _ search: AttentionOutput, _ gradient: Tensor
    ) throws(TensorError) -> Gradients {
        let product = try product()
        let queries = queries(query, search)
        let directions = try DenseLayers.linear(
            queries, PackedMatrix(product.permuted([1, 0]), context: context), context: context)
        let bySearch = Tensor(zeros: search.output.shape)
        let byDirection = Tensor(zeros: directions.shape)
        let cells = SendablePointer(
            (
                search.output.freshFloats, directions.freshFloats, bySearch.freshFloats, byDirection.freshFloats
            ))
        let view = OperandView(gradient)
        let (count, dim) = (problem.kvHeads, problem.valueDim)
        eachRow { row in
            let (n, head) = (row / problem.heads, row % problem.heads)
            let (batch, position) = (n / problem.queryLength, n % problem.queryLength)
            guard sees(search, batch, position, head) else { return }
            let (retrievals, directions, bySearch, byDirection) = cells.base
            let own = retrievals + row * count * dim
            let dy = view.floats(batch, position, head)
            withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * count) { room in
                guard let weights = room.baseAddress else { return }
                weigh(weights, own, directions + row * dim)
                let changes = weights + count
                var mean: Float = 0
                for j in 0..<count {
                    changes[j] = context.kernels.dot(dy, own + j * dim, count: dim)
                    mean += weights[j] * changes[j]
                }
                for j in 0..<count {
                    let change = weights[j] * (changes[j] - mean)
                    let target = bySearch + (row * count + j) * dim
                    context.kernels.scaledAdd(target, dy, by: weights[j], count: dim)
                    context.kernels.scaledAdd(target, directions + row * dim, by: change, count: dim)
                    context.kernels.scaledAdd(byDirection + row * dim, own + j * dim, by: change, count: dim)
                }
            }
        }
        let byRows = try DenseLayers.linear(
            byDirection, PackedMatrix(product, context: context), context: context)
        let byProduct = try sum(queries, byDirection)
        withExtendedLifetime((search, gradient, directions)) {}
        return Gradients(search: bySearch, query: byRows, parameters: try parameters(byProduct))
    }

    /// Σ over the rows of query and direction, `[headDim][valueDim]`, some rows at a time.
    private func sum(_ queries: Tensor, _ directions: Tensor) throws(TensorError) -> Tensor {
        let result = Tensor(zeros: [problem.headDim, problem.valueDim])
        for start in stride(from: 0, to: rows, by: 128) {
            let part = start..<min(rows, start + 128)
            let product = try DenseLayers.linear(
                queries.sliced(0, part).permuted([1, 0]).contiguous(),
                PackedMatrix(directions.sliced(0, part).permuted([1, 0]), context: context), context: context)
            context.kernels.scaledAdd(result.freshFloats, product.freshFloats, by: 1, count: result.count)
        }
        return result
    }

    private func parameters(_ byProduct: Tensor) throws(TensorError) -> [String: Tensor] {
        let numbers = byProduct.doubles()
        var (first, second) = (byQuery, byKey)
        for index in first.indices { first[index] = 0 }
        for index in second.indices { second[index] = 0 }
        for d in 0..<problem.headDim {
            for c in 0..<problem.valueDim {
                let change = numbers[d * problem.valueDim + c] * factor
                for i in 0..<width {
                    first[d * width + i] += change * byKey[c * width + i]
                    second[c * width + i] += change * byQuery[d * width + i]
                }
            }
        }
        return [
            "retrieval-query": try Tensor(first.map { Float($0) }, shape: [problem.headDim, width]),
            "retrieval-key": try Tensor(second.map { Float($0) }, shape: [problem.valueDim, width]),
        ]
    }
}
