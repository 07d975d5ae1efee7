public import AttentionCore
public import Kernels
import TensorCore

/// Laws of gradients that hold for every operator, whatever its algorithm.
public struct GradientLaws: Sendable {
    let configured: ConfiguredOperator
    let context: ComputeContext

    /// A law and how to check it: failures, one line each.
    public struct Law: Sendable {
        /// What must hold.
        public let name: String
        /// The traits without which the law says nothing about an operator.
        public let needs: Set<AttentionTrait>
        let check: @Sendable (GradientLaws) throws -> [String]

        init(
            name: String, needs: Set<AttentionTrait> = [], check: @escaping @Sendable (GradientLaws) throws -> [String]
        ) {
            self.name = name
            self.needs = needs
            self.check = check
        }
    }

    /// Laws of one operator on one context.
    public init(_ configured: ConfiguredOperator, context: ComputeContext) {
        self.configured = configured
        self.context = context
    }

    /// Every law.
    public static let laws: [Law] = invariance + masking + algebra

    /// Checks laws whose traits the operator claims; those whose problems it refuses count as refused.
    public func run(_ laws: [Law] = Self.laws) -> ConformanceReport {
        var report = ConformanceReport()
        for law in laws where law.needs.isSubset(of: configured.capabilities.traits) {
            do {
                report.failures += try law.check(self).map { "\(law.name) [\(context.isa)]: \($0)" }
                report.accepted += 1
            } catch AttentionError.unsupported {
                report.refused += 1
            } catch {
                report.failures.append("\(law.name) [\(context.isa)]: threw \(error)")
            }
        }
        return report
    }

    /// Gradients that no law can look at.
    private struct WrongForm: Error, CustomStringConvertible { let description: String }

    // MARK: What the laws are made of

    /// A problem with its loss.
    /// - Parameter adapts: whether an operator that takes as many queries as keys, or no groups, gets the larger number of
    ///   both instead of a problem that it refuses.
    func prepared(
        _ name: String, _ queryLength: Int, _ keyLength: Int? = nil, heads: Int = 2, kvHeads: Int = 2, batch: Int = 1,
        config: [String: ConfigurationValue] = [:], usesLogSumExp: Bool = false, adapts: Bool = false,
        _ edit: (inout AttentionCase) -> Void = { _ in }
    ) throws -> PreparedGradient {
        let features = configured.capabilities.features
        let isSquare = adapts && !features.contains(.crossLength)
        var attention = AttentionCase(
            name, queryLength: isSquare ? max(queryLength, keyLength ?? 0) : queryLength,
            keyLength: isSquare ? nil : keyLength, headDim: 24)
        attention.heads = heads
        attention.kvHeads = adapts && !features.contains(.groupedQuery) ? heads : kvHeads
        attention.batch = batch
        attention.config = config
        edit(&attention)
        return try GradientCase(attention, usesLogSumExp: usesLogSumExp).prepared(for: configured)
    }

    func backward(_ problem: PreparedGradient, context other: ComputeContext? = nil) throws -> AttentionGradients {
        let result = try configured.backward(
            problem.inputs, gradient: problem.gradient, options: problem.options, context: other ?? context)
        let wrong = result.wrongForms(for: problem.inputs)
        if !wrong.isEmpty { throw WrongForm(description: wrong.joined(separator: "; ")) }
        return result
    }

    /// Whether the operator derives a problem: a law that looks at several passes over those that are refused.
    func takes(_ problem: PreparedGradient) -> Bool {
        configured.unsupportedReasons(for: problem.problem).isEmpty
            && configured.unsupportedGradientReasons(for: problem.problem).isEmpty
    }

    /// Whether two results are the same bits.
    func same(_ left: AttentionGradients, _ right: AttentionGradients, _ what: String) -> [String] {
        zip(left.named, right.named).compactMap { ours, theirs in
            ours.tensor.bitwiseEquals(theirs.tensor) ? nil : "\(what): the gradient of \(ours.name) has other bits"
        }
    }

    /// Whether two tensors agree to rounding, as a part of the larger of 1 and their largest magnitude.
    func near(_ left: Tensor, _ right: Tensor, _ what: String, limit: Double = 1e-5) throws -> [String] {
        let size = right.doubles().reduce(1) { $1.isFinite ? max($0, abs($1)) : $0 }
        let difference = try left.maxAbsoluteDifference(right)
        return difference <= limit * size ? [] : ["\(what) differs by \(difference), allowed \(limit * size)"]
    }

    /// Whether two results agree to rounding.
    func near(_ left: AttentionGradients, _ right: AttentionGradients, _ what: String) throws -> [String] {
        try zip(left.named, right.named).flatMap { ours, theirs in
            try near(ours.tensor, theirs.tensor, "\(what): the gradient of \(ours.name)")
        }
    }

    /// A copy with every number of some positions along one axis replaced.
    func replacing(_ tensor: Tensor, axis: Int = 1, _ places: Range<Int>, by number: Double) throws -> Tensor {
        var numbers = tensor.doubles()
        let inner = tensor.shape.dimensions[(axis + 1)...].reduce(1, *)
        let extent = tensor.shape[axis]
        for index in numbers.indices where places.contains(index / inner % extent) { numbers[index] = number }
        return try Tensor(numbers, shape: tensor.shape).converted(to: tensor.dtype)
    }
}
