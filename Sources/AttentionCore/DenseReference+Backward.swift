import Kernels
import TensorCore

extension DenseReference {
    /// Computes the derivatives of a loss by every operand from the definition.
    ///
    /// With `P` the normalised weights, `M` the dropout factors and `dO`, `dL` the derivatives by the results:
    ///
    ///     dV = (M P)ᵀ dO                               [keys, valueDim]
    ///     dP = M (dO Vᵀ)                               [queries, keys]
    ///     D  = Σ P dP over the keys                    [queries]
    ///     dS = P (dP - D + dL)                         by the scores that enter the softmax
    ///     dSink = Σ exp(sink - L) (dL - D) over the queries
    ///     dBias = dS · scoreFunction'                  summed over the axes along which the bias was broadcast
    ///     dQ = scale · dBias · (1 - tanh²) K           [queries, headDim]; the factor in brackets is softcap's
    ///     dK = scale · (dBias · (1 - tanh²))ᵀ Q        [keys, headDim], summed over the heads of a group
    ///
    /// Derivatives come as F32 or F64 after the precision, whatever the operands' type. Hidden cells are passed over, so
    /// what stands there never reaches a derivative; rows that see no key have none.
    /// Cost: five products of queries by keys for each head; working memory as ``forward(_:options:precision:)``, twice.
    /// - Throws: ``AttentionError`` when the operands do not fit each other, or a score function has no derivative.
    public static func backward(
        _ inputs: AttentionInputs, gradient: OutputGradient, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionGradients {
        let problem = try AttentionProblem(inputs, options: options)
        try gradient.check(problem)
        if let function = options.scoreFunction, function.derivative == nil {
            throw .unsupported(
                name: "the reference", problem: problem.description,
                reasons: [.init(.scoreFunction, "'\(function.name)' has no derivative", remedy: "give it one")])
        }
        switch precision {
        case .float: return try gradients(DenseGradients<Float>(problem, inputs, gradient), problem, inputs)
        case .double: return try gradients(DenseGradients<Double>(problem, inputs, gradient), problem, inputs)
        }
    }

    private static func gradients<Number>(
        _ computation: DenseGradients<Number>, _ problem: AttentionProblem, _ inputs: AttentionInputs
    ) throws(AttentionError) -> AttentionGradients {
        var computation = computation
        computation.run()
        do throws(TensorError) {
            return AttentionGradients(
                query: try Tensor(
                    computation.query, shape: [problem.batch, problem.queryLength, problem.heads, problem.headDim]),
                key: try Tensor(
                    computation.key, shape: [problem.batch, problem.keyLength, problem.kvHeads, problem.headDim]),
                value: try Tensor(
                    computation.value, shape: [problem.batch, problem.keyLength, problem.kvHeads, problem.valueDim]),
                bias: try inputs.bias.map { bias throws(TensorError) in try Tensor(computation.bias, shape: bias.shape)
                },
                sinks: try inputs.sinks.map { _ throws(TensorError) in
                    try Tensor(computation.sinks, shape: [problem.heads])
                })
        } catch {
            throw .tensor(operand: "gradients", reason: error.description)
        }
    }
}

/// The derivatives of one reference computation in one arithmetic.
private struct DenseGradients<Number: BLAS.Scalar & TensorElement & DenseNumber> {
    let forward: DenseComputation<Number>
    let problem: AttentionProblem
    /// By the output, dense.
    let output: [Number]
    /// By the log-sum-exp, dense; zeros where the loss does not depend on it.
    let logSumExp: [Number]
    var query: [Number]
    var key: [Number]
    var value: [Number]
    var bias: [Number]
    var sinks: [Number]
    /// The bias's strides, dense, broadcast to the scores' extents.
    private let biasStrides: [Int]

