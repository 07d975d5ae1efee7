public import Kernels
import TensorCore

/// Attention over some of the keys, and the exact merge of such parts.
///
/// Softmax attention over the whole of the keys is a mean of softmax attentions over parts of them, weighted by
/// `exp(logSumExp of the part - logSumExp of the whole)`. So keys may lie on other threads, pages or machines, or be shared
/// by many sequences (a common prompt), and nothing but outputs and log-sum-exps moves between them:
///
///     let parts = try [0..<4096, 4096..<6000].map { try flash.partial(inputs, keys: $0, options: options) }
///     let whole = try AttentionOutput.merging(parts)
///
/// Flash-Decoding (Dao et al., 2023), Ring Attention (Liu et al., 2023) and Hydragen (Juravsky et al., 2024) are such merges.
/// Outputs are rounded to the operands' element type before they are merged: convert to F32 first where that matters.
extension AttentionOutput {
    /// Merges attention over parts of the keys that do not overlap into attention over all of them.
    ///
    /// With L = log(Σ exp(Lᵢ) + exp(sink)) the output is Σ exp(Lᵢ - L) Oᵢ, computed in Double in the order given. A part
    /// in which a row sees no key (log-sum-exp -infinity) does not count for that row.
    ///
    /// Cost: O(parts · size of the output).
    /// - Parameters:
    ///   - parts: at least one; outputs [batch, queryLength, heads, valueDim] of one element type, log-sum-exps
    ///     [batch, heads, queryLength].
    ///   - sinks: one score per head that only enters the denominator; parts must have been computed without.
    ///   - queryLengths: true numbers of queries; rows beyond stay empty, without a sink.
    /// - Throws: ``AttentionError`` when a part lacks its log-sum-exp, or shapes or element types differ.
    public static func merging(
        _ parts: [AttentionOutput], sinks: [Float]? = nil, queryLengths: [Int]? = nil
    ) throws(AttentionError) -> AttentionOutput {
        guard let first = parts.first else {
            throw .missingOperand(operand: "parts", expected: "at least one partial result")
        }
        let shape = first.output.shape
        guard shape.rank == 4 else {
            throw .invalidShape(
                operand: "output", expected: "[batch, queryLength, heads, valueDim]", actual: shape)
        }
        let rowShape = Shape([shape[0], shape[2], shape[1]])
        var logarithms: [[Double]] = []
        for part in parts {
            guard let logSumExp = part.logSumExp else {
                throw .missingOperand(operand: "log_sum_exp", expected: "\(rowShape) in every partial result")
            }
            guard part.output.shape == shape else {
                throw .invalidShape(operand: "output", expected: "\(shape)", actual: part.output.shape)
            }
            guard part.output.dtype == first.output.dtype else {
                throw .invalidDType(operand: "output", expected: [first.output.dtype], actual: part.output.dtype)
            }
            guard logSumExp.shape == rowShape else {
                throw .invalidShape(operand: "log_sum_exp", expected: "\(rowShape)", actual: logSumExp.shape)
            }
            logarithms.append(logSumExp.doubles())
        }
        if let sinks, sinks.count != shape[2] {
            throw .invalidShape(operand: "sinks", expected: "[\(shape[2])], one for each head", actual: [sinks.count])
        }
        if let queryLengths, queryLengths.count != shape[0] {
            throw .invalidShape(
                operand: "query_lengths", expected: "[\(shape[0])], one for each sequence",
                actual: [queryLengths.count])
        }
        return try merge(parts.map(\.output), logarithms, sinks: sinks, queryLengths: queryLengths)
    }

