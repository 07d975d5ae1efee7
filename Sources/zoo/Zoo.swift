import ArgumentParser
import AttentionCore
import Foundation

/// The command line: `zoo`.
@main
struct Zoo: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "zoo",
        abstract: "Attention operators on CPUs: look at them, run them, check them, time them.",
        discussion: """
            EXAMPLES
              zoo list
              zoo describe flash
              zoo explain --heads 32 --kv-heads 8 --length 4096 --causal
              zoo run flash --input in.safetensors --output out.safetensors --verify
              zoo probe flash --causal
              zoo bench --preset quick
              zoo generate "Once upon a time"
              zoo chat
              zoo serve --port 8000
              zoo quantize --method rtn --group-size 32 --output stories-rtn
              zoo embed --model Models/all-MiniLM-L6-v2 "a sentence" "another"
              zoo advise --model Models/all-MiniLM-L6-v2
              zoo --plugin ./libmine.so bench --operators mine,flash

            EXIT STATUS
              0 done            1 a check failed          64 bad usage
              65 bad input      69 unsupported problem    70 a fault of zoo

            ENVIRONMENT
              ZOO_THREADS   the number of threads
              ZOO_ISA       the instruction set of the kernels
              ZOO_REGISTRY  a file of plugins to load, as --registry
            """,
        version: "zoo 0.1.0",
        subcommands: [
            ListCommand.self, DescribeCommand.self, ExplainCommand.self, RunCommand.self, BenchCommand.self,
            TuneCommand.self, ProbeCommand.self, EmbedCommand.self, GenerateCommand.self, ChatCommand.self,
            PerplexityCommand.self, QuantizeCommand.self, QuantizeReportCommand.self, ServeCommand.self,
            AdviseCommand.self, ReportCommand.self,
            DocsCommand.self, BenchWorkerCommand.self,
        ])

    static func main() {
        let arguments = PluginOptions.movingBehindCommand(Array(CommandLine.arguments.dropFirst()))
        if let failure = unknownCommand(arguments.first) {
            failure.report(asJSON: wantsJSON(arguments))
            exit(withError: ExitCode(failure.code.rawValue))
        }
        do {
            var command = try parseAsRoot(arguments)
            try command.run()
        } catch let failure as CommandFailure {
            failure.report(asJSON: wantsJSON(arguments))
            exit(withError: ExitCode(failure.code.rawValue))
        } catch {
            let code = exitCode(for: error)
            // Help and version are not errors; anything else that the parser says is about usage.
            guard wantsJSON(arguments), !code.isSuccess, !(error is ExitCode) else { exit(withError: error) }
            CommandFailure(.usage, message(for: error), advice: "run 'zoo --help'").report(asJSON: true)
            exit(withError: code)
        }
    }

    /// The parser would call a misspelt command an unexpected argument.
    private static func unknownCommand(_ name: String?) -> CommandFailure? {
        if let name, let option = PluginOptions.names.first(where: { name == $0 || name.hasPrefix("\($0)=") }) {
            return CommandFailure(
                .usage, "\(option) stands alone", advice: "give a command, for example 'zoo --plugin lib.so list'")
        }
        guard let name, !name.hasPrefix("-") else { return nil }
        let known = configuration.subcommands.map { $0.configuration.commandName ?? "" } + ["help"]
        guard !known.contains(name) else { return nil }
        let suggestions = NearestName.suggestions(for: name, among: known)
        let hint =
            suggestions.isEmpty ? "" : "; did you mean \(suggestions.map { "'\($0)'" }.joined(separator: " or "))?"
        var failure = CommandFailure(.usage, "there is no command '\(name)'\(hint)", advice: "run 'zoo --help'")
        failure.suggestions = suggestions
        return failure
    }

    /// Errors come as JSON when results do.
    ///
    /// `bench` gives a file name after `--json`: its errors stay text.
    private static func wantsJSON(_ arguments: [String]) -> Bool {
        arguments.first != "bench" && arguments.contains("--json")
    }
}
