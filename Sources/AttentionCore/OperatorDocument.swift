import TensorCore

/// The page of an operator, in Markdown: everything the catalogue and the operator's own declarations say.
public enum OperatorDocument {
    /// The common options, for people.
    public static let commonOptions = [
        OptionDescription("scale", "the factor on query · key", default: "1 / sqrt(headDim)"),
        OptionDescription("causal", "`true` (or `\"bottom-right\"`), `\"top-left\"`, `false`", default: "false"),
        OptionDescription("window", "`[left, right]` keys around a query, -1 for unlimited", default: "[-1, -1]"),
        OptionDescription(
            "mask", "an expression such as `{\"or\": [{\"prefix\": 10}, \"causal\"]}`", default: "\"full\""),
        OptionDescription("softcap", "scores become softcap · tanh(score / softcap)", default: "none"),
        OptionDescription("dropout", "probability of dropping a weight, from 0 to below 1", default: "0"),
        OptionDescription("seed", "seed of the dropout pattern", default: "0"),
    ]

    /// The page of a registered operator, with an example that it accepts.
    /// - Throws: ``AttentionError/unknownOperator(name:suggestions:known:)``.
    public static func render(_ name: String, in registry: OperatorRegistry) throws(AttentionError) -> String {
        let entry = try registry.entry(named: name)
        return render(
            entry, capabilities: try registry.capabilities(of: name), options: try registry.options(of: name),
            example: example(entry, registry))
    }

    /// The page of an operator.
    /// - Parameter example: a specification to show; by default the name alone.
    public static func render(
        _ entry: CatalogueEntry, capabilities: AttentionCapabilities, options: [OptionDescription],
        example: AttentionSpecification? = nil
    ) -> String {
        let aliases = entry.aliases.map { "`\($0)`" }.joined(separator: ", ")
        let example = example ?? AttentionSpecification(name: entry.id)
        var lines = ["# \(entry.title)", "", entry.summary, ""]
        lines += table(
            ["fact", ""],
            [
                ["name", "`\(entry.id)`"],
                ["aliases", aliases.isEmpty ? "none" : aliases],
                ["type", "`\(entry.type)`"],
                ["family", entry.family],
                ["source", entry.paper],
                ["status", entry.status],
                ["priority", "\(entry.priority)"],
                ["exactness", capabilities.exactness.description],
                ["working memory", "`\(capabilities.workingMemory)`"],
                ["arithmetic", "`\(capabilities.arithmetic)`"],
                ["element types", capabilities.dtypes.map(\.rawValue).joined(separator: ", ")],
                ["head dimension", "\(capabilities.headDims.lowerBound) to \(capabilities.headDims.upperBound)"],
                ["gradients", capabilities.hasGradients ? "yes" : "no"],
            ])
        lines += ["", "## Problems", ""]
        lines += table(["feature", "meaning", "supported"], features(capabilities))
        lines += ["", "## Options", ""]
        lines += optionTable(options, none: "The operator has no options of its own.")
        lines += ["", "Common to all operators:", ""]
        lines += optionTable(commonOptions, none: "")
        lines += ["", "## Example", "", "```json", example.jsonText, "```", ""]
        return lines.joined(separator: "\n")
    }

    private static func features(_ capabilities: AttentionCapabilities) -> [[String]] {
        let others: Set<AttentionFeature> = [.dtype, .headDim, .configuration]
        return AttentionFeature.allCases.filter { !others.contains($0) }
            .map { ["`\($0.rawValue)`", $0.summary, capabilities.features.contains($0) ? "yes" : "no"] }
    }

    private static func optionTable(_ options: [OptionDescription], none: String) -> [String] {
        if options.isEmpty { return [none] }
        return table(
            ["option", "meaning", "default"], options.map { ["`\($0.name)`", $0.summary, $0.defaultValue] })
    }

    private static func table(_ head: [String], _ rows: [[String]]) -> [String] {
        ([head, head.map { _ in "---" }] + rows).map { cells in
            "| " + cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |"
        }
    }

    /// The plainest specification that the operator accepts for a usual problem.
    private static func example(_ entry: CatalogueEntry, _ registry: OperatorRegistry) -> AttentionSpecification {
        let masks: [AttentionMask] = [
            .causal, .full, .window(left: 255, right: 0), .window(left: 128, right: 128),
        ]
        for mask in masks {
            let options = AttentionOptions(mask: mask)
            let problem = AttentionProblem(queryLength: 1024, heads: 8, headDim: 64, options: options)
            if let candidate = try? registry[entry.id], candidate.unsupportedReasons(for: problem).isEmpty {
                return AttentionSpecification(name: entry.id, options: options)
            }
        }
        return AttentionSpecification(name: entry.id)
    }
}

extension Exactness: CustomStringConvertible {
    /// `exact`, or `approximate; exact in the limit ...`.
    public var description: String {
        switch self {
        case .exact: "exact"
        case .approximate(let limit): "approximate; exact in the limit \(limit)"
        }
    }
}
