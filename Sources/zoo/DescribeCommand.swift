import ArgumentParser
import AttentionCore
import AttentionOperators
import BenchHarness

/// `zoo describe`: one operator.
struct DescribeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "describe", abstract: "Show what an operator does, its options and what it can run.",
        discussion: """
            EXAMPLES
              zoo describe flash
              zoo describe local --json
            """)

    @Argument(help: "An operator's name or alias; 'zoo list' shows them.")
    var name: String

    @OptionGroup var plugins: PluginOptions
    @OptionGroup var format: FormatOptions

    func run() throws {
        let registry = try plugins.makeRegistry()
        let facts = try reporting { try OperatorFacts(name, in: registry) }
        Terminal.out(format.json ? Output.json(facts) : Self.page(facts, width: Terminal.width))
    }

    private static func page(_ facts: OperatorFacts, width: Int?) -> String {
        let limit = min(width ?? 100, 100)
        var text = "\(facts.title)\n\(String(repeating: "=", count: facts.title.count))\n\n"
        text += TextWidth.wrap(facts.summary, to: limit).joined(separator: "\n") + "\n\n"
        let rows: [(String, String)] = [
            ("name", ([facts.id] + facts.aliases).joined(separator: ", ")), ("source", facts.paper),
            ("family", "\(facts.family), \(facts.status), priority \(facts.priority)"), ("exactness", facts.exactness),
            ("memory", "\(facts.workingMemory) beyond the output"), ("arithmetic", facts.arithmetic),
            ("types", facts.dtypes.joined(separator: ", ")),
            ("head dims", "\(facts.headDims[0]) to \(facts.headDims[1])"),
            ("gradients", facts.gradients ? "yes" : "no"), ("can run", facts.features.joined(separator: ", ")),
        ]
        for (name, value) in rows { text += field(name, value, limit: limit) }
        text +=
            "\nThe formula: S = scale · Q Kᵀ, softcapped, plus bias, minus slope · distance; hidden pairs -infinity;\n"
        text += "L = log(exp(sink) + Σ exp S); O = exp(S - L) V.\n"
        text += "\nOptions of \(facts.id)\n" + options(facts.options, limit: limit)
        text += "\nOptions of every operator\n" + options(OperatorDocument.commonOptions, limit: limit)
        return text
    }

    private static func field(_ name: String, _ value: String, limit: Int) -> String {
        let lines = TextWidth.wrap(value, to: max(24, limit - 13))
        return lines.enumerated().map { index, line in
            let head = index == 0 ? name : ""
            return "\(head)\(String(repeating: " ", count: 13 - head.count))\(line)\n"
        }.joined()
    }

    private static func options(_ options: [OptionDescription], limit: Int) -> String {
        if options.isEmpty { return "  none\n" }
        var table = TextTable([.init("  option"), .init("default"), .init("meaning")])
        for option in options {
            table.add(["  \(option.name)", option.defaultValue, option.summary.replacing("`", with: "")])
        }
        return table.render(width: limit)
    }
}
