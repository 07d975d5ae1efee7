public import AttentionCore
public import Kernels
import TensorCore

/// Laws of attention that hold for every exact operator, whatever its algorithm.
///
/// See `PropertyChecks+*.swift`.
public struct PropertyChecks: Sendable {
    let configured: ConfiguredOperator
    let context: ComputeContext
    /// Options that plain problems need: an operator that insists on a window gets one that hides nothing.
    let base: AttentionOptions

    /// A law and how to check it: failures, one line each.
    public struct Law: Sendable {
        /// What must hold.
        public let name: String
        /// The traits without which the law says nothing about an operator.
        public let needs: Set<AttentionTrait>
        /// The feature without which the law says nothing about an operator.
        public let feature: AttentionFeature?
        let check: @Sendable (PropertyChecks) throws -> [String]

        init(
            name: String, needs: Set<AttentionTrait> = [], feature: AttentionFeature? = nil,
            check: @escaping @Sendable (PropertyChecks) throws -> [String]
        ) {
            self.name = name
            self.needs = needs
            self.feature = feature
            self.check = check
        }
    }

    /// Checks of one operator on one context.
    public init(_ configured: ConfiguredOperator, context: ComputeContext) {
        self.configured = configured
        self.context = context
        let plain = AttentionProblem(queryLength: 8, heads: 1, headDim: 8)
        base =
            configured.unsupportedReasons(for: plain).isEmpty
            ? AttentionOptions() : AttentionOptions(mask: .window(left: 1 << 20, right: 1 << 20))
    }

    /// Every law.
    public static let laws: [Law] = masking + algebra + invariance + paging

    /// What the laws found.
    public struct Report: Sendable {
        /// What does not hold, one line each.
        public var failures: [String] = []
        /// Laws whose problems the operator refuses with reasons: they say nothing about it.
        public var inapplicable: [String] = []
        /// Laws of traits or features that the operator does not claim.
        public var unclaimed: [String] = []
    }

    /// Checks laws.
    public func run(_ laws: [Law] = Self.laws) -> Report {
        var report = Report()
        for law in laws {
            let capabilities = configured.capabilities
            guard law.needs.isSubset(of: capabilities.traits),
                law.feature.map(capabilities.features.contains) ?? true
            else {
                report.unclaimed.append(law.name)
                continue
            }
            do {
                report.failures += try law.check(self).map { "\(law.name): \($0)" }
            } catch AttentionError.unsupported {
                report.inapplicable.append(law.name)
            } catch {
                report.failures.append("\(law.name): threw \(error)")
            }
        }
        return report
    }

    // MARK: What the checks are made of

    func options(_ mask: AttentionMask = .full) -> AttentionOptions {
        var options = base
        if mask != .full { options.mask = base.mask == .full ? mask : .and([mask, base.mask]) }
        return options
    }

    func forward(
        _ inputs: AttentionInputs, _ mask: AttentionMask = .full, context other: ComputeContext? = nil
    ) throws -> AttentionOutput {
        try configured.forward(
            initialised(inputs, mask), options: options(mask), context: other ?? context)
    }

    /// The operands with the tensors that the operator owns; as they came where the operator refuses them.
    func initialised(_ inputs: AttentionInputs, _ mask: AttentionMask = .full) throws -> AttentionInputs {
        guard try takes(inputs, mask) else { return inputs }
        return try configured.initialising(inputs, options: options(mask), seed: 3).inputs
    }

    /// Whether the operator takes only as many queries as keys.
    var isSquare: Bool { !configured.capabilities.features.contains(.crossLength) }

    /// A sequence on its own with the tensors that it has in a batch: one that belongs to a length loses what belongs to
    /// the padding.
    func sharing(
        _ parameters: [String: Tensor], _ alone: AttentionInputs, _ mask: AttentionMask = .full
    ) throws -> AttentionInputs {
        guard try takes(alone, mask) else { return alone }
        var result = alone
        for declared in configured.parameters(for: try AttentionProblem(alone, options: options(mask))) {
            guard var tensor = parameters[declared.name] else { continue }
            for axis in 0..<tensor.shape.rank { tensor = try tensor.sliced(axis, 0..<declared.shape[axis]) }
            result.parameters[declared.name] = tensor.contiguous()
        }
        return result
    }

    /// The operator's reference in Double.
    func truth(_ inputs: AttentionInputs, _ mask: AttentionMask = .full) throws -> AttentionOutput {
        try configured.reference(initialised(inputs, mask), options: options(mask), precision: .double)
    }