    private static func merge(
        _ outputs: [Tensor], _ logarithms: [[Double]], sinks: [Float]?, queryLengths: [Int]?
    ) throws(AttentionError) -> AttentionOutput {
        let shape = outputs[0].shape
        let (queries, heads, width) = (shape[1], shape[2], shape[3])
        let numbers = outputs.map { $0.doubles() }
        var merged = [Double](repeating: 0, count: shape.count)
        var totals = [Double](repeating: -.infinity, count: shape[0] * heads * queries)
        for row in totals.indices {
            let (batch, head, query) = (row / heads / queries, row / queries % heads, row % queries)
            if let queryLengths, query >= queryLengths[batch] { continue }
            let own = logarithms.map { $0[row] } + (sinks.map { [Double($0[head])] } ?? [])
            let total = own.logSumExp
            totals[row] = total
            let start = ((batch * queries + query) * heads + head) * width
            for (part, cells) in numbers.enumerated() where own[part] > -.infinity {
                let weight = Double.exponential(own[part] - total)
                for cell in start..<start + width { merged[cell] += weight * cells[cell] }
            }
        }
        do throws(TensorError) {
            return AttentionOutput(
                output: try Tensor(merged, shape: shape).converted(to: outputs[0].dtype),
                logSumExp: try Tensor(totals, shape: [shape[0], heads, queries]).converted(to: .float32))
        } catch {
            throw .tensor(operand: "output", reason: error.description)
        }
    }
}

extension [Double] {
    /// log Σ exp, without overflow; -infinity when there is nothing to add.
    fileprivate var logSumExp: Double {
        guard let highest = self.max(), highest > -.infinity else { return -.infinity }
        return highest + Double.logarithm(reduce(0) { $0 + Double.exponential($1 - highest) })
    }
}

extension ConfiguredOperator {
    /// Attention over the keys of a range, as a part of attention over all of them.
    ///
    /// Masks, biases, slopes and score functions keep the places that keys have in the whole. Sinks are left out: give
    /// them to ``AttentionOutput/merging(_:sinks:queryLengths:)``, once.
    ///
    /// Cost: that of the operator on the range; sequences with lengths of their own run one by one, and slopes become a
    /// bias of [heads, queryLength, keys of the range].
    /// - Throws: ``AttentionError``: bad operands, a range outside of the keys, or the reasons why the operator cannot: it
    ///   must be softmax attention over the problem's mask, with a log-sum-exp, and without dropout.
    public func partial(
        _ inputs: AttentionInputs, keys: Range<Int>, options: AttentionOptions = .init(),
        context: ComputeContext? = nil
    ) throws(AttentionError) -> AttentionOutput {
        let problem = try AttentionProblem(inputs, options: options)
        guard keys.lowerBound >= 0, keys.upperBound <= problem.keyLength else {
            throw .invalidValue(
                operand: "keys", expected: "a range within 0..<\(problem.keyLength)", actual: "\(keys)")
        }
        let reasons = unsupportedPartialReasons(for: problem)
        guard reasons.isEmpty else { throw .unsupported(name: id, problem: problem.description, reasons: reasons) }
        let slice = KeySlice(inputs, problem: problem, keys: keys)
        if inputs.queryLengths == nil, inputs.keyLengths == nil {
            let (part, partOptions) = try slice.part()
            return try forward(part, options: partOptions, context: context)
        }
        var results: [AttentionOutput] = []
        for sequence in 0..<problem.batch {
            let (part, partOptions) = try slice.part(of: sequence)
            results.append(try forward(part, options: partOptions, context: context))
        }
        return try slice.join(results)
    }

    /// Why the operator cannot compute a part of a problem; empty when it can compute every part of it.
    public func unsupportedPartialReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        var reasons: [UnsupportedReason] = []
        if !capabilities.traits.contains(.softmax) || pattern(for: problem) != .full {
            reasons.append(
                .init(
                    .configuration, "is not softmax attention over the problem's mask alone",
                    remedy: "use an exact operator such as flash"))
        }
        if !capabilities.features.contains(.logSumExp) {
            reasons.append(.init(.logSumExp, "is not computed", remedy: "use an operator that has it"))
        }
        if problem.pages != nil {
            reasons.append(
                .init(.pages, "are not cut", remedy: "gather the keys and values of each sequence"))
        }
        if problem.options.dropout > 0 {
            reasons.append(.init(.dropout, "counts the places of the whole", remedy: "set dropout to 0"))
        }
        return reasons
    }
}
