import ArgumentParser
import BenchHarness
import Foundation

/// `zoo report`: a sweep's results, shown again.
struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "Show the JSON lines of an earlier 'zoo bench' again.",
        discussion: """
            EXAMPLES
              zoo report bench-results/zoo.jsonl
              zoo report bench-results/zoo.jsonl --html report.html
            """)

    @Argument(help: "A file that 'zoo bench --json' wrote.")
    var file: String

    @Option(help: ArgumentHelp("Write a report with plots.", valueName: "file"))
    var html: String?

    @OptionGroup var format: FormatOptions

    func run() throws {
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
            throw CommandFailure(.data, "'\(file)' cannot be read")
        }
        guard let report = try? JSONLines.read(text), !report.lines.isEmpty else {
            throw CommandFailure(
                .data, "'\(file)' does not hold the results of a sweep", advice: "make one with 'zoo bench --json FILE'"
            )
        }
        if let html {
            try reporting {
                try JSONLines.write(HTMLReport.render(machine: report.machine, lines: report.lines), to: html)
            }
        }
        if format.json {
            Terminal.out(Output.json(report.lines))
            return
        }
        if let machine = report.machine { Terminal.out(machine.lines.joined(separator: "\n") + "\n\n") }
        Terminal.out(SweepTable.render(report.lines, width: Terminal.width))
        if let html { Terminal.out("\nwrote \(html)\n") }
    }
}
