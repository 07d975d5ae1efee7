import ArgumentParser
import AttentionCore
import AttentionOperators
import BenchHarness

/// `zoo docs`: the operators' pages.
struct DocsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "docs", abstract: "Write a Markdown page for each operator, and one that compares them.",
        discussion: """
            EXAMPLES
              zoo docs
              zoo docs --directory /tmp/pages --json
            """)

    @Option(help: "The folder to write to.")
    var directory = "docs/operators"

    @OptionGroup var plugins: PluginOptions
    @OptionGroup var format: FormatOptions

    func run() throws {
        let registry = try plugins.makeRegistry()
        var paths: [String] = []
        try reporting {
            for entry in registry.entries {
                let path = "\(directory)/\(entry.id).md"
                try JSONLines.write(OperatorDocument.render(entry.id, in: registry), to: path)
                paths.append(path)
            }
            try JSONLines.write(OperatorMatrix.render(registry), to: "\(directory)/README.md")
            paths.append("\(directory)/README.md")
        }
        Terminal.out(format.json ? Output.json(paths) : paths.map { "wrote \($0)\n" }.joined())
    }
}
