import ArgumentParser
import AttentionCore
import AttentionOperators
import BenchHarness
import Foundation
import Kernels

/// `zoo bench operators`, or `zoo bench` alone: check, then time.
struct OperatorBenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "operators", abstract: "Check every operator against the reference, then time it.",
        discussion: """
            Operators take turns, so that drift of the machine hits all alike; peaks are measured around each case.
            Status 1 when a result is wrong.

            PRESETS
            \(BenchPreset.all.map { "  \($0.name.padding(toLength: 9, withPad: " ", startingAt: 0)) \($0.summary)" }
                .joined(separator: "\n"))

            EXAMPLES
              zoo bench
              zoo bench --preset quick --json -
              zoo bench --preset causal --operators flash,full --lengths 1024,8192
              zoo bench --preset causal --backward
              zoo bench --preset lengths --max-bytes 64MiB
              zoo bench --preset lengths --html report.html --threads 1 --isa avx2
            """)

    @Option(help: "What to measure: \(BenchPreset.all.map(\.name).joined(separator: ", ")); several as a,b.")
    var preset = List(["default"])

    @Option(help: "Operators, as a,b; all by default.")
    var operators: List<String>?

    @Option(help: ArgumentHelp("Write JSON lines; '-' is standard output.", valueName: "file"))
    var json: String?

    @Option(help: ArgumentHelp("Write a report with plots.", valueName: "file"))
    var html: String?

    @Option(help: "Lengths of synthetic cases, as 512,1024 (of the keys, for decode).")
    var lengths: List<Int>?

    @Option(help: "Head dims of synthetic cases, as 64,128.")
    var headDims: List<Int>?

    @Option(help: "Query heads of synthetic cases.")
    var heads: Int?

    @Option(help: "Key and value heads of synthetic cases.")
    var kvHeads: Int?

    @Flag(help: "Make every synthetic case causal.")
    var causal = false

    @Option(
        parsing: .unconditional, help: "Keys left and right of each query's place, for example 255,0; -1 is unlimited.")
    var window: WindowArgument?

    @Option(help: "Element type of synthetic cases: F32, F16, BF16, F64.")
    var dtype: ElementArgument?

    @Flag(help: "Give synthetic cases INT8 keys and values with a scale for each key and head.")
    var int8Keys = false

    @Flag(help: "Time and check the gradients, given the output; useful operations are 2.5 times those of the output.")
    var backward = false

    @Option(help: "Seconds the sweep aims to take; by default six for each case.")
    var seconds: Double?

    @OptionGroup var memory: MemoryOptions
    @OptionGroup var plugins: PluginOptions
    @OptionGroup var machine: MachineOptions

    func validate() throws {
        let numbers = [("--heads", heads ?? 1), ("--kv-heads", kvHeads ?? 1)]
        let lists =
            (lengths?.values ?? []).map { ("--lengths", $0) } + (headDims?.values ?? []).map { ("--head-dims", $0) }
        for (name, value) in numbers + lists where value < 1 {
            throw ValidationError("\(name) is \(value); expected numbers from 1 up.")
        }
        if let kvHeads, let heads, heads % kvHeads != 0 {
            throw ValidationError("--heads is \(heads); expected a multiple of --kv-heads, which is \(kvHeads).")
        }
        if let seconds, !(seconds > 0 && seconds.isFinite) {
            throw ValidationError("--seconds is \(seconds); expected a number above 0.")
        }
    }

    func run() throws {
        let context = memory.limit(try machine.context(explores: false))
        let registry = try plugins.makeRegistry()
        let (chosen, cases) = try reporting { (try chosenOperators(in: registry), try chosenCases()) }
        let facts = MachineFacts(context)
        let printsTable = json != "-"
        let peak = MachinePeak.fmaGFLOPS(context)
        let read = MachinePeak.readGBPerSecond(context)
        if printsTable {
            let peaks = "peak now \(Quantity.figures(peak)) GFLOP/s multiply-add, \(Quantity.figures(read)) GB/s read"
            Terminal.out((facts.lines + [peaks]).joined(separator: "\n") + "\n\n")
        }
        let progress = Progress(total: cases.count)
        let sweep = BenchSweep(
            operators: chosen, cases: cases, context: context, seconds: seconds ?? 6 * Double(cases.count),
            direction: backward ? .backward : .forward)
        let lines = try reporting {
            try sweep.run { event in
                switch event {
                case .started(let index, _, let name): progress.begin(index, name)
                case .finished(let index, _, let lines): progress.end(index, Self.summary(lines))
                }
            }
        }
        progress.clear()
        if printsTable {
            let width = Terminal.width
            Terminal.out(SweepTable.render(lines, width: width) + "\n")
            Terminal.out(TextWidth.wrap(SweepTable.legend, to: width ?? 110).joined(separator: "\n") + "\n")
        }
        try reporting { try writeReports(facts, lines) }
        try conclude(lines, says: printsTable)
    }

    private func chosenOperators(in registry: OperatorRegistry) throws(AttentionError) -> [ConfiguredOperator] {
        var chosen: [ConfiguredOperator] = []
        for name in operators?.values ?? registry.entries.map(\.id) { chosen.append(try registry[name]) }
        return chosen
    }

    private func chosenCases() throws -> [BenchCase] {
        var overrides = BenchPreset.Overrides()
        overrides.lengths = lengths?.values
        overrides.headDims = headDims?.values
        overrides.heads = heads
        overrides.kvHeads = kvHeads
        overrides.causal = causal ? true : nil
        overrides.window = window.map { [$0.left, $0.right] }
        overrides.dtype = dtype?.dtype
        overrides.hasInt8Keys = int8Keys
        let path = try Resources.minilmLayer()
        var cases: [BenchCase] = []
        for name in preset.values {
            for benchCase in try BenchPreset.named(name).cases(minilmPath: path, overrides: overrides) {
                // Overrides can make two presets ask for the same case.
                if !cases.contains(where: { $0.name == benchCase.name }) { cases.append(benchCase) }
            }
        }
        for benchCase in cases where benchCase.problem.heads % benchCase.problem.kvHeads != 0 {
            throw CommandFailure(
                .usage,
                "--kv-heads is \(benchCase.problem.kvHeads), which does not divide \(benchCase.problem.heads) heads")
        }
        return cases
    }

    private func writeReports(_ facts: MachineFacts, _ lines: [ResultLine]) throws(BenchError) {
        if json == "-" {
            Terminal.out(JSONLines.text(machine: facts, lines: lines))
        } else if let json {
            try JSONLines.write(JSONLines.text(machine: facts, lines: lines), to: json)
        }
        if let html { try JSONLines.write(HTMLReport.render(machine: facts, lines: lines), to: html) }
    }

    private func conclude(_ lines: [ResultLine], says: Bool) throws {
        let checks = lines.compactMap(\.check)
        let wrong = lines.filter { $0.check?.passed == false }
        if says {
            let unable = lines.filter { !$0.reasons.isEmpty }.count
            var text = "\n\(checks.count) results compared with the reference: \(checks.count - wrong.count) right, "
            text += "\(wrong.count) wrong; \(unable) combinations cannot run\n"
            for path in [json, html].compactMap({ $0 }) { text += "wrote \(path)\n" }
            Terminal.out(text)
        }
        guard wrong.isEmpty else {
            let names = wrong.map { "\($0.operator) on \($0.case)" }.joined(separator: ", ")
            throw CommandFailure(
                .failed, "wrong results: \(names)", advice: "'zoo run --verify' shows the errors of one problem")
        }
    }

    private static func summary(_ lines: [ResultLine]) -> String {
        let parts = lines.compactMap { line in
            line.timing.map { "\(line.operator) \(Quantity.seconds($0.median))" }
        }
        return "\(lines.first?.case ?? ""): \(parts.isEmpty ? "no operator can run it" : parts.joined(separator: ", "))"
    }
}
