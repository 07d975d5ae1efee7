import Kernels
import TensorCore

/// Plain attention on OpenBLAS, materialised: the specification that every exact operator is compared with.
///
/// For one sequence and one head at a time, with `Q` [queries, headDim], `K` [keys, headDim] and `V` [keys, valueDim]:
///
///     S = scale · Q Kᵀ                        [queries, keys]
///     S = softcap · tanh(S / softcap)
///     S = S + bias - slope · |place - key|
///     S = scoreFunction(S)
///     S = -infinity where the mask hides
///     L = log(exp(sink) + Σ exp S)            [queries]
///     O = dropout(exp(S - L)) V               [queries, valueDim]
///
/// (Vaswani et al., 2017, equation 1, with the modifiers in the order of FlashAttention.)
/// A score of -infinity hides its cell, whether a mask or a bias made it: what is there never reaches a result.
/// Working memory: copies of query, key and value in the reference's arithmetic, the Bool mask of one sequence, and
/// scores of as many rows of one head as make 32 MiB.
public enum DenseReference {
    /// Computes attention from the definition.
    ///
    /// `output` and `logSumExp` come as F32 or F64 after the precision, whatever the operands' type, so that
    /// comparisons see the arithmetic and not the storage.
    /// - Throws: ``AttentionError`` when the operands do not fit each other.
    public static func forward(
        _ inputs: AttentionInputs, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionOutput {
        if let pages = inputs.pages {
            return try forward(inputs.gathered(), options: options, precision: precision).ungathered(for: pages)
        }
        let problem = try AttentionProblem(inputs, options: options)
        switch precision {
        case .float: return try DenseComputation<Float>(problem, inputs).run()
        case .double: return try DenseComputation<Double>(problem, inputs).run()
        }
    }
}

extension DenseReference {
    /// Scores held at a time: 32 MiB of Double, or one row where that is longer.
    private static let scoreCells = 1 << 22

    /// Rows of scores held at a time.
    static func blockRows(_ geometry: MaskGeometry) -> Int {
        max(1, scoreCells / max(1, geometry.keyLength))
    }

    /// Scores held at a time.
    private static func scores(_ problem: AttentionProblem) -> Int {
        let rows = blockRows(MaskGeometry(queryLength: problem.queryLength, keyLength: problem.keyLength))
        return min(rows, problem.queryLength) * problem.keyLength
    }

    /// Objects of a call beside its numbers.
    private static let objectBytes = 64 << 10

    /// Bytes of working memory that ``forward(_:options:precision:)`` takes beyond inputs and outputs.
    package static func workingBytes(_ problem: AttentionProblem, precision: ReferencePrecision) -> Int {
        let width = precision == .double ? 8 : 4
        let scores = scores(problem)
        let operands = problem.queryCount + problem.keyCount + problem.valueCount
        let rows = problem.batch * problem.heads * problem.queryLength
        // The mask of the sequence, and which scores of the block it leaves, are Bools.
        let during = scores * (width + 1) + problem.queryLength * problem.keyLength
        // Results are summed in arrays and then copied into tensors; while scores exist, the tensors do not.
        let tensors = problem.outputCount * width + 4 * rows
        return objectBytes + (operands + problem.outputCount + rows) * width + max(during - tensors, rows * width)
    }

    /// Bytes of working memory that ``backward(_:gradient:options:precision:)`` takes beyond operands and gradients.
    package static func workingBytesOfGradients(_ problem: AttentionProblem, precision: ReferencePrecision) -> Int {
        let width = precision == .double ? 8 : 4
        let scores = scores(problem)
        let rows = problem.batch * problem.heads * problem.queryLength
        let operands = problem.queryCount + problem.keyCount + problem.valueCount
        let gradients = operands + (problem.biasShape?.count ?? 0)
        // Scores before and after the softmax, dropped ones, their derivatives and one transposed matrix.
        let matrices = problem.options.dropout > 0 ? 5 : 4
        let during = scores * (matrices * width + 2) + problem.queryLength * problem.keyLength
        return objectBytes + (operands + problem.outputCount + rows + gradients) * width
            + max(0, during - gradients * width)
    }
}

/// One reference computation in one arithmetic.
struct DenseComputation<Number: BLAS.Scalar & TensorElement & DenseNumber> {
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
        let wide = inputs.dequantized
        query = Number.elements(of: inputs.query)
        key = Number.elements(of: wide.key)
        value = Number.elements(of: wide.value)
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
            let geometry = problem.geometry(batch)
            var allowed = problem.options.mask.materialize(geometry)
            // Rows do not depend on each other: a block of them keeps long sequences within memory.
            let blockRows = DenseReference.blockRows(geometry)
            for head in 0..<problem.heads {
                if head > 0, problem.options.mask.dependsOnHead {
                    allowed = problem.options.mask.materialize(geometry.seen(by: head))
                }
                for start in stride(from: 0, to: geometry.queryLength, by: blockRows) {
                    let block = DenseRows(
                        batch: batch, head: head, queries: start..<min(start + blockRows, geometry.queryLength),
                        geometry: geometry)
                    attend(block, allowed, &output, &logSumExp)
                }
            }
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

    private func attend(
        _ block: DenseRows, _ allowed: [Bool], _ output: inout [Number], _ logSumExp: inout [Number]
    ) {
        let keys = block.keys
        var scores = products(block)
        modify(&scores, block, allowed)
        let visible = scores.map { $0 != -.infinity }
        let sink = inputs.sinks.map { Number($0[block.head]) }
        for row in 0..<block.rows {
            let logarithm = normalise(&scores, row * keys..<(row + 1) * keys, sink: sink)
            let first = (block.batch * problem.heads + block.head) * problem.queryLength
            logSumExp[first + block.queries.lowerBound + row] = logarithm
        }
        if let dropout = DropoutPattern(problem.options) { drop(&scores, block, dropout) }
        weigh(scores, visible, block, &output)
    }

