import AttentionCore
import Kernels
import TensorCore

/// An operator that mixes the positions of the values and looks at neither queries nor keys.
///
/// Row i of the output belongs to position i of the values, so there are as many queries as keys, and each channel of the
/// values comes out once, so there are as many query heads as value heads.
protocol PositionMixer: AttentionOperator {
    /// Why a causal mask is refused; `nil` where it is not.
    var causalObstacle: String? { get }
}

extension PositionMixer {
    /// The reasons of the record, with what is behind them, and a scale, which has nothing to act on.
    func mixingReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        var reasons = capabilities.unsupportedReasons(for: problem).map { reason in
            switch reason.aspect {
            case .causal:
                UnsupportedReason(
                    .causal, causalObstacle ?? reason.explanation, remedy: reason.remedy)
            case .groupedQuery:
                UnsupportedReason(
                    .groupedQuery,
                    "each of the \(problem.kvHeads) value heads comes out once, not \(problem.group) times",
                    remedy: "use \(problem.kvHeads) query heads")
            case .crossLength:
                UnsupportedReason(
                    .crossLength, "row i of the output is position i of the values",
                    remedy: "use \(problem.keyLength) queries")
            default: reason
            }
        }
        if problem.options.scale != nil {
            reasons.append(
                .init(.configuration, "scale has no meaning without scores", remedy: "leave scale out"))
        }
        return reasons
    }

    /// Sequences whose two true lengths differ have no one diagonal.
    func lengthReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        guard problem.features.contains(.causal) else { return [] }
        for batch in 0..<problem.batch {
            let geometry = problem.geometry(batch)
            if geometry.queryLength != geometry.keyLength {
                return [
                    .init(
                        .queryLengths,
                        "sequence \(batch) has \(geometry.queryLength) queries and \(geometry.keyLength) keys under a "
                            + "causal mask",
                        remedy: "give query lengths and key lengths the same numbers")
                ]
            }
        }
        return []
    }
}

/// References of mixing operators: sequence by sequence on dense matrices.
struct PlainMixing<Number: MixingNumber> {
    let channels: SequenceChannels

    /// The output of `mix` on each sequence's `[positions, channels]`.
    func forward(
        _ value: Tensor, _ mix: (PlainMatrix<Number>, _ batch: Int) -> PlainMatrix<Number>
    ) throws(AttentionError) -> AttentionOutput {
        let problem = channels.problem
        let numbers = Number.elements(of: value)
        let width = channels.channels
        var output = [Number](repeating: 0, count: problem.batch * problem.queryLength * width)
        for batch in 0..<problem.batch {
            let matrix = rows(numbers, batch, length: problem.keyLength, count: channels.sources(batch))
            let mixed = mix(matrix, batch)
            let start = batch * problem.queryLength * width
            for cell in 0..<channels.targets(batch) * width { output[start + cell] = mixed.cells[cell] }
        }
        return AttentionOutput(
            output: try Self.tensor(
                output, [problem.batch, problem.queryLength, problem.heads, problem.valueDim], "output"),
            logSumExp: nil)
    }

    /// The gradients from `mix`, which is given the values and the output's gradient with zeros where there is no output.
    func backward(
        _ value: Tensor, _ gradient: OutputGradient,
        _ mix: (
            _ value: PlainMatrix<Number>, _ gradient: PlainMatrix<Number>, _ batch: Int
        ) -> PlainMatrix<Number>
    ) throws(AttentionError) -> AttentionGradients {
        let problem = channels.problem
        let numbers = Number.elements(of: value)
        let weights = Number.elements(of: gradient.output)
        let width = channels.channels
        var result = [Number](repeating: 0, count: numbers.count)
        for batch in 0..<problem.batch {
            let sources = channels.sources(batch)
            var derivative = PlainMatrix<Number>(rows: sources, columns: width)
            let start = batch * problem.queryLength * width
            for cell in 0..<channels.targets(batch) * width { derivative.cells[cell] = weights[start + cell] }
            let mixed = mix(rows(numbers, batch, length: problem.keyLength, count: sources), derivative, batch)
            for cell in 0..<sources * width { result[batch * problem.keyLength * width + cell] = mixed.cells[cell] }
        }
        func zeros(_ length: Int, _ heads: Int) -> Tensor {
            Tensor(zeros: [problem.batch, length, heads, problem.headDim], dtype: Number.dtype)
        }
        return AttentionGradients(
            query: zeros(problem.queryLength, problem.heads), key: zeros(problem.keyLength, problem.kvHeads),
            value: try Self.tensor(
                result, [problem.batch, problem.keyLength, problem.kvHeads, problem.valueDim], "value gradient"))
    }

    private func rows(_ numbers: [Number], _ batch: Int, length: Int, count: Int) -> PlainMatrix<Number> {
        let width = channels.channels
        let start = batch * length * width
        return PlainMatrix(rows: count, columns: width, cells: Array(numbers[start..<start + count * width]))
    }

    static func tensor(_ numbers: [Number], _ shape: Shape, _ operand: String) throws(AttentionError) -> Tensor {
        do throws(TensorError) {
            return try Tensor(numbers, shape: shape)
        } catch {
            throw .tensor(operand: operand, reason: error.description)
        }
    }
}
