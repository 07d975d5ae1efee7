public import AttentionCore
import TensorCore

/// Compares results with the Double and the Float reference of a problem.
///
/// What is allowed is ``AttentionCore/ErrorLimit``: twice the error of a plain Float implementation, and a floor.
public struct ReferenceCheck: Sendable {
    /// How much of a problem is compared.
    public enum Effort: Sendable, Hashable {
        /// Every head and every row.
        case everything
        /// Some heads, and of very long sequences some rows, so that a check costs about a second.
        case sampled
    }

    /// The result of a comparison.
    public struct Verdict: Sendable, Hashable, Codable {
        /// The largest absolute difference of the output from the Double reference.
        public var maxError: Double
        /// The same of the Float reference.
        public var floatError: Double
        /// What is allowed.
        public var tolerance: Double
        /// The largest absolute difference of the log-sum-exp, where the operator has one.
        public var logSumExpError: Double?
        /// What is allowed for it.
        public var logSumExpTolerance: Double?
        /// What was compared, for example `2 of 8 heads, all rows`.
        public var coverage: String

        /// Whether every error is within its tolerance; a NaN is not.
        public var passed: Bool {
            let second = logSumExpError.map { $0 <= logSumExpTolerance ?? 0 } ?? true
            return maxError <= tolerance && second
        }

        /// The error as a part of the Float reference's; `nil` when that is zero.
        public var errorRatio: Double? { floatError > 0 ? maxError / floatError : nil }
    }

    /// What is compared.
    public let coverage: CheckCoverage
    private let parts: [Part]
    private let exactness: Exactness

    fileprivate struct Part: Sendable {
        let head: Int?
        let rows: Range<Int>
        let truth: AttentionOutput
        let plain: AttentionOutput
    }

    /// Computes both references.
    ///
    /// Cost: two materialised attentions of what is compared.
    /// - Parameter reference: the computation to compare with; the definition of exact attention by default.
    /// - Throws: ``AttentionCore/AttentionError`` when operands do not fit each other, or the reference lacks an option.
    public init(
        _ inputs: AttentionInputs, problem: AttentionProblem, effort: Effort, reference: ConfiguredOperator? = nil
    ) throws(AttentionError) {
        exactness = reference?.capabilities.exactness ?? .exact
        coverage = effort == .everything ? CheckCoverage(all: problem) : CheckCoverage(sampling: problem)
        var parts: [Part] = []
        func add(_ head: Int?, _ rows: Range<Int>, _ inputs: AttentionInputs) throws(AttentionError) {
            var options = problem.options
            if let head, options.mask.dependsOnHead { options.mask = options.mask.seen(byAll: head) }
            func run(_ precision: ReferencePrecision) throws(AttentionError) -> AttentionOutput {
                guard let reference else {
                    return try DenseReference.forward(inputs, options: options, precision: precision)
                }
                return try reference.reference(inputs, options: options, precision: precision)
            }
            parts.append(Part(head: head, rows: rows, truth: try run(.double), plain: try run(.float)))
        }
        if coverage.isComplete {
            try add(nil, 0..<problem.queryLength, inputs)
        } else {
            for head in coverage.heads {
                for rows in coverage.rows { try add(head, rows, coverage.slice(inputs, head: head, rows: rows)) }
            }
        }
        self.parts = parts
    }

    /// Compares a result of the whole problem.
    /// - Throws: ``AttentionCore/AttentionError`` when its shape is not the problem's.
    public func verdict(on result: AttentionOutput) throws(AttentionError) -> Verdict {
        var output = Extremes()
        var logSumExp = Extremes()
        for part in parts {
            do throws(TensorError) {
                try output.include(
                    part.cut(result.output, rowAxis: 1, headAxis: 2), part.truth.output, part.plain.output)
                if let ours = result.logSumExp, let truth = part.truth.logSumExp, let plain = part.plain.logSumExp {
                    try logSumExp.include(part.cut(ours, rowAxis: 2, headAxis: 1), truth, plain)
                }
            } catch {
                throw .tensor(operand: "output", reason: error.description)
            }
        }
        let hasLogSumExp = result.logSumExp != nil && parts.contains { $0.truth.logSumExp != nil }
        return Verdict(
            maxError: output.error, floatError: output.floatError,
            tolerance: output.tolerance(result.output.dtype, scores: logSumExp.magnitude, exactness: exactness),
            logSumExpError: hasLogSumExp ? logSumExp.error : nil,
            logSumExpTolerance: hasLogSumExp ? logSumExp.tolerance(.float32, exactness: exactness) : nil,
            coverage: coverage.description)
    }
}

extension ReferenceCheck.Part {
    /// The part of a whole result that this part's references speak about.
    func cut(_ tensor: Tensor, rowAxis: Int, headAxis: Int) throws(TensorError) -> Tensor {
        guard let head else { return tensor }
        return try tensor.sliced(headAxis, head..<head + 1).sliced(rowAxis, rows)
    }
}

/// The largest errors and magnitudes seen so far.
private struct Extremes {
    var error = 0.0
    var floatError = 0.0
    var magnitude = 0.0

    mutating func include(_ ours: Tensor, _ truth: Tensor, _ plain: Tensor) throws(TensorError) {
        error = max(error, try ours.maxAbsoluteDifference(truth))
        floatError = max(floatError, try plain.maxAbsoluteDifference(truth))
        magnitude = truth.doubles().reduce(magnitude) { $1.isFinite ? max($0, abs($1)) : $0 }
    }

    func tolerance(_ stored: DType, scores: Double = 0, exactness: Exactness) -> Double {
        ErrorLimit.allowed(
            floatError: floatError, magnitude: magnitude, scores: scores, stored: stored, exactness: exactness)
    }
}

extension AttentionMask {
    /// What one head sees, for every head: the mask of operands that were cut out of that head.
    fileprivate func seen(byAll head: Int) -> AttentionMask {
        .function(
            MaskFunction("head \(head) alone", dependsOnHead: false) { query, key, geometry in
                allows(query: query, key: key, geometry.seen(by: head))
            })
    }
}
