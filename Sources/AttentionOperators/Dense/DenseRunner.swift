import AttentionCore
import Kernels
import TensorCore

/// Runs the program of a dense operator over every task of a problem.
struct DenseRunner<Operator: DenseOperator, Number: DenseScalar>: @unchecked Sendable {
    private let program: Operator
    private let problem: AttentionProblem
    private let engine: any DenseEngine<Number>
    /// `nil` runs tasks one after the other.
    private let context: ComputeContext?
    private let query: DenseOperand<Number>
    private let key: DenseOperand<Number>
    private let value: DenseOperand<Number>
    /// In the order of their declaration.
    private let parameters: [(declared: OperatorParameter, matrix: DenseMatrix<Number>)]

    /// - Throws: ``AttentionCore/AttentionError/missingOperand(operand:expected:)``.
    init(
        _ program: Operator, _ problem: AttentionProblem, _ inputs: AttentionInputs, engine: any DenseEngine<Number>,
        context: ComputeContext? = nil
    ) throws(AttentionError) {
        self.program = program
        self.problem = problem
        self.engine = engine
        self.context = context
        query = DenseOperand(inputs.query)
        key = DenseOperand(inputs.key)
        value = DenseOperand(inputs.value)
        var parameters: [(OperatorParameter, DenseMatrix<Number>)] = []
        for declared in program.parameters(for: problem) {
            guard let tensor = inputs.parameters[declared.name], tensor.shape == declared.shape else {
                throw .missingOperand(
                    operand: "parameter '\(declared.name)'", expected: "\(declared.shape), \(declared.summary)")
            }
            let columns = declared.shape.dimensions.last ?? 1
            parameters.append(
                (
                    declared,
                    DenseMatrix(
                        viewing: tensor.converted(to: Number.dtype), first: 0,
                        rows: columns == 0 ? 0 : declared.shape.count / columns, columns: columns, stride: columns)
                ))
        }
        self.parameters = parameters
    }

    private typealias Piece = DensePiece

    private var pieces: [Piece] { DensePiece.cut(problem, scope: Operator.scope) }

    private func each(_ count: Int, _ body: @Sendable (Int) -> Void) {
        if let context {
            context.parallel(count) { index, _ in body(index) }
        } else {
            for index in 0..<count { body(index) }
        }
    }

    private func task(_ piece: Piece, isRecording: Bool) -> DenseTask<Number> {
        let tape = DenseTape(engine: engine, isRecording: isRecording)
        return DenseTask(
            tape: tape, query: tape.leaf(query.matrix(piece.sequence, piece.heads, rows: piece.queries)),
            key: tape.leaf(key.matrix(piece.sequence, piece.kvHeads, rows: piece.keys)),
            value: tape.leaf(value.matrix(piece.sequence, piece.kvHeads, rows: piece.keys)),
            parameters: Dictionary(
                uniqueKeysWithValues: parameters.map { ($0.declared.name, tape.leaf($0.matrix)) }),
            problem: problem, sequence: piece.sequence, heads: piece.heads)
    }

    /// The output `[batch, queryLength, heads, valueDim]`, zero in padding and in sequences without keys, and the
    /// log-sum-exp of a program that has one, -infinity there.
    func forward() -> (output: Tensor, logSumExp: Tensor?) {
        let output = Tensor(
            zeros: [problem.batch, problem.queryLength, problem.heads, problem.valueDim], dtype: Number.dtype)
        let target = DenseOperand<Number>(output)
        let rows =
            hasLogSumExp
            ? Tensor(zeros: [problem.batch, problem.heads, problem.queryLength], dtype: Number.dtype) : nil
        if let rows {
            DenseMatrix<Number>(viewing: rows, first: 0, rows: 1, columns: rows.count, stride: rows.count)
                .set(DenseMatrix(repeating: -.infinity, rows: 1, columns: rows.count))
        }
        let pieces = pieces
        each(pieces.count) { index in
            let piece = pieces[index]
            let task = task(piece, isRecording: false)
            let result = program.build(task)
            target.view(piece.sequence, piece.heads, rows: piece.queries).set(result.value)
            if let rows, let logarithms = task.tape.logSumExp {
                self.rows(rows, piece).set(logarithms.value.transposed())
            }
        }
        return (output, rows)
    }

    private var hasLogSumExp: Bool { program.capabilities.features.contains(.logSumExp) }

    /// The rows of a piece in a tensor `[batch, heads, queryLength]`, as `[heads, queries]`.
    private func rows(_ tensor: Tensor, _ piece: Piece) -> DenseMatrix<Number> {
        DenseMatrix(
            viewing: tensor, first: (piece.sequence * problem.heads + piece.heads.lowerBound) * problem.queryLength,
            rows: piece.heads.count, columns: piece.queries, stride: problem.queryLength)
    }

    /// The derivative by a piece's log-sum-exp; what it is for rows that see nothing does not matter.
    private func byLogSumExp(_ tensor: Tensor, _ piece: Piece, _ node: DenseNode<Number>) -> DenseMatrix<Number> {
        let result = rows(tensor, piece).transposed()
        for row in 0..<result.rows {
            for head in 0..<result.columns where node.value[row, head] == -.infinity { result[row, head] = 0 }
        }
        return result
    }

