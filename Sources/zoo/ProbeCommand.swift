import ArgumentParser
import AttentionCore
import AttentionOperators
import BenchHarness
import Kernels

/// `zoo probe`: what an operator really attends to.
struct ProbeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "probe", abstract: "Measure what an operator attends to and compare it with what it declares.",
        discussion: """
            Changes keys, values and queries one by one and watches which rows of the output change by a single bit.
            Declared is the problem's mask and the operator's own pattern. Status 1 when a hidden key has influence, or
            when a visible one has none though the operator promises it. Without --config and --causal the mask is the
            strictest that the operator takes: causal, a window, or none.

            EXAMPLES
              zoo probe flash --causal
              zoo probe local --config '{"window": [8, 0]}' --svg local.svg
              zoo probe grouped-query --heads 4 --kv-heads 2 --length 256 --json
              zoo probe --all
            """)

    @Argument(help: "Operators' names or aliases.")
    var operators: [String] = []

    @Flag(help: "Probe every operator of the registry.")
    var all = false

    @Option(help: "Queries and keys.")
    var length = 256

    @Option(help: "Keys, where they are not as many as queries.")
    var keyLength: Int?

    @Option(help: "Query heads.")
    var heads = 2

    @Option(help: "Key and value heads; by default as many.")
    var kvHeads: Int?

    @Option(help: "The extent of a head.")
    var headDim = 32

    @Option(help: "Options: JSON text, or the path of a JSON or YAML file.")
    var config: String?

    @Flag(help: "The problem is causal.")
    var causal = false

    @Option(help: "The seed of operands and changes.")
    var seed: UInt64 = 1

    @Option(help: ArgumentHelp("Write a drawing: declared, effective, difference.", valueName: "file"))
    var svg: String?

    @OptionGroup var plugins: PluginOptions
    @OptionGroup var machine: MachineOptions
    @OptionGroup var format: FormatOptions

    func validate() throws {
        if operators.isEmpty != all { throw ValidationError("Name operators, or give --all.") }
        if svg != nil, operators.count != 1 { throw ValidationError("--svg draws one operator; name one.") }
        let extents = [
            ("--length", length), ("--key-length", keyLength ?? 1), ("--heads", heads), ("--kv-heads", kvHeads ?? 1),
            ("--head-dim", headDim),
        ]
        for (name, value) in extents where value < 1 {
            throw ValidationError("\(name) is \(value); expected a number from 1 up.")
        }
        if let kvHeads, heads % kvHeads != 0 {
            throw ValidationError("--heads is \(heads); expected a multiple of --kv-heads, which is \(kvHeads).")
        }
    }

    func run() throws {
        let registry = try plugins.makeRegistry()
        let context = try machine.context()
        let fields = try fields()
        let names = all ? registry.entries.map(\.id) : operators
        let subjects = try reporting { try names.map { try subject($0, fields, registry) } }
        let able = subjects.filter(\.reasons.isEmpty)
        let progress = Progress(total: able.count)
        var reports: [ProbeReport] = []
        for (index, subject) in able.enumerated() {
            let probe = PatternProbe(subject.configured, problem: subject.problem, seed: seed, context: context)
            reports.append(
                try reporting {
                    try probe.run { progress.begin(index, "\(subject.configured.id) \(Quantity.percent($0))") }
                })
            progress.clear()
        }
        if let svg { try reporting { try JSONLines.write(ProbePicture.svg(reports[0]), to: svg) } }
        if format.json {
            Terminal.out(names.count == 1 && !all ? Output.json(reports[0]) : Output.json(reports))
        } else {
            let isPage = names.count == 1 && !all
            Terminal.out(
                isPage
                    ? ProbeText.page(reports[0], width: Terminal.width)
                    : ProbeText.table(reports, refused: subjects.filter { !$0.reasons.isEmpty }, width: Terminal.width))
            if let svg { Terminal.out("\nwrote \(svg)\n") }
        }
        try conclude(reports)
    }

    /// An operator and the problem it is to be probed with.
    struct Subject {
        let configured: ConfiguredOperator
        let problem: AttentionProblem
        /// Why it cannot run the problem.
        let reasons: [UnsupportedReason]
    }

    private func fields() throws -> [String: ConfigurationValue] {
        var fields = try ConfigurationText.fields(config, option: "--config")
        if causal {
            guard fields["causal"] == nil else {
                throw CommandFailure(.usage, "--causal and --config both say what is causal", advice: "leave one out")
            }
            fields["causal"] = true
        }
        return fields
    }

    /// An operator with its problem; one that was named must be able to run it.
    private func subject(
        _ name: String, _ fields: [String: ConfigurationValue], _ registry: OperatorRegistry
    ) throws -> Subject {
        let specification = try AttentionSpecification(fields: fields, defaultName: name)
        guard specification.name == name else {
            throw CommandFailure(
                .usage, "--config names '\(specification.name)', but the operator asked for is '\(name)'",
                advice: "remove 'name' from the configuration")
        }
        let configured = try registry.make(name, configuration: specification.configuration)
        var problem = AttentionProblem(
            queryLength: length, keyLength: keyLength, heads: heads, kvHeads: kvHeads, headDim: headDim,
            options: specification.options)
        let saysMask = fields.keys.contains { ["causal", "window", "mask"].contains($0) }
        if !saysMask { problem = StrictestMask.problem(for: configured, problem) ?? problem }
        let reasons = configured.unsupportedReasons(for: problem)
        guard all || reasons.isEmpty else {
            throw AttentionError.unsupported(name: configured.id, problem: problem.description, reasons: reasons)
        }
        return Subject(configured: configured, problem: problem, reasons: reasons)
    }

    private func conclude(_ reports: [ProbeReport]) throws {
        guard let first = reports.first(where: { !$0.fits }) else { return }
        let names = reports.filter { !$0.fits }.map { "'\($0.operator)'" }.joined(separator: ", ")
        var failure = CommandFailure(
            .failed,
            "\(names) \(reports.count { !$0.fits } == 1 ? "does" : "do") not attend as declared: "
                + first.errors.map(\.text).joined(separator: "; "),
            advice: "'zoo probe \(first.operator) --svg FILE' draws it; pairs are row <- key, counted from 0")
        failure.operatorName = first.operator
        throw failure
    }
}
