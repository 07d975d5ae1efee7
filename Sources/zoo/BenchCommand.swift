import ArgumentParser

/// `zoo bench`: times operators, or the engine.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Time attention operators, an engine or a server under many requests.",
        discussion: """
            Without a subcommand operators are timed: 'zoo bench operators --help' lists presets and options.

            EXAMPLES
              zoo bench
              zoo bench --preset quick --json -
              zoo bench --preset causal --operators flash,full --lengths 1024,8192
              zoo bench engine --prompts 64
              zoo bench serve --request-rate 4
            """,
        subcommands: [OperatorBenchCommand.self, EngineBenchCommand.self, ServeBenchCommand.self],
        defaultSubcommand: OperatorBenchCommand.self)
}