    /// The derivatives of a loss.
    /// - Parameter dtype: of those by query, key and value; that of the arithmetic when absent.
    /// - Throws: ``AttentionCore/AttentionError`` when the loss depends on a log-sum-exp that the operator does not have.
    func gradients(
        _ gradient: OutputGradient, dtype: DType? = nil
    ) throws(AttentionError) -> AttentionGradients {
        try gradient.check(problem)
        let byRows = gradient.logSumExp?.converted(to: Number.dtype).contiguous()
        if byRows != nil, !hasLogSumExp {
            throw .invalidValue(
                operand: "log_sum_exp_gradient", expected: "none, for the operator has no log-sum-exp", actual: "given")
        }
        let output = DenseOperand<Number>(gradient.output)
        let byQuery = Tensor(zeros: query.shape, dtype: Number.dtype)
        let byKey = Tensor(zeros: key.shape, dtype: Number.dtype)
        let byValue = Tensor(zeros: value.shape, dtype: Number.dtype)
        let byParameter = parameters.map {
            DenseMatrix<Number>(repeating: 0, rows: $0.matrix.rows, columns: $0.matrix.columns)
        }
        let pieces = pieces
        let width = max(1, context?.threads ?? 1)
        for start in stride(from: 0, to: pieces.count, by: width) {
            let wave = start..<min(pieces.count, start + width)
            let results = TaskGradients<Number>(wave.count)
            each(wave.count) { index in
                let piece = pieces[start + index]
                let task = task(piece, isRecording: true)
                let result = program.build(task)
                var losses = [(result, output.matrix(piece.sequence, piece.heads, rows: piece.queries))]
                if let byRows, let node = task.tape.logSumExp {
                    losses.append((node, byLogSumExp(byRows, piece, node)))
                }
                task.tape.backward(losses)
                results.set(index, task)
            }
            for (index, piece) in pieces[wave].enumerated() {
                let result = results[index]
                if let query = result?.query {
                    DenseOperand<Number>(byQuery).view(piece.sequence, piece.heads, rows: piece.queries).add(query)
                }
                if let key = result?.key {
                    DenseOperand<Number>(byKey).view(piece.sequence, piece.kvHeads, rows: piece.keys).add(key)
                }
                if let value = result?.value {
                    DenseOperand<Number>(byValue).view(piece.sequence, piece.kvHeads, rows: piece.keys).add(value)
                }
                for (parameter, target) in zip(parameters, byParameter) {
                    if let part = result?.parameters[parameter.declared.name] { target.add(part) }
                }
            }
        }
        let storage = dtype ?? Number.dtype
        var named: [String: Tensor] = [:]
        for (parameter, matrix) in zip(parameters, byParameter) {
            let tensor = Tensor(zeros: parameter.declared.shape, dtype: Number.dtype)
            DenseMatrix<Number>(
                viewing: tensor, first: 0, rows: matrix.rows, columns: matrix.columns, stride: matrix.columns
            ).set(matrix)
            named[parameter.declared.name] = tensor
        }
        return AttentionGradients(
            query: byQuery.converted(to: storage), key: byKey.converted(to: storage),
            value: byValue.converted(to: storage), parameters: named)
    }
}

/// What the tasks of one wave found; each writes a place of its own.
private final class TaskGradients<Number: DenseScalar>: @unchecked Sendable {
    struct Result {
        let query: DenseMatrix<Number>?
        let key: DenseMatrix<Number>?
        let value: DenseMatrix<Number>?
        let parameters: [String: DenseMatrix<Number>]
    }

    private let results: UnsafeMutableBufferPointer<Result?>

    init(_ count: Int) {
        results = .allocate(capacity: count)
        results.initialize(repeating: nil)
    }

    deinit {
        results.deinitialize()
        results.deallocate()
    }

    func set(_ index: Int, _ task: DenseTask<Number>) {
        results[index] = Result(
            query: task.query.gradient, key: task.key.gradient, value: task.value.gradient,
            parameters: task.parameters.compactMapValues(\.gradient))
    }

    subscript(_ index: Int) -> Result? { results[index] }
}

/// A tensor `[batch, length, heads, dim]` as matrices of one sequence: where it lies if its elements are of the program's
/// type, else a copy.
struct DenseOperand<Number: DenseScalar>: @unchecked Sendable {
    private let tensor: Tensor

    init(_ tensor: Tensor) {
        let isDense = tensor.shape[3] == 1 || tensor.strides[3] == 1
        self.tensor = tensor.dtype == Number.dtype && isDense ? tensor : tensor.converted(to: Number.dtype).contiguous()
    }

    var shape: Shape { tensor.shape }

    /// Some heads of one sequence side by side, `[rows, heads · dim]`.
    func matrix(_ sequence: Int, _ heads: Range<Int>, rows: Int) -> DenseMatrix<Number> {
        let dim = tensor.shape[3]
        if heads.count == 1 || tensor.strides[2] == dim { return view(sequence, heads, rows: rows) }
        let result = DenseMatrix<Number>(rows: rows, columns: heads.count * dim)
        for (place, head) in heads.enumerated() {
            result.part(columns: place * dim..<(place + 1) * dim).set(view(sequence, head..<head + 1, rows: rows))
        }
        return result
    }

    /// The same without a copy.
    /// - Precondition: one head, or heads that lie one behind the other.
    func view(_ sequence: Int, _ heads: Range<Int>, rows: Int) -> DenseMatrix<Number> {
        DenseMatrix(
            viewing: tensor, first: sequence * tensor.strides[0] + heads.lowerBound * tensor.strides[2], rows: rows,
            columns: heads.count * tensor.shape[3], stride: tensor.strides[1])
    }
}
