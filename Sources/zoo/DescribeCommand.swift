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
            ("gradients", facts.gradientsOf), ("can run", facts.features.joined(separator: ", ")),
        ]
        for (name, value) in rows { text += field(name, value, limit: limit) }
        text += guide(facts.guide, limit: limit)
        if !facts.parameters.isEmpty {
            text += "\nTensors of its own (\(facts.parametersFor))\n" + parameters(facts.parameters, limit: limit)
        }
        if !facts.refusals.isEmpty {
            text += "\nRefused\n"
            let plain = facts.refusals.filter(\.value.isEmpty).keys.sorted().joined(separator: ", ")
            if !plain.isEmpty { text += TextWidth.wrap(plain, to: limit - 2).map { "  \($0)\n" }.joined() }
            for (feature, why) in facts.refusals.sorted(by: { $0.key < $1.key }) where !why.isEmpty {
                text += TextWidth.wrap("\(feature): \(why)", to: limit - 4).enumerated()
                    .map { ($0 == 0 ? "  " : "    ") + $1 + "\n" }.joined()
            }
        }
        text += "\nOptions of \(facts.id)\n" + options(facts.options, limit: limit)
        text += "\nOptions of every operator\n" + options(OperatorDocument.commonOptions, limit: limit)
        return text
    }

    private static func guide(_ guide: OperatorGuide, limit: Int) -> String {
        var text = ""
        if !guide.maths.isEmpty {
            text +=
                "\nMathematics\n"
                + guide.maths.split(separator: "\n", omittingEmptySubsequences: false)
                .map { "  \($0)\n" }.joined()
        }
        for (title, content) in [("When to choose it", guide.choose), ("Limits", guide.limits)] where !content.isEmpty {
            text += "\n\(title)\n" + TextWidth.wrap(content, to: limit - 2).map { "  \($0)\n" }.joined()
        }
        return text
    }

    private static func parameters(_ parameters: [OperatorFacts.Parameter], limit: Int) -> String {
        var table = TextTable([.init("  tensor"), .init("shape"), .init("begins as"), .init("meaning")])
        for parameter in parameters {
            table.add(["  \(parameter.name)", "\(parameter.shape)", parameter.initial, parameter.summary])
        }
        return table.render(width: limit)
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
