public import AttentionCore
public import Kernels
import TensorCore

/// Measures which keys reach which rows by changing them one by one, and compares that with what is declared.
///
/// Row `i` sees key `j` when a change of key `j`, of its value or of both changes a single bit of the row or of its
/// log-sum-exp. Bits are the right test: an operator is deterministic, so a key that it must not read cannot change one.
/// Two sets of operands are used; the second changes by so much that a hidden score which is only made small, and not
/// left out, shows. Every change is finite.
///
/// Queries are changed too: a row that depends on another query leaks through it, as landmarks that average all queries
/// do. An operator without ``AttentionCore/AttentionTrait/rowIndependent`` may do so within the mask.
///
/// Cost: 6 · keys + 2 · queries forward calls.
public struct PatternProbe: Sendable {
    /// The operator.
    public var configured: ConfiguredOperator
    /// Shapes and options; batch 1, without bias, mask tensor, slopes and sinks.
    public var problem: AttentionProblem
    /// The first of the seeds of operands and changes.
    public var seed: UInt64
    /// Threads and kernels.
    public var context: ComputeContext

    /// A probe.
    public init(
        _ configured: ConfiguredOperator, problem: AttentionProblem, seed: UInt64 = 1, context: ComputeContext
    ) {
        self.configured = configured
        self.problem = problem
        self.seed = seed
        self.context = context
    }

    /// Measures and compares.
    /// - Parameter progress: called with the part that is done, from 0 to 1.
    /// - Throws: ``AttentionCore/AttentionError``: the reasons why the operator cannot run the problem, or its own error.
    public func run(_ progress: (Double) -> Void = { _ in }) throws(AttentionError) -> ProbeReport {
        let reasons = configured.unsupportedReasons(for: problem)
        guard reasons.isEmpty else {
            throw .unsupported(name: configured.id, problem: problem.description, reasons: reasons)
        }
        var measured = Measured(problem)
        let amplitudes: [Float] = [3, configured.capabilities.traits.contains(.anyScore) ? 1e5 : 30]
        for (round, amplitude) in amplitudes.enumerated() {
            let bench = try Bench(
                configured, problem, seed: seed &+ 16 * UInt64(round), amplitude: amplitude, context: context)
            measured.isSteady = measured.isSteady && bench.isSteady
            measured.notFinite += bench.notFinite
            let steps = problem.keyLength + problem.queryLength
            for key in 0..<problem.keyLength {
                try bench.change([.key], key, &measured.byKeys)
                try bench.change([.value], key, &measured.byValues)
                try bench.change([.key, .value], key, &measured.together)
                progress(part(round, key, steps, amplitudes.count))
            }
            for query in 0..<problem.queryLength {
                try bench.change([.query], query, &measured.byQueries)
                progress(part(round, problem.keyLength + query, steps, amplitudes.count))
            }
        }
        return report(measured, calls: amplitudes.count * (3 * problem.keyLength + problem.queryLength))
    }

    private func part(_ round: Int, _ step: Int, _ steps: Int, _ rounds: Int) -> Double {
        (Double(round) + Double(step + 1) / Double(max(1, steps))) / Double(rounds)
    }

