import TensorCore

/// All operators of a registry side by side, in Markdown.
public enum OperatorMatrix {
    /// Short headings of features, in the order of the table.
    private static let columns: [(feature: AttentionFeature, title: String)] = [
        (.causal, "causal"), (.window, "window"), (.maskAlgebra, "algebra"), (.denseMask, "mask"),
        (.documents, "documents"), (.treeMask, "tree"), (.blockLayout, "blocks"), (.maskFunction, "mask fn"),
        (.scoreFunction, "score fn"), (.bias, "bias"), (.softcap, "softcap"), (.alibi, "ALiBi"), (.sinks, "sinks"),
        (.dropout, "dropout"), (.groupedQuery, "GQA"), (.valueDim, "value dim"), (.crossLength, "Lq ≠ Lk"),
        (.keyLengths, "padded keys"), (.queryLengths, "padded queries"), (.int8Keys, "INT8 keys"),
        (.logSumExp, "lse"),
    ]

    /// The page.
    /// - Throws: ``AttentionError`` when an operator of the registry cannot be made.
    public static func render(_ registry: OperatorRegistry) throws(AttentionError) -> String {
        var sheets: [OperatorSheet] = []
        for entry in registry.entries { sheets.append(try OperatorSheet(entry.id, in: registry)) }
        var lines = [
            "# Operators", "",
            "Written by `zoo docs` from what every operator declares about itself. L is the length.", "",
            "## Cost and exactness", "",
        ]
        lines += OperatorDocument.table(
            [
                "operator", "family", "exactness", "arithmetic", "working memory", "gradients", "tensors of its own",
                "types",
            ],
            sheets.map(cost))
        lines += ["", "## What they honour", ""]
        lines += OperatorDocument.table(["operator"] + columns.map(\.title), sheets.map(features))
        lines += [
            "",
            "Whatever is not marked is refused with a reason and a remedy; no option is ever ignored. Each operator's page",
            "has the reasons.", "",
        ]
        return lines.joined(separator: "\n")
    }

    private static func link(_ sheet: OperatorSheet) -> String { "[`\(sheet.entry.id)`](\(sheet.entry.id).md)" }

    private static func cost(_ sheet: OperatorSheet) -> [String] {
        let exactness: String
        switch sheet.capabilities.exactness {
        case .exact: exactness = "exact"
        case .approximate(let limit): exactness = "exact when \(limit)"
        case .quantised(let error): exactness = "within \(error) for each unit of score"
        }
        return [
            link(sheet), sheet.entry.family, exactness, "`\(sheet.capabilities.arithmetic)`",
            "`\(sheet.capabilities.workingMemory)`", sheet.capabilities.hasGradients ? "yes" : "no",
            sheet.parameters.map { "`\($0.name)`" }.joined(separator: ", "),
            sheet.capabilities.dtypes.map(\.rawValue).joined(separator: ", "),
        ]
    }

    private static func features(_ sheet: OperatorSheet) -> [String] {
        [link(sheet)] + columns.map { sheet.capabilities.features.contains($0.feature) ? "●" : "" }
    }
}