    init(_ problem: AttentionProblem, _ inputs: AttentionInputs, _ gradient: OutputGradient) throws(AttentionError) {
        self.problem = problem
        forward = try DenseComputation(problem, inputs)
        output = Number.elements(of: gradient.output)
        logSumExp =
            gradient.logSumExp.map(Number.elements)
            ?? [Number](repeating: 0, count: problem.batch * problem.heads * problem.queryLength)
        query = [Number](repeating: 0, count: forward.query.count)
        key = [Number](repeating: 0, count: forward.key.count)
        value = [Number](repeating: 0, count: forward.value.count)
        bias = [Number](repeating: 0, count: inputs.bias?.count ?? 0)
        sinks = [Number](repeating: 0, count: problem.heads)
        let shape = inputs.bias?.shape ?? []
        let dense = shape.rowMajorStrides
        biasStrides = (0..<4).map { axis in
            let own = axis - (4 - shape.rank)
            return own < 0 || shape[own] == 1 ? 0 : dense[own]
        }
    }

    mutating func run() {
        for batch in 0..<problem.batch {
            for head in 0..<problem.heads {
                let geometry = problem.geometry(batch, head: head)
                let allowed = problem.options.mask.materialize(geometry)
                let rows = DenseReference.blockRows(geometry)
                for start in stride(from: 0, to: geometry.queryLength, by: rows) {
                    differentiate(
                        DenseRows(
                            batch: batch, head: head, queries: start..<min(start + rows, geometry.queryLength),
                            geometry: geometry), allowed)
                }
            }
        }
    }

    private mutating func differentiate(_ block: DenseRows, _ allowed: [Bool]) {
        let keys = block.keys
        let raw = forward.products(block)
        var weights = raw
        forward.modify(&weights, block, allowed)
        let visible = weights.map { $0 != -.infinity }
        let sink = forward.inputs.sinks.map { Number($0[block.head]) }
        var denominators: [Number] = []
        for row in 0..<block.rows {
            denominators.append(forward.normalise(&weights, row * keys..<(row + 1) * keys, sink: sink))
        }
        var dropped = weights
        var scores = byWeights(block)
        if let dropout = DropoutPattern(problem.options) {
            forward.drop(&dropped, block, dropout)
            forward.drop(&scores, block, dropout)
        }
        for row in 0..<block.rows {
            let cells = row * keys..<(row + 1) * keys
            let seen = cells.filter { visible[$0] }
            let inner = seen.reduce(0) { $0 + weights[$1] * scores[$1] }
            let place =
                (block.batch * problem.heads + block.head) * problem.queryLength + block.queries.lowerBound + row
            if let sink, denominators[row] > -.infinity {
                sinks[block.head] += Number.exponential(sink - denominators[row]) * (logSumExp[place] - inner)
            }
            for cell in cells {
                scores[cell] = visible[cell] ? weights[cell] * (scores[cell] - inner + logSumExp[place]) : 0
            }
            for cell in seen {
                scores[cell] = throughModifiers(scores[cell], raw[cell], block, row, cell - cells.lowerBound)
            }
        }
        add(dropped, scores, visible, block)
    }

    /// dO Vᵀ.
    ///
    /// What stands in hidden cells is not used.
    private func byWeights(_ block: DenseRows) -> [Number] {
        var result = [Number](repeating: 0, count: block.rows * block.keys)
        DenseProduct(
            rows: block.rows, columns: block.keys, inner: problem.valueDim,
            aStart: problem.queryElement(block) * problem.valueDim, aStride: problem.heads * problem.valueDim,
            bStart: problem.keyElement(block) * problem.valueDim,
            bStride: problem.kvHeads * problem.valueDim, cStart: 0, cStride: block.keys
        ).run(1, output, forward.value, transposeB: true, into: &result)
        return result
    }

    /// From the derivative by a score that enters the softmax to that by scale · q·k; the bias takes its part on the way.
    private mutating func throughModifiers(
        _ derivative: Number, _ raw: Number, _ block: DenseRows, _ row: Int, _ column: Int
    ) -> Number {
        var derivative = derivative
        let query = block.queries.lowerBound + row
        if let slope = problem.options.scoreFunction?.derivative {
            let place = ScorePlace(batch: block.batch, head: block.head, query: query, key: column)
            derivative *= Number(slope(Double(forward.changed(raw, block, query: query, key: column)), place))
        }
        if forward.bias != nil {
            let cell =
                block.batch * biasStrides[0] + block.head * biasStrides[1] + query * biasStrides[2]
                + column * biasStrides[3]
            bias[cell] += derivative
        }
        guard let softcap = problem.options.softcap.map({ Number($0) }) else { return derivative }
        let tangent = Number.hyperbolicTangent(raw / softcap)
        return derivative * (1 - tangent * tangent)
    }

