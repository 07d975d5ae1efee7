import TensorCore

/// The page of an operator, in Markdown: everything the catalogue and the operator's own declarations say.
public enum OperatorDocument {
    /// The common options, for people.
    public static let commonOptions = [
        OptionDescription("scale", "the factor on query · key", default: "1 / sqrt(headDim)"),
        OptionDescription("causal", "`true` (or `\"bottom-right\"`), `\"top-left\"`, `false`", default: "false"),
        OptionDescription("window", "`[left, right]` keys around a query, -1 for unlimited", default: "[-1, -1]"),
        OptionDescription(
            "mask",
            "an expression such as `{\"or\": [{\"prefix\": 10}, \"causal\"]}`, of full, causal, causal-top-left, window, "
                + "prefix, documents, tree, shift, blocks, and, or, not",
            default: "\"full\""),
        OptionDescription("softcap", "scores become softcap · tanh(score / softcap)", default: "none"),
        OptionDescription("dropout", "probability of dropping a weight, from 0 to below 1", default: "0"),
        OptionDescription("seed", "seed of the dropout pattern", default: "0"),
    ]

    /// The page of a registered operator, with an example that it accepts.
    /// - Throws: ``AttentionError/unknownOperator(name:suggestions:known:)``.
    public static func render(_ name: String, in registry: OperatorRegistry) throws(AttentionError) -> String {
        let facts = try OperatorSheet(name, in: registry)
        let entry = facts.entry
        let capabilities = facts.capabilities
        let aliases = entry.aliases.map { "`\($0)`" }.joined(separator: ", ")
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
                ["gradients", facts.gradients],
            ])
        lines += guide(facts.guide)
        if !facts.parameters.isEmpty {
            lines += ["", "## Tensors of its own", ""]
            lines += ["For \(facts.sample). A model loads them or begins by the rule; see `zoo embed --help`.", ""]
            lines += table(
                ["tensor", "shape", "begins as", "meaning"],
                facts.parameters.map { ["`\($0.name)`", "\($0.shape)", $0.initial.description, $0.summary] })
        }
        lines += ["", "## Problems", ""]
        lines += table(
            ["feature", "meaning", "supported"],
            facts.features.map { support in
                let refusal = support.refusal.map { $0.isEmpty ? "no" : "no: \($0)" }
                return ["`\(support.feature.rawValue)`", support.feature.summary, refusal ?? "yes"]
            })
        lines += ["", "## Options", ""]
        lines += optionTable(facts.options, none: "The operator has no options of its own.")
        lines += ["", "Common to all operators:", ""]
        lines += optionTable(commonOptions, none: "")
        lines += ["", "## Example", "", "```json", facts.example.jsonText, "```", ""]
        return lines.joined(separator: "\n")
    }

    private static func guide(_ guide: OperatorGuide) -> [String] {
        var lines: [String] = []
        if !guide.maths.isEmpty { lines += ["", "## Mathematics", "", "```text", guide.maths, "```"] }
        if !guide.choose.isEmpty { lines += ["", "## When to choose it", "", guide.choose] }
        if !guide.limits.isEmpty { lines += ["", "## Limits", "", guide.limits] }
        return lines
    }

    private static func optionTable(_ options: [OptionDescription], none: String) -> [String] {
        if options.isEmpty { return [none] }
        return table(
            ["option", "meaning", "default"], options.map { ["`\($0.name)`", $0.summary, $0.defaultValue] })
    }

    static func table(_ head: [String], _ rows: [[String]]) -> [String] {
        ([head, head.map { _ in "---" }] + rows).map { cells in
            "| " + cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |"
        }
    }
}

extension Exactness: CustomStringConvertible {
    /// `exact`, `approximate; exact in the limit ...` or `quantised; off by up to ...`.
    public var description: String {
        switch self {
        case .exact: "exact"
        case .approximate(let limit): "approximate; exact in the limit \(limit)"
        case .quantised(let error): "quantised; off by up to \(error) of the result for each unit of score"
        }
    }
}

extension OperatorParameter.Initial: CustomStringConvertible {
    /// In a few words.
    public var description: String {
        switch self {
        case .zeros: "zeros"
        case .ones: "ones"
        case .uniform(let amplitude): "uniform from -\(amplitude) to \(amplitude)"
        case .segmentMeans: "averages of equal segments"
        case .identity: "the identity"
        }
    }
}
