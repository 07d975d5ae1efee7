import Kernels
import TensorCore

/// Plain attention on OpenBLAS, materialised: the specification that every exact operator is compared with.
///
/// For one sequence and one head at a time, with `Q` [queries, headDim], `K` [keys, headDim] and `V` [keys, valueDim]:
///
///     S = scale · Q Kᵀ                        [queries, keys]
///     S = softcap · tanh(S / softcap)
///     S = S + bias - slope · |place - key|
///     S = -infinity where the mask hides
///     L = log(exp(sink) + Σ exp S)            [queries]
///     O = exp(S - L) V                        [queries, valueDim]
///
/// (Vaswani et al., 2017, equation 1, with the modifiers in the order of FlashAttention.)
/// Working memory: one head's scores, `queries · keys` numbers.
public enum DenseReference {
    /// Computes attention from the definition.
    ///
    /// `output` and `logSumExp` come as F32 or F64 after the precision, whatever the operands' type, so that
    /// comparisons see the arithmetic and not the storage.
    /// - Throws: ``AttentionError`` when the operands do not fit each other, or for dropout.
    public static func forward(
        _ inputs: AttentionInputs, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionOutput {
        let problem = try AttentionProblem(inputs, options: options)
        guard options.dropout == 0 else {
            throw .unsupported(
                name: "the reference", problem: problem.description,
                reasons: [.init(.dropout, "is not supported", remedy: "leave dropout out")])
        }
        switch precision {
        case .float: return try DenseComputation<Float>(problem, inputs).run()
        case .double: return try DenseComputation<Double>(problem, inputs).run()
        }
    }
}

/// One reference computation in one arithmetic.
private struct DenseComputation<Number: BLAS.Scalar & TensorElement & DenseNumber> {
    let problem: AttentionProblem
    let inputs: AttentionInputs
    let query: [Number]
    let key: [Number]
    let value: [Number]
    /// Dense in the scores' extents [batch, heads, queryLength, keyLength], or absent.
    let bias: Tensor?
    let mask: Tensor?

    init(_ problem: AttentionProblem, _ inputs: AttentionInputs) throws(AttentionError) {
        self.problem = problem
        self.inputs = inputs
        query = Number.elements(of: inputs.query)
        key = Number.elements(of: inputs.key)
        value = Number.elements(of: inputs.value)
        let extents = Shape([problem.batch, problem.heads, problem.queryLength, problem.keyLength])
        do throws(TensorError) {
            bias = try inputs.bias?.broadcast(to: extents)
            mask = try inputs.mask?.broadcast(to: extents)
        } catch {
            throw .tensor(operand: "bias or mask", reason: error.description)
        }
    }

    func run() throws(AttentionError) -> AttentionOutput {
        let rows = problem.batch * problem.queryLength * problem.heads
        var output = [Number](repeating: 0, count: rows * problem.valueDim)
        var logSumExp = [Number](repeating: -.infinity, count: rows)
        for batch in 0..<problem.batch {
            for head in 0..<problem.heads { attend(batch, head, &output, &logSumExp) }
        }
        do throws(TensorError) {
            return AttentionOutput(
                output: try Tensor(
                    output, shape: [problem.batch, problem.queryLength, problem.heads, problem.valueDim]),
                logSumExp: try Tensor(logSumExp, shape: [problem.batch, problem.heads, problem.queryLength]))
        } catch {
            throw .tensor(operand: "output", reason: error.description)
        }
    }

    private func attend(_ batch: Int, _ head: Int, _ output: inout [Number], _ logSumExp: inout [Number]) {
        let geometry = problem.geometry(batch)
        let queries = geometry.queryLength
        let keys = geometry.keyLength
        guard queries > 0 else { return }
        var scores = products(batch, head, queries, keys)
        let visible = modify(&scores, batch, head, geometry)
        let sink = inputs.sinks.map { Number($0[head]) }
        for row in 0..<queries {
            let logarithm = normalise(&scores, row * keys..<(row + 1) * keys, sink: sink)
            logSumExp[(batch * problem.heads + head) * problem.queryLength + row] = logarithm
        }
        weigh(scores, visible, batch, head, queries, keys, &output)
    }

    /// scale · Q Kᵀ.
    private func products(_ batch: Int, _ head: Int, _ queries: Int, _ keys: Int) -> [Number] {
        var scores = [Number](repeating: 0, count: queries * keys)
        let kvHead = head / problem.group
        let queryStart = (batch * problem.queryLength * problem.heads + head) * problem.headDim
        let keyStart = (batch * problem.keyLength * problem.kvHeads + kvHead) * problem.headDim
        guard keys > 0 else { return scores }
        query.withUnsafeBufferPointer { query in
            key.withUnsafeBufferPointer { key in
                scores.withUnsafeMutableBufferPointer { scores in
                    guard let q = query.baseAddress, let k = key.baseAddress, let s = scores.baseAddress else { return }
                    Number.multiply(
                        rows: queries, columns: keys, inner: problem.headDim, alpha: Number(problem.scale),
                        a: q + queryStart, aStride: problem.heads * problem.headDim, b: k + keyStart,
                        bStride: problem.kvHeads * problem.headDim, transposeB: true, beta: 0, c: s, cStride: keys)
                }
            }
        }
        return scores
    }

