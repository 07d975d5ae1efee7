import AttentionCore
import Kernels
import TensorCore

/// A lambda layer as the paper writes it: for each query its lambda is made, `[headDim, valueDim]`, on OpenBLAS, then
/// applied.
struct PlainLambda<Number: MixingNumber> {
    private let shape: LambdaProblem
    private let query: [Number]
    private let key: [Number]
    private let value: [Number]
    private let embeddings: [Number]

    init(_ inputs: AttentionInputs, _ shape: LambdaProblem) {
        self.shape = shape
        query = Number.elements(of: inputs.query)
        key = Number.elements(of: inputs.key)
        value = Number.elements(of: inputs.value)
        embeddings = inputs.parameters["position-embeddings"].map(Number.elements) ?? []
    }

    private var problem: AttentionProblem { shape.problem }
    private var features: Int { problem.headDim }

    /// What one query of one key head sees.
    private struct Context {
        /// Softmax of each feature over the keys that are seen, `[keys, headDim]`.
        let normalised: PlainMatrix<Number>
        /// The same plus the embeddings.
        let weights: PlainMatrix<Number>
        let values: PlainMatrix<Number>
        let lambda: PlainMatrix<Number>
    }

    func forward() throws(AttentionError) -> AttentionOutput {
        var output = [Number](
            repeating: 0, count: problem.batch * problem.queryLength * problem.heads * problem.valueDim)
        each { batch, head, n, context in
            for queryHead in head * problem.group..<(head + 1) * problem.group {
                let row = row(batch, n, queryHead)
                let y = queries(row).times(context.lambda)
                for c in 0..<problem.valueDim { output[row * problem.valueDim + c] = y.cells[c] }
            }
        }
        return AttentionOutput(
            output: try PlainMixing<Number>.tensor(
                output, [problem.batch, problem.queryLength, problem.heads, problem.valueDim], "output"),
            logSumExp: nil)
    }

    func backward(_ gradient: OutputGradient) throws(AttentionError) -> AttentionGradients {
        let weights = Number.elements(of: gradient.output)
        let (width, scale) = (problem.valueDim, Number(shape.scale))
        var (byQuery, byKey, byValue, byEmbedding) = (query, key, value, embeddings)
        for index in byQuery.indices { byQuery[index] = 0 }
        for index in byKey.indices { byKey[index] = 0 }
        for index in byValue.indices { byValue[index] = 0 }
        for index in byEmbedding.indices { byEmbedding[index] = 0 }
        each { batch, head, n, context in
            var byLambda = PlainMatrix<Number>(rows: features, columns: width)
            for queryHead in head * problem.group..<(head + 1) * problem.group {
                let row = row(batch, n, queryHead)
                let dy = PlainMatrix(rows: 1, columns: width, cells: Array(weights[row * width..<(row + 1) * width]))
                byLambda.add(queries(row).transposed, dy)
                let dq = context.lambda.times(dy.transposed)
                for d in 0..<features { byQuery[row * features + d] = scale * dq.cells[d] }
            }
            let byWeights = context.values.times(byLambda.transposed)
            let byValues = context.weights.times(byLambda)
            let sequence = shape.sequence(batch)
            for m in 0..<context.values.rows {
                let cell = (batch * problem.keyLength + m) * problem.kvHeads + head
                for c in 0..<width { byValue[cell * width + c] += byValues[m, c] }
                guard sequence.near(n).contains(m) else { continue }
                let place = sequence.embedding(n, m) * features
                for d in 0..<features { byEmbedding[place + d] += byWeights[m, d] }
            }
            for d in 0..<features {
                let mean = (0..<context.values.rows).reduce(Number(0)) {
                    $0 + context.normalised[$1, d] * byWeights[$1, d]
                }
                for m in 0..<context.values.rows {
                    let cell = (batch * problem.keyLength + m) * problem.kvHeads + head
                    byKey[cell * features + d] += context.normalised[m, d] * (byWeights[m, d] - mean)
                }
            }
        }
        func tensor(_ numbers: [Number], _ length: Int, _ heads: Int, _ dim: Int) throws(AttentionError) -> Tensor {
            try PlainMixing<Number>.tensor(numbers, [problem.batch, length, heads, dim], "gradient")
        }
        return AttentionGradients(
            query: try tensor(byQuery, problem.queryLength, problem.heads, features),
            key: try tensor(byKey, problem.keyLength, problem.kvHeads, features),
            value: try tensor(byValue, problem.keyLength, problem.kvHeads, width),
            parameters: [
                "position-embeddings": try PlainMixing<Number>.tensor(
                    byEmbedding, [shape.embeddings, features], "gradient")
            ])
    }

    private func row(_ batch: Int, _ n: Int, _ head: Int) -> Int {
        (batch * problem.queryLength + n) * problem.heads + head
    }

    /// One scaled query as a row.
    private func queries(_ row: Int) -> PlainMatrix<Number> {
        PlainMatrix(
            rows: 1, columns: features,
            cells: query[row * features..<(row + 1) * features].map { $0 * Number(shape.scale) })
    }

    /// Every query that sees a key.
    private func each(_ body: (_ batch: Int, _ head: Int, _ query: Int, _ context: Context) -> Void) {
        for batch in 0..<problem.batch {
            let sequence = shape.sequence(batch)
            for head in 0..<problem.kvHeads {
                var normalised = PlainMatrix<Number>(rows: 0, columns: features)
                var values = PlainMatrix<Number>(rows: 0, columns: problem.valueDim)
                for n in 0..<sequence.queries where sequence.end(n) > 0 {
                    if normalised.rows != sequence.end(n) {
                        normalised = softmax(batch, head, keys: sequence.end(n))
                        values = PlainMatrix(rows: sequence.end(n), columns: problem.valueDim) { m, c in
                            value[((batch * problem.keyLength + m) * problem.kvHeads + head) * problem.valueDim + c]
                        }
                    }
                    var weights = normalised
                    for m in sequence.near(n) {
                        for d in 0..<features {
                            weights[m, d] += embeddings[sequence.embedding(n, m) * features + d]
                        }
                    }
                    let lambda = weights.transposed.times(values)
                    body(
                        batch, head, n,
                        Context(normalised: normalised, weights: weights, values: values, lambda: lambda))
                }
            }
        }
    }

    /// The keys that are seen, each feature normalised over them.
    private func softmax(_ batch: Int, _ head: Int, keys: Int) -> PlainMatrix<Number> {
        var result = PlainMatrix<Number>(rows: keys, columns: features) { m, d in
            key[((batch * problem.keyLength + m) * problem.kvHeads + head) * features + d]
        }
        for d in 0..<features {
            let highest = (0..<keys).reduce(-Number.infinity) { max($0, result[$1, d]) }
            var sum: Number = 0
            for m in 0..<keys {
                result[m, d] = Number.exponential(result[m, d] - highest)
                sum += result[m, d]
            }
            for m in 0..<keys { result[m, d] /= sum }
        }
        return result
    }
}