    /// dV += (M P)ᵀ dO; dK += scale dSᵀ Q; dQ += scale dS K.
    private mutating func add(_ dropped: [Number], _ scores: [Number], _ visible: [Bool], _ block: DenseRows) {
        let scale = Number(problem.scale)
        let (headDim, valueDim) = (problem.headDim, problem.valueDim)
        let byRow = problem.queryElement(block)
        let byKey = problem.keyElement(block)
        let turned = Self.transposed(visible, columns: block.keys)
        DenseProduct(
            rows: block.keys, columns: valueDim, inner: block.rows, aStart: 0, aStride: block.rows,
            bStart: byRow * valueDim, bStride: problem.heads * valueDim, cStart: byKey * valueDim,
            cStride: problem.kvHeads * valueDim
        ).add(1, Self.transposed(dropped, columns: block.keys), output, where: turned, to: &value)
        DenseProduct(
            rows: block.keys, columns: headDim, inner: block.rows, aStart: 0, aStride: block.rows,
            bStart: byRow * headDim, bStride: problem.heads * headDim, cStart: byKey * headDim,
            cStride: problem.kvHeads * headDim
        ).add(scale, Self.transposed(scores, columns: block.keys), forward.query, where: turned, to: &key)
        DenseProduct(
            rows: block.rows, columns: headDim, inner: block.keys, aStart: 0, aStride: block.keys,
            bStart: byKey * headDim, bStride: problem.kvHeads * headDim, cStart: byRow * headDim,
            cStride: problem.heads * headDim
        ).add(scale, scores, forward.key, where: visible, to: &query)
    }

    private static func transposed<Element>(_ matrix: [Element], columns: Int) -> [Element] {
        let rows = columns == 0 ? 0 : matrix.count / columns
        var result: [Element] = []
        result.reserveCapacity(matrix.count)
        for column in 0..<columns { for row in 0..<rows { result.append(matrix[row * columns + column]) } }
        return result
    }
}

/// Where the three matrices of a product lie in dense arrays, row-major.
private struct DenseProduct {
    let rows: Int
    let columns: Int
    let inner: Int
    let aStart: Int
    let aStride: Int
    let bStart: Int
    let bStride: Int
    let cStart: Int
    let cStride: Int

    /// c += alpha · a · op(b).
    func run<Number: BLAS.Scalar>(
        _ alpha: Number, _ a: [Number], _ b: [Number], transposeB: Bool, into c: inout [Number]
    ) {
        a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
                c.withUnsafeMutableBufferPointer { c in
                    guard let a = a.baseAddress, let b = b.baseAddress, let c = c.baseAddress else { return }
                    Number.multiply(
                        rows: rows, columns: columns, inner: inner, alpha: alpha, a: a + aStart, aStride: aStride,
                        b: b + bStart, bStride: bStride, transposeB: transposeB, beta: 1, c: c + cStart,
                        cStride: cStride)
                }
            }
        }
    }

    /// c += alpha · a · b, passing over the cells of a that are hidden when b is not finite: 0 · NaN is NaN.
    func add<Number: BLAS.Scalar>(
        _ alpha: Number, _ a: [Number], _ b: [Number], where visible: [Bool], to c: inout [Number]
    ) {
        let isFinite = (0..<inner).allSatisfy { row in
            (0..<columns).allSatisfy { b[bStart + row * bStride + $0].isFinite }
        }
        if isFinite { return run(alpha, a, b, transposeB: false, into: &c) }
        for row in 0..<rows {
            for column in 0..<inner where visible[row * aStride + column] {
                let weight = alpha * a[row * aStride + column]
                for d in 0..<columns { c[cStart + row * cStride + d] += weight * b[bStart + column * bStride + d] }
            }
        }
    }
}