    /// scale · Q Kᵀ, [rows, keys].
    func products(_ block: DenseRows) -> [Number] {
        var scores = [Number](repeating: 0, count: block.rows * block.keys)
        let queryStart = problem.queryElement(block) * problem.headDim
        let keyStart = problem.keyElement(block) * problem.headDim
        query.withUnsafeBufferPointer { query in
            key.withUnsafeBufferPointer { key in
                scores.withUnsafeMutableBufferPointer { scores in
                    guard let q = query.baseAddress, let k = key.baseAddress, let s = scores.baseAddress else { return }
                    Number.multiply(
                        rows: block.rows, columns: block.keys, inner: problem.headDim, alpha: Number(problem.scale),
                        a: q + queryStart, aStride: problem.heads * problem.headDim, b: k + keyStart,
                        bStride: problem.kvHeads * problem.headDim, transposeB: true, beta: 0, c: s,
                        cStride: block.keys)
                }
            }
        }
        return scores
    }

    /// Applies softcap, bias, ALiBi and the score function where every mask allows, and -infinity elsewhere.
    func modify(_ scores: inout [Number], _ block: DenseRows, _ allowed: [Bool]) {
        let (batch, head, keys) = (block.batch, block.head, block.keys)
        for (row, query) in block.queries.enumerated() {
            for column in 0..<keys {
                let cell = row * keys + column
                guard allowed[query * keys + column], mask?.isTrue(batch, head, query, column) ?? true else {
                    // Selected, not added: a hidden score may be NaN.
                    scores[cell] = -.infinity
                    continue
                }
                scores[cell] = changed(scores[cell], block, query: query, key: column)
                if let function = problem.options.scoreFunction {
                    let place = ScorePlace(batch: batch, head: head, query: query, key: column)
                    scores[cell] = Number(function.value(Double(scores[cell]), place))
                }
            }
        }
    }

    /// A score after softcap, bias and ALiBi.
    func changed(_ score: Number, _ block: DenseRows, query: Int, key: Int) -> Number {
        var score = score
        if let softcap = problem.options.softcap.map({ Number($0) }) {
            score = softcap * Number.hyperbolicTangent(score / softcap)
        }
        if let bias { score += Number(bias.number(block.batch, block.head, query, key)) }
        if let slopes = inputs.alibiSlopes {
            let place = query + block.geometry.diagonal(.bottomRight)
            score -= Number(slopes[block.head]) * Number(abs(place - key))
        }
        return score
    }

    /// Turns a row of scores into probabilities; returns the logarithm of its denominator.
    func normalise(_ scores: inout [Number], _ row: Range<Int>, sink: Number?) -> Number {
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

    /// Drops probabilities and scales up the others.
    func drop(_ probabilities: inout [Number], _ block: DenseRows, _ dropout: DropoutPattern) {
        for (row, query) in block.queries.enumerated() {
            let rowKey = dropout.rowKey(batch: block.batch, head: block.head, query: query)
            for column in 0..<block.keys {
                probabilities[row * block.keys + column] *=
                    dropout.keeps(rowKey, key: column) ? Number(dropout.keepScale) : 0
            }
        }
    }

    /// P V, [rows, valueDim].
    private func weigh(
        _ probabilities: [Number], _ visible: [Bool], _ block: DenseRows, _ output: inout [Number]
    ) {
        let valueDim = problem.valueDim
        let valueStart = problem.keyElement(block) * valueDim
        let valueStride = problem.kvHeads * valueDim
        let outputStart = problem.queryElement(block) * valueDim
        let outputStride = problem.heads * valueDim
        let isFinite = (0..<block.keys).allSatisfy { row in
            (0..<valueDim).allSatisfy { value[valueStart + row * valueStride + $0].isFinite }
        }
        guard isFinite else {
            // The probability of a hidden cell is 0, and 0 · NaN is NaN: hidden cells are passed over one by one.
            for row in 0..<block.rows {
                for column in 0..<block.keys where visible[row * block.keys + column] {
                    for d in 0..<valueDim {
                        output[outputStart + row * outputStride + d] +=
                            probabilities[row * block.keys + column] * value[valueStart + column * valueStride + d]
                    }
                }
            }
            return
        }
        probabilities.withUnsafeBufferPointer { probabilities in
            value.withUnsafeBufferPointer { value in
                output.withUnsafeMutableBufferPointer { output in
                    guard let p = probabilities.baseAddress, let v = value.baseAddress, let o = output.baseAddress
                    else { return }
                    Number.multiply(
                        rows: block.rows, columns: valueDim, inner: block.keys, alpha: 1, a: p, aStride: block.keys,
                        b: v + valueStart, bStride: valueStride, transposeB: false, beta: 0, c: o + outputStart,
                        cStride: outputStride)
                }
            }
        }
    }
}

/// Some queries of one head of one sequence, and all of its keys.
struct DenseRows {
    let batch: Int
    let head: Int
    let queries: Range<Int>
    let geometry: MaskGeometry

    var rows: Int { queries.count }
    var keys: Int { geometry.keyLength }
}

extension AttentionProblem {
    /// The block's first query row in a dense [batch, queryLength, heads, ...].
    func queryElement(_ block: DenseRows) -> Int {
        (block.batch * queryLength + block.queries.lowerBound) * heads + block.head
    }

    /// The first key row of the block's key head in a dense [batch, keyLength, kvHeads, ...].
    func keyElement(_ block: DenseRows) -> Int {
        block.batch * keyLength * kvHeads + block.head / group
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