    private func report(_ measured: Measured, calls: Int) -> ProbeReport {
        let declared = declaredGrid()
        let effective = measured.byKeys.union(measured.byValues).union(measured.together)
        var findings: [ProbeFinding] = []
        if !measured.isSteady { findings.append(.init(kind: .unsteady, isError: true, count: 1, pairs: [])) }
        if measured.notFinite > 0 {
            findings.append(.init(kind: .notFinite, isError: true, count: measured.notFinite, pairs: []))
        }
        let diagonal = problem.geometry(0).diagonal(.bottomRight)
        let leaks = effective.subtracting(declared)
        findings += finding(.future, leaks) { _, query, key in key > query + diagonal }
        findings += finding(.leak, leaks) { _, query, key in key <= query + diagonal }
        findings += finding(.query, measured.byQueries) { head, query, other in
            other != query && !allowsQuery(declared, head, query, other, diagonal)
        }
        let promises = configured.capabilities.traits.contains(.seesEveryKey)
        let dropout = DropoutPattern(problem.options)
        findings += finding(.blind, declared.subtracting(effective), isError: promises) { head, query, key in
            dropout?.keeps(dropout?.rowKey(batch: 0, head: head, query: query) ?? (0, 0), key: key) ?? true
        }
        return ProbeReport(
            operator: configured.id, configuration: configured.configuration, problem: problem.description,
            mask: problem.options.mask, calls: calls, declared: declared, effective: effective,
            byKeys: measured.byKeys, byValues: measured.byValues, byQueries: measured.byQueries, findings: findings)
    }

    /// Whether one query may reach the row of another: only where rows mix and the mask lets the row see its place.
    private func allowsQuery(
        _ declared: ProbeGrid, _ head: Int, _ query: Int, _ other: Int, _ diagonal: Int
    ) -> Bool {
        if configured.capabilities.traits.contains(.rowIndependent) { return false }
        let place = other + diagonal
        return (0..<problem.keyLength).contains(place) && declared[head, query, place]
    }

    /// The problem's mask and the operator's own pattern.
    private func declaredGrid() -> ProbeGrid {
        var grid = ProbeGrid(heads: problem.heads, rows: problem.queryLength, columns: problem.keyLength)
        let pattern = configured.pattern(for: problem)
        for head in 0..<problem.heads {
            let geometry = problem.geometry(0, head: head)
            for query in 0..<problem.queryLength {
                for key in 0..<problem.keyLength {
                    grid[head, query, key] =
                        problem.options.mask.allows(query: query, key: key, geometry)
                        && pattern.allows(query: query, key: key, geometry)
                }
            }
        }
        return grid
    }

    /// The pairs of a grid that a condition picks, as one finding.
    private func finding(
        _ kind: ProbeFinding.Kind, _ grid: ProbeGrid, isError: Bool = true, where picks: (Int, Int, Int) -> Bool
    ) -> [ProbeFinding] {
        var count = 0
        var pairs: [ProbeFinding.Pair] = []
        for head in 0..<grid.heads {
            for row in 0..<grid.rows {
                for column in 0..<grid.columns where grid[head, row, column] && picks(head, row, column) {
                    count += 1
                    if pairs.count < Self.shownPairs { pairs.append(.init(head: head, query: row, key: column)) }
                }
            }
        }
        return count == 0 ? [] : [ProbeFinding(kind: kind, isError: isError, count: count, pairs: pairs)]
    }

    /// Enough to see a pattern, few enough for a line.
    private static let shownPairs = 4
}

/// What has been seen so far.
private struct Measured {
    var byKeys: ProbeGrid
    var byValues: ProbeGrid
    var together: ProbeGrid
    var byQueries: ProbeGrid
    var isSteady = true
    var notFinite = 0

    init(_ problem: AttentionProblem) {
        let keys = ProbeGrid(heads: problem.heads, rows: problem.queryLength, columns: problem.keyLength)
        (byKeys, byValues, together) = (keys, keys, keys)
        byQueries = ProbeGrid(heads: problem.heads, rows: problem.queryLength, columns: problem.queryLength)
    }
}

/// Operands, the results they give, and calls with one row of them changed.
private struct Bench {
    enum Operand: UInt64 {
        case query, key, value
    }

    /// Whether the same call gives the same bits.
    let isSteady: Bool
    /// Results that are infinity or NaN.
    let notFinite: Int

    private let configured: ConfiguredOperator
    private let problem: AttentionProblem
    private let context: ComputeContext
    private let seed: UInt64
    private let amplitude: Float
    private let inputs: AttentionInputs
    private let before: Bits