    /// Applies softcap, bias, ALiBi and every mask; returns which cells are visible.
    private func modify(_ scores: inout [Number], _ batch: Int, _ head: Int, _ geometry: MaskGeometry) -> [Bool] {
        var visible = problem.options.mask.materialize(geometry)
        let softcap = problem.options.softcap.map { Number($0) }
        let slope = inputs.alibiSlopes.map { Number($0[head]) }
        let diagonal = geometry.diagonal(.bottomRight)
        for row in 0..<geometry.queryLength {
            for column in 0..<geometry.keyLength {
                let cell = row * geometry.keyLength + column
                if let mask, !mask.isTrue(batch, head, row, column) { visible[cell] = false }
                guard visible[cell] else {
                    scores[cell] = -.infinity
                    continue
                }
                if let softcap { scores[cell] = softcap * Number.hyperbolicTangent(scores[cell] / softcap) }
                if let bias { scores[cell] += Number(bias.number(batch, head, row, column)) }
                if let slope { scores[cell] -= slope * Number(abs(row + diagonal - column)) }
            }
        }
        return visible
    }

    /// Turns a row of scores into probabilities; returns the logarithm of its denominator.
    private func normalise(_ scores: inout [Number], _ row: Range<Int>, sink: Number?) -> Number {
        var highest = sink ?? -.infinity
        for cell in row where scores[cell] > highest { highest = scores[cell] }
        // A row without a visible key: exp(-infinity - -infinity) would be NaN.
        let shift = highest == -.infinity ? 0 : highest
        var sum: Number = 0
        for cell in row {
            scores[cell] = Number.exponential(scores[cell] - shift)
            sum += scores[cell]
        }
        if let sink { sum += Number.exponential(sink - shift) }
        if sum == 0 { return -.infinity }
        for cell in row { scores[cell] /= sum }
        return shift + Number.logarithm(sum)
    }

    /// P V.
    ///
    /// Where a value is not finite, hidden cells are passed over: their probability is 0, and 0 · NaN is NaN.
    private func weigh(
        _ probabilities: [Number], _ visible: [Bool], _ batch: Int, _ head: Int, _ queries: Int, _ keys: Int,
        _ output: inout [Number]
    ) {
        let kvHead = head / problem.group
        let valueDim = problem.valueDim
        let valueStride = problem.kvHeads * valueDim
        let outputStride = problem.heads * valueDim
        let valueStart = (batch * problem.keyLength * problem.kvHeads + kvHead) * valueDim
        let outputStart = (batch * problem.queryLength * problem.heads + head) * valueDim
        let isFinite = (0..<keys).allSatisfy { row in
            (0..<valueDim).allSatisfy { value[valueStart + row * valueStride + $0].isFinite }
        }
        if isFinite, keys > 0 {
            probabilities.withUnsafeBufferPointer { probabilities in
                value.withUnsafeBufferPointer { value in
                    output.withUnsafeMutableBufferPointer { output in
                        guard let p = probabilities.baseAddress, let v = value.baseAddress, let o = output.baseAddress
                        else { return }
                        Number.multiply(
                            rows: queries, columns: valueDim, inner: keys, alpha: 1, a: p, aStride: keys,
                            b: v + valueStart, bStride: valueStride, transposeB: false, beta: 0, c: o + outputStart,
                            cStride: outputStride)
                    }
                }
            }
            return
        }
        for row in 0..<queries {
            for column in 0..<keys where visible[row * keys + column] {
                for d in 0..<valueDim {
                    output[outputStart + row * outputStride + d] +=
                        probabilities[row * keys + column] * value[valueStart + column * valueStride + d]
                }
            }
        }
    }
}

extension Tensor {
    fileprivate func element(_ batch: Int, _ head: Int, _ row: Int, _ column: Int) -> Int {
        batch * strides[0] + head * strides[1] + row * strides[2] + column * strides[3]
    }

    fileprivate func isTrue(_ batch: Int, _ head: Int, _ row: Int, _ column: Int) -> Bool {
        baseAddress.load(fromByteOffset: element(batch, head, row, column), as: UInt8.self) != 0
    }

    fileprivate func number(_ batch: Int, _ head: Int, _ row: Int, _ column: Int) -> Double {
        let offset = element(batch, head, row, column) * dtype.byteWidth
        switch dtype {
        case .float64: return baseAddress.load(fromByteOffset: offset, as: Double.self)
        case .float32: return Double(baseAddress.load(fromByteOffset: offset, as: Float.self))
        case .float16: return Double(HalfPrecision.float(baseAddress.load(fromByteOffset: offset, as: UInt16.self)))
        default:
            let bits = UInt32(baseAddress.load(fromByteOffset: offset, as: UInt16.self)) << 16
            return Double(Float(bitPattern: bits))
        }
    }
}
