import ArgumentParser
import AttentionCore
import AttentionOperators
import BenchHarness
import Foundation
import Kernels

/// `zoo tune`: measures once what every large call would find out little by little.
struct TuneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tune", abstract: "Measure which tiles are quickest on this machine, or show what was measured.",
        discussion: """
            Large calls try the rows of a task that could be quickest, three times each, and keep the best in a file.
            Results are the same to the bit whatever is chosen. This command does it on purpose, for the cases of a
            preset. ZOO_TUNING=off turns it off; ZOO_TUNING=FILE keeps decisions elsewhere.

            EXAMPLES
              zoo tune
              zoo tune --preset gqa --operators grouped-query
              zoo tune --show
              zoo tune --clear
            """)

    @Option(help: "Cases to measure, as of 'zoo bench'; several as a,b.")
    var preset = List(["causal", "lengths", "gqa", "window"])

    @Option(help: "Operators, as a,b: those that stream through the keys.")
    var operators = List(["flash", "grouped-query", "local"])

    @Option(help: "Lengths of the cases, as 512,1024.")
    var lengths: List<Int>?

    @Flag(help: "Show what is decided, and measure nothing.")
    var show = false

    @Flag(help: "Forget what is decided.")
    var clear = false

    @OptionGroup var machine: MachineOptions
    @OptionGroup var format: FormatOptions

    func validate() throws {
        if show, clear { throw ValidationError("--show and --clear exclude each other") }
        for length in lengths?.values ?? [] where length < 1 {
            throw ValidationError("--lengths is \(length); expected at least 1")
        }
    }

    func run() throws {
        guard let tuning = Tuning.environment(), let path = tuning.path else {
            throw CommandFailure(
                .usage, "tuning is off: ZOO_TUNING is 'off'", advice: "unset it, or set it to the path of a file")
        }
        if clear {
            let existed = FileManager.default.fileExists(atPath: path)
            if existed { try FileManager.default.removeItem(atPath: path) }
            Terminal.out(
                format.json
                    ? Output.json(["cleared": existed ? path : ""])
                    : existed ? "forgot what was decided in \(path)\n" : "nothing was decided in \(path)\n")
            return
        }
        if !show { try measure(tuning) }
        if format.json {
            Terminal.out(Output.json(tuning.record))
        } else {
            report(tuning, path)
        }
    }

    /// Runs every case until it is decided anew.
    private func measure(_ tuning: Tuning) throws {
        var context = try machine.context()
        context.tuning = tuning
        var overrides = BenchPreset.Overrides()
        overrides.lengths = lengths?.values
        let minilm = try Resources.minilmLayer()
        let cases = try preset.values.flatMap {
            try BenchPreset.named($0).cases(minilmPath: minilm, overrides: overrides)
        }
        let progress = Progress(total: cases.count * operators.values.count)
        for (index, benchCase) in cases.enumerated() {
            let inputs = try benchCase.inputs()
            for (place, name) in operators.values.enumerated() {
                let step = index * operators.values.count + place
                progress.begin(step, "\(benchCase.name), \(name)")
                let configured = try reporting { try OperatorRegistry.builtIn[name] }
                guard configured.unsupportedReasons(for: benchCase.problem).isEmpty else { continue }
                try decide(configured, inputs, benchCase.problem.options, context, tuning)
                progress.end(step, "\(benchCase.name), \(name)")
            }
        }
        progress.clear()
    }

    private func decide(
        _ configured: ConfiguredOperator, _ inputs: AttentionInputs, _ options: AttentionOptions,
        _ context: ComputeContext, _ tuning: Tuning
    ) throws {
        let problem = try reporting { try AttentionProblem(inputs, options: options) }
        guard let kind = configured.plan(problem, context: context).tunedKind else { return }
        tuning.forget(kind)
        // The first call pays for fresh memory.
        var resting = context
        resting.tuning = nil
        _ = try reporting { try configured.forward(inputs, options: options, context: resting) }
        while tuning.record.decisions[kind] == nil {
            _ = try reporting { try configured.forward(inputs, options: options, context: context) }
        }
    }

    private func report(_ tuning: Tuning, _ path: String) {
        let record = tuning.record
        var table = TextTable([
            .init("kind of problem"), .init("rule", .right), .init("chosen", .right),
            .init("time", .right), .init("to rule", .right),
        ])
        for (kind, decision) in record.decisions.sorted(by: { $0.key < $1.key }) {
            let (chosen, rule) = (decision.seconds["\(decision.chosen)"], decision.seconds["\(decision.rule)"])
            table.add([
                kind, "\(decision.rule) rows", "\(decision.chosen) rows", chosen.map(Quantity.seconds) ?? "-",
                chosen.flatMap { chosen in rule.map { String(format: "%.2fx", chosen / $0) } } ?? "-",
            ])
        }
        Terminal.out("\(record.machine)\nkept in \(path)\n\n")
        if record.decisions.isEmpty {
            Terminal.out("nothing is decided; 'zoo tune' measures, and so do large calls\n")
        } else {
            Terminal.out(table.render(width: Terminal.width))
        }
        if let trouble = tuning.trouble { Terminal.error("zoo: \(trouble)\n") }
    }
}
