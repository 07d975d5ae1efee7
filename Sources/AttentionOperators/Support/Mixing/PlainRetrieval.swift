import AttentionCore
import Foundation
import Kernels
import TensorCore

/// Compositional attention as the paper writes it, on the dense reference: searches over all value heads, keys and
/// queries of the retrieval, and a softmax over the retrievals.
struct PlainRetrieval<Number: MixingNumber> {
    private let problem: AttentionProblem
    private let precision: ReferencePrecision
    private let wide: WideSearch
    private let query: [Number]
    private let byQuery: PlainMatrix<Number>
    private let byKey: PlainMatrix<Number>
    private let factor: Number

    init(_ inputs: AttentionInputs, _ problem: AttentionProblem, _ precision: ReferencePrecision) {
        self.problem = problem
        self.precision = precision
        wide = WideSearch(inputs, problem, dtype: Number.dtype)
        query = Number.elements(of: inputs.query)
        func matrix(_ name: String, _ rows: Int) -> PlainMatrix<Number> {
            let cells = inputs.parameters[name].map(Number.elements) ?? []
            return PlainMatrix(rows: rows, columns: cells.count / rows, cells: cells)
        }
        byQuery = matrix("retrieval-query", problem.headDim)
        byKey = matrix("retrieval-key", problem.valueDim)
        factor = 1 / Number(max(1, byQuery.columns)).squareRoot()
    }

    /// One row of a search.
    private struct Row {
        let index: Int
        /// Among the log-sum-exps.
        let place: Int
        /// `[1, headDim]`, `[1, r]`, `[kvHeads, valueDim]` and `[kvHeads, r]`.
        let query: PlainMatrix<Number>
        let asked: PlainMatrix<Number>
        let retrievals: PlainMatrix<Number>
        let offered: PlainMatrix<Number>
        /// Weight of each retrieval, `[1, kvHeads]`.
        let weights: PlainMatrix<Number>
        /// Of the scores of the retrievals.
        let logSumExp: Double
    }

    /// The log-sum-exp tells how large scores are, and so how well they are known: the magnitudes of the searches' and of
    /// the retrievals' add up, for one softmax follows the other.
    func forward() throws(AttentionError) -> AttentionOutput {
        let search = try DenseReference.forward(wide.inputs, options: problem.options, precision: precision)
        let dim = problem.valueDim
        var output = [Number](repeating: 0, count: problem.batch * problem.queryLength * problem.heads * dim)
        var scores = [Double](repeating: -.infinity, count: search.logSumExp?.count ?? 0)
        let searched = search.logSumExp?.doubles() ?? []
        each(search) { row in
            scores[row.place] = abs(searched[row.place]) + abs(row.logSumExp)
            let mixed = row.weights.times(row.retrievals)
            for c in 0..<dim { output[row.index * dim + c] = mixed.cells[c] }
        }
        return AttentionOutput(
            output: try PlainMixing<Number>.tensor(
                output, [problem.batch, problem.queryLength, problem.heads, dim], "output"),
            logSumExp: try PlainMixing<Double>.tensor(
                scores, [problem.batch, problem.heads, problem.queryLength], "log_sum_exp"))
    }

    func backward(_ gradient: OutputGradient) throws(AttentionError) -> AttentionGradients {
        let search = try DenseReference.forward(wide.inputs, options: problem.options, precision: precision)
        let numbers = Number.elements(of: gradient.output)
        let (count, dim) = (problem.kvHeads, problem.valueDim)
        var bySearch = [Number](repeating: 0, count: numbers.count * count)
        var ownQuery = [Number](repeating: 0, count: query.count)
        var (first, second) = (byQuery, byKey)
        for index in first.cells.indices { first.cells[index] = 0 }
        for index in second.cells.indices { second.cells[index] = 0 }
        each(search) { row in
            let dy = PlainMatrix(
                rows: 1, columns: dim, cells: Array(numbers[row.index * dim..<(row.index + 1) * dim]))
            let byWeights = row.retrievals.times(dy.transposed)
            let mean = (0..<count).reduce(Number(0)) { $0 + row.weights.cells[$1] * byWeights.cells[$1] }
            let byScores = PlainMatrix<Number>(rows: count, columns: 1) { j, _ in
                row.weights.cells[j] * (byWeights.cells[j] - mean) * factor
            }
            let byAsked = byScores.transposed.times(row.offered)
            let byOffered = byScores.times(row.asked)
            var byRetrievals = row.weights.transposed.times(dy)
            byRetrievals.add(byOffered, byKey.transposed)
            let dq = byAsked.times(byQuery.transposed)
            for c in 0..<count * dim { bySearch[row.index * count * dim + c] = byRetrievals.cells[c] }
            for d in 0..<problem.headDim { ownQuery[row.index * problem.headDim + d] = dq.cells[d] }
            first.add(row.query.transposed, byAsked)
            second.add(row.retrievals.transposed, byOffered)
        }
        let shape = Shape([problem.batch, problem.queryLength, problem.heads, count * dim])
        var result = try DenseReference.backward(
            wide.inputs,
            gradient: OutputGradient(output: try PlainMixing<Number>.tensor(bySearch, shape, "search gradient")),
            options: problem.options, precision: precision)
        let searched = Number.elements(of: result.query)
        result.query = try PlainMixing<Number>.tensor(
            zip(searched, ownQuery).map { $0 + $1 }, result.query.shape, "query gradient")
        result.value = try WideSearch.narrowed(result.value, kvHeads: count, valueDim: dim)
        result.parameters = [
            "retrieval-query": try PlainMixing<Number>.tensor(
                first.cells, [first.rows, first.columns], "retrieval-query"),
            "retrieval-key": try PlainMixing<Number>.tensor(
                second.cells, [second.rows, second.columns], "retrieval-key"),
        ]
        return result
    }

    /// Every row that sees something.
    private func each(_ search: AttentionOutput, _ body: (Row) -> Void) {
        let outputs = Number.elements(of: search.output)
        let logarithms = search.logSumExp?.doubles() ?? []
        let (count, dim, features) = (problem.kvHeads, problem.valueDim, problem.headDim)
        for batch in 0..<problem.batch {
            for n in 0..<problem.queryLength {
                for head in 0..<problem.heads
                where logarithms[(batch * problem.heads + head) * problem.queryLength + n] != -.infinity {
                    let index = (batch * problem.queryLength + n) * problem.heads + head
                    let own = PlainMatrix(
                        rows: 1, columns: features, cells: Array(query[index * features..<(index + 1) * features]))
                    let retrievals = PlainMatrix(
                        rows: count, columns: dim,
                        cells: Array(outputs[index * count * dim..<(index + 1) * count * dim]))
                    let asked = own.times(byQuery)
                    let offered = retrievals.times(byKey)
                    let scores = asked.times(offered.transposed).cells.map { $0 * factor }
                    let highest = scores.reduce(-Number.infinity) { max($0, $1) }
                    let exponentials = scores.map { Number.exponential($0 - highest) }
                    let sum = exponentials.reduce(Number(0)) { $0 + $1 }
                    let weights = PlainMatrix(rows: 1, columns: count, cells: exponentials.map { $0 / sum })
                    body(
                        Row(
                            index: index,
                            place: (batch * problem.heads + head) * problem.queryLength + n, query: own, asked: asked,
                            retrievals: retrievals, offered: offered,
                            weights: weights, logSumExp: Double(highest) + log(Double(sum))))
                }
            }
        }
    }
}
