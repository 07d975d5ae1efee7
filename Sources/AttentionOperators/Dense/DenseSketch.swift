import AttentionCore
import Kernels
import TensorCore

/// What a dense program will hold in memory, found by running it on matrices without numbers.
struct DenseSketch<Operator: DenseOperator> {
    private let program: Operator
    private let problem: AttentionProblem
    private let engine: FastEngine

    init(_ program: Operator, _ problem: AttentionProblem, engine: FastEngine) {
        self.program = program
        self.problem = problem
        self.engine = engine
    }

    /// Bytes of every run, most first.
    ///
    /// Cost: one sketch for each pair of lengths: the program without its loops.
    func pieces(isRecording: Bool) -> [DenseLedger.Memory] {
        var known: [[Int]: DenseLedger.Memory] = [:]
        return DensePiece.cut(problem, scope: Operator.scope).map { piece in
            let lengths = [piece.queries, piece.keys]
            if let bytes = known[lengths] { return bytes }
            let bytes = DenseLedger.measure { run(piece, isRecording: isRecording) }
            known[lengths] = bytes
            return bytes
        }.sorted { $0.peak > $1.peak }
    }

    private func run(_ piece: DensePiece, isRecording: Bool) {
        let tape = DenseTape<Float>(engine: engine, isRecording: isRecording)
        func leaf(_ rows: Int, _ columns: Int) -> DenseNode<Float> {
            tape.leaf(.operandSketch(rows: rows, columns: columns))
        }
        let task = DenseTask(
            tape: tape, query: leaf(piece.queries, piece.heads.count * problem.headDim),
            key: leaf(piece.keys, piece.kvHeads.count * problem.headDim),
            value: leaf(piece.keys, piece.kvHeads.count * problem.valueDim),
            parameters: Dictionary(
                uniqueKeysWithValues: program.parameters(for: problem).map { declared in
                    let columns = declared.shape.dimensions.last ?? 1
                    return (declared.name, leaf(columns == 0 ? 0 : declared.shape.count / columns, columns))
                }),
            problem: problem, sequence: piece.sequence, heads: piece.heads)
        let result = program.build(task)
        guard isRecording else { return }
        tape.backward(
            ([result] + (tape.logSumExp.map { [$0] } ?? [])).map { node in
                (node, .operandSketch(rows: node.rows, columns: node.columns))
            })
        withExtendedLifetime(task) {}
    }

    /// Bytes of working memory of a forward pass.
    /// - Parameter pieces: the runs that are under way at once.
    func workingBytes(_ pieces: ArraySlice<DenseLedger.Memory>, hasLogSumExp: Bool) -> Int {
        // In sixteen bits the output is converted when no run is left.
        let runs =
            problem.dtype == .float32
            ? Self.rest(pieces, after: 0) : 4 * problem.outputCount + Self.rest(pieces, after: problem.outputBytes)
        return PlannedBytes.list(of: problem.batch * problem.heads) + problem.widenedBytes + runs
            + (hasLogSumExp ? problem.logSumExpBytes : 0) + program.sharedBytes(problem)
    }

    /// Bytes of working memory of a backward pass.
    ///
    /// Gradients by parameters, and all in sixteen bits, become tensors when no run is left.
    /// - Parameter pieces: the runs that are under way at once.
    func workingBytesOfGradients(_ pieces: ArraySlice<DenseLedger.Memory>, parameterBytes: Int) -> Int {
        let gradients = problem.queryCount + problem.keyCount + problem.valueCount
        let isWide = problem.dtype == .float32
        let later = parameterBytes + (isWide ? 0 : problem.gradientBytes)
        return PlannedBytes.list(of: problem.batch * problem.heads) + problem.widenedBytes
            + (isWide ? 0 : 4 * (gradients + problem.outputCount)) + parameterBytes + Self.rest(pieces, after: later)
            + program.sharedBytes(problem)
    }

    /// Bytes of runs beyond what is made when they have ended, with nothing left of them but their workspaces.
    private static func rest(_ pieces: ArraySlice<DenseLedger.Memory>, after later: Int) -> Int {
        max(pieces.reduce(0) { $0 + $1.peak } - later, pieces.reduce(0) { $0 + $1.kept })
    }
}
