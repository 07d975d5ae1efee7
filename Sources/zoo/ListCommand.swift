import ArgumentParser
import AttentionCore
import AttentionOperators
import BenchHarness

/// `zoo list`: the catalogue.
struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Show every operator.",
        discussion: """
            EXAMPLES
              zoo list
              zoo list --json
            """)

    @OptionGroup var plugins: PluginOptions
    @OptionGroup var format: FormatOptions

    func run() throws {
        let registry = try plugins.makeRegistry()
        let facts = try reporting { try registry.entries.map { try OperatorFacts($0.id, in: registry) } }
        if format.json {
            Terminal.out(Output.json(facts))
            return
        }
        var table = TextTable([
            .init("operator"), .init("family", dropOrder: 3), .init("title", dropOrder: 1), .init("exactness"),
            .init("gradients", dropOrder: 4), .init("memory", dropOrder: 2), .init("aliases", dropOrder: 5),
        ])
        for fact in facts {
            table.add([
                fact.id, fact.family, fact.title, fact.exactness, fact.gradients ? "yes" : "no", fact.workingMemory,
                fact.aliases.joined(separator: ", "),
            ])
        }
        Terminal.out(table.render(width: Terminal.width))
    }
}