    init(
        _ configured: ConfiguredOperator, _ problem: AttentionProblem, seed: UInt64, amplitude: Float,
        context: ComputeContext
    ) throws(AttentionError) {
        self.configured = configured
        self.problem = problem
        self.context = context
        self.seed = seed
        self.amplitude = amplitude
        func operand(_ operand: Operand, _ length: Int, _ heads: Int, _ dim: Int) -> Tensor {
            .random(uniform: [1, length, heads, dim], seed: seed &+ operand.rawValue, dtype: problem.dtype)
        }
        let plain = AttentionInputs(
            query: operand(.query, problem.queryLength, problem.heads, problem.headDim),
            key: operand(.key, problem.keyLength, problem.kvHeads, problem.headDim),
            value: operand(.value, problem.keyLength, problem.kvHeads, problem.valueDim),
            queryLengths: problem.queryLengths, keyLengths: problem.keyLengths)
        inputs = try configured.initialising(plain, options: problem.options, seed: seed).inputs
        let first = try Bits(configured.forward(inputs, options: problem.options, context: context), problem)
        let second = try Bits(configured.forward(inputs, options: problem.options, context: context), problem)
        isSteady = first == second
        notFinite = first.notFinite
        before = first
    }

    /// Changes one row of some operands and marks the rows of the result that change.
    func change(_ operands: [Operand], _ row: Int, _ grid: inout ProbeGrid) throws(AttentionError) {
        var changed = inputs
        for operand in operands {
            switch operand {
            case .query: changed.query = try moved(inputs.query, row, operand)
            case .key: changed.key = try moved(inputs.key, row, operand)
            case .value: changed.value = try moved(inputs.value, row, operand)
            }
        }
        let after = try Bits(configured.forward(changed, options: problem.options, context: context), problem)
        for query in 0..<problem.queryLength {
            for head in 0..<problem.heads where before.differs(after, head: head, query: query) {
                grid[head, query, row] = true
            }
        }
    }

    /// A tensor with one row of all heads moved in a random direction.
    private func moved(_ tensor: Tensor, _ row: Int, _ operand: Operand) throws(AttentionError) -> Tensor {
        let width = tensor.shape[2] * tensor.shape[3]
        var numbers = tensor.floats()
        for column in 0..<width {
            let index = row * width + column
            let step = CounterRandom.uniform(seed: seed &+ 8 &+ operand.rawValue, index: UInt64(index))
            numbers[index] += amplitude * step
        }
        do throws(TensorError) {
            return try Tensor(numbers, shape: tensor.shape).converted(to: problem.dtype)
        } catch {
            throw .tensor(operand: "\(operand)", reason: error.description)
        }
    }
}

/// The results of a call as bits.
private struct Bits: Equatable {
    private let output: [UInt32]
    private let logSumExp: [UInt32]
    private let heads: Int
    private let queries: Int
    private let width: Int

    init(_ result: AttentionOutput, _ problem: AttentionProblem) throws(AttentionError) {
        let expected = Shape([1, problem.queryLength, problem.heads, problem.valueDim])
        guard result.output.shape == expected else {
            throw .invalidShape(operand: "output", expected: "\(expected)", actual: result.output.shape)
        }
        output = result.output.floats().map(\.bitPattern)
        logSumExp = result.logSumExp?.floats().map(\.bitPattern) ?? []
        (heads, queries, width) = (problem.heads, problem.queryLength, problem.valueDim)
    }

    /// Numbers that are infinity or NaN; the log-sum-exp of an empty row is -infinity by contract.
    var notFinite: Int { output.count { !Float(bitPattern: $0).isFinite } }

    func differs(_ other: Bits, head: Int, query: Int) -> Bool {
        let start = (query * heads + head) * width
        if output[start..<start + width] != other.output[start..<start + width] { return true }
        let row = head * queries + query
        return !logSumExp.isEmpty && logSumExp[row] != other.logSumExp[row]
    }
}
