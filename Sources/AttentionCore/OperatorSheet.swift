import TensorCore

/// Everything that can be said about an operator without data: its declarations, and its answers about usual problems.
///
/// Pages, the matrix and `zoo describe` print from it.
public struct OperatorSheet: Sendable {
    /// A feature, and why problems with it are refused; `nil` when they are not.
    public struct Support: Sendable, Hashable {
        /// The feature.
        public let feature: AttentionFeature
        /// The operator's words, which may be none.
        public let refusal: String?
    }

    /// The catalogue's facts.
    public let entry: CatalogueEntry
    /// What the operator can do.
    public let capabilities: AttentionCapabilities
    /// Mathematics, when to choose it, limits.
    public let guide: OperatorGuide
    /// Its own options.
    public let options: [OptionDescription]
    /// The plainest specification that the operator accepts for a usual problem.
    public let example: AttentionSpecification
    /// The tensors that it owns, for ``sample``.
    public let parameters: [OperatorParameter]
    /// The problem that the tensors are for, in words.
    public let sample: String
    /// Every feature of problems.
    public let features: [Support]
    /// Gradients in a sentence.
    public let gradients: String

    /// What a registry knows about an operator.
    /// - Throws: ``AttentionError/unknownOperator(name:suggestions:known:)``.
    public init(_ name: String, in registry: OperatorRegistry) throws(AttentionError) {
        entry = try registry.entry(named: name)
        capabilities = try registry.capabilities(of: name)
        options = try registry.options(of: name)
        let configured = try? registry[name]
        guide = configured?.guide ?? .none
        let plain = Self.accepted(configured)
        example = AttentionSpecification(name: entry.id, options: plain?.options ?? .init())
        let problem = plain ?? Self.usual(.full)
        sample = "\(problem.queryLength) queries and keys, \(problem.heads) heads of \(problem.headDim)"
        parameters = configured?.parameters(for: problem) ?? []
        let others: Set<AttentionFeature> = [.dtype, .headDim, .configuration, .gradients, .memory]
        features = AttentionFeature.allCases.filter { !others.contains($0) }.map { [capabilities] feature in
            Support(feature: feature, refusal: Self.refusal(feature, capabilities, configured, problem))
        }
        gradients = Self.gradients(capabilities, configured, problem, parameters)
    }

    private static func usual(_ mask: AttentionMask) -> AttentionProblem {
        AttentionProblem(queryLength: 1024, heads: 8, headDim: 64, options: AttentionOptions(mask: mask))
    }

    /// A usual problem that the operator takes.
    private static func accepted(_ configured: ConfiguredOperator?) -> AttentionProblem? {
        let masks: [AttentionMask] = [.causal, .full, .window(left: 255, right: 0), .window(left: 128, right: 128)]
        return masks.map(usual).first { configured?.unsupportedReasons(for: $0).isEmpty ?? false }
    }

    private static func refusal(
        _ feature: AttentionFeature, _ capabilities: AttentionCapabilities, _ configured: ConfiguredOperator?,
        _ problem: AttentionProblem
    ) -> String? {
        guard !capabilities.features.contains(feature) else { return nil }
        // The operator's own words say more than the record that the feature is missing from.
        let words = feature.sample(from: problem).flatMap { sample in
            configured?.unsupportedReasons(for: sample).first { $0.aspect == feature }
        }
        guard let words, words.explanation != AttentionCapabilities.plainRefusal else { return "" }
        return words.description.replacing("\(feature.rawValue): ", with: "", maxReplacements: 1)
    }

    private static func gradients(
        _ capabilities: AttentionCapabilities, _ configured: ConfiguredOperator?, _ problem: AttentionProblem,
        _ parameters: [OperatorParameter]
    ) -> String {
        guard capabilities.hasGradients else {
            let reasons = configured?.unsupportedGradientReasons(for: problem).filter { $0.aspect == .gradients } ?? []
            return reasons.first.map { "no: \($0.explanation)" } ?? "no"
        }
        var operands = ["query", "key", "value"]
        if capabilities.features.contains(.bias) { operands.append("bias") }
        if capabilities.features.contains(.sinks) { operands.append("sinks") }
        operands += parameters.map(\.name)
        let also = capabilities.features.contains(.logSumExp) ? ", through the log-sum-exp too" : ""
        return "by \(operands.joined(separator: ", "))\(also)"
    }
}