    /// A mask, or the full one where the operator refuses that mask for these operands.
    func preferred(_ mask: AttentionMask, _ inputs: AttentionInputs) throws -> AttentionMask {
        try takes(inputs, mask) ? mask : .full
    }

    /// Operands.
    /// - Parameter adapts: whether an operator that takes as many queries as keys, or no groups, gets the larger number of
    ///   both instead of a problem that it refuses.
    func inputs(
        _ queryLength: Int, _ keyLength: Int? = nil, heads: Int = 2, kvHeads: Int = 2, dim: Int = 24, batch: Int = 1,
        dtype: DType = .float32, seed: UInt64 = 77, adapts: Bool = false
    ) -> AttentionInputs {
        var (queryLength, keys, kvHeads) = (queryLength, keyLength ?? queryLength, kvHeads)
        if adapts, isSquare {
            queryLength = max(queryLength, keys)
            keys = queryLength
        }
        if adapts, !configured.capabilities.features.contains(.groupedQuery) { kvHeads = heads }
        return AttentionInputs(
            query: .random(uniform: [batch, queryLength, heads, dim], seed: seed, amplitude: 2, dtype: dtype),
            key: .random(uniform: [batch, keys, kvHeads, dim], seed: seed + 1, amplitude: 2, dtype: dtype),
            value: .random(uniform: [batch, keys, kvHeads, dim], seed: seed + 2, amplitude: 2, dtype: dtype))
    }

    /// The same operands with every modifier: bias, mask, slopes and sinks, different for each sequence and head.
    func decorated(_ inputs: AttentionInputs) throws -> AttentionInputs {
        let query = inputs.query.shape
        let scores = Shape([query[0], query[2], query[1], inputs.key.shape[1]])
        var result = inputs
        result.bias = .random(uniform: scores, seed: 5, amplitude: 2)
        result.mask = try Tensor(
            Tensor.random(uniform: scores, seed: 6).floats().map { $0 > -0.6 }, shape: scores)
        result.alibiSlopes = (0..<query[2]).map { 0.5 / Float($0 + 1) }
        result.sinks = (0..<query[2]).map { Float($0) - 1 }
        return result
    }

    /// Whether the operator takes a problem: a law that looks at several passes over those that are refused.
    func takes(_ inputs: AttentionInputs, _ mask: AttentionMask = .full) throws -> Bool {
        configured.unsupportedReasons(for: try AttentionProblem(inputs, options: options(mask))).isEmpty
    }

    /// Whether two results agree to rounding.
    func near(_ left: Tensor, _ right: Tensor, _ what: String, limit: Double = 4e-6) throws -> [String] {
        let difference = try left.maxAbsoluteDifference(right)
        return difference <= limit ? [] : ["\(what) differs by \(difference), allowed \(limit)"]
    }

    /// Whether two results are the same bits.
    func same(_ left: AttentionOutput, _ right: AttentionOutput, _ what: String) -> [String] {
        var failures: [String] = []
        if !left.output.bitwiseEquals(right.output) { failures.append("\(what): output has other bits") }
        if let a = left.logSumExp, let b = right.logSumExp, !a.bitwiseEquals(b) {
            failures.append("\(what): logSumExp has other bits")
        }
        return failures
    }

    /// A copy with every number of some rows of the length dimension replaced.
    func replacing(_ tensor: Tensor, rows: Range<Int>, batch: Int? = nil, by number: Float) throws -> Tensor {
        var numbers = tensor.floats()
        let shape = tensor.shape
        let width = shape[2] * shape[3]
        for sequence in 0..<shape[0] where batch == nil || batch == sequence {
            for cell in rows.lowerBound * width..<rows.upperBound * width {
                numbers[sequence * shape[1] * width + cell] = number
            }
        }
        return try Tensor(numbers, shape: shape).converted(to: tensor.dtype)
    }

    /// Queries `rows` of a result.
    func rows(_ result: AttentionOutput, _ rows: Range<Int>) throws -> AttentionOutput {
        AttentionOutput(
            output: try result.output.sliced(1, rows).contiguous(),
            logSumExp: try result.logSumExp?.sliced(2, rows).contiguous())
    }

    /// One head of one query of a result.
    func cells(_ result: AttentionOutput, row: Int, head: Int) throws -> AttentionOutput {
        AttentionOutput(
            output: try result.output.sliced(1, row..<row + 1).sliced(2, head..<head + 1).contiguous(),
            logSumExp: try result.logSumExp?.sliced(2, row..<row + 1).sliced(1, head..<head + 1).contiguous())
    }
}
