import ArgumentParser
import AttentionCore
import AttentionOperators
import BenchHarness
import Kernels
import TensorCore

/// `zoo bench-worker`: makes timed calls when told to, so that another process can time its own in between.
///
/// A line `run N` is answered by `{"seconds":[...]}` with N times of a forward pass, `step N` with those of a forward and a
/// backward pass together, `peak` by `{"gflops":...}`, `read` by `{"gigabytes":...}` of a streaming read; `quit` ends.
struct BenchWorkerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-worker", abstract: "Make timed calls on request, line by line.", shouldDisplay: false)

    @Option(help: "An operator's name or alias, or 'auto'.")
    var `operator`: String

    @Option(help: "The safetensors file to read.")
    var input: String

    @Option(help: "Options: JSON text, or the path of a JSON or YAML file.")
    var config: String?

    @OptionGroup var plugins: PluginOptions
    @OptionGroup var machine: MachineOptions
    @OptionGroup var format: FormatOptions

    func run() throws {
        let fields = try ConfigurationText.fields(config, option: "--config")
        let context = try machine.context(explores: false)
        let registry = try plugins.makeRegistry()
        let read = try RunInputs(path: input)
        try reporting {
            let specification = try AttentionSpecification(fields: fields, defaultName: `operator`)
            let resolved = try specification.resolve(in: registry)
            let options = resolved.options()
            let problem = try AttentionProblem(read.inputs, options: options)
            let chosen = try resolved.choose(for: problem, context: context)
            var inputs = try read.completed(for: chosen, options: options).inputs
            // In memory as a model's operands are, and not in a mapped file of small pages.
            inputs.query = inputs.query.copied()
            inputs.key = inputs.key.copied()
            inputs.value = inputs.value.copied()
            while let line = readLine() {
                let words = line.split(separator: " ")
                switch (words.first, words.dropFirst().first.flatMap { Int($0) }) {
                case ("run", .some(let count)) where count >= 0:
                    Terminal.out(
                        try Self.times(count) { () throws(AttentionError) in
                            _ = try chosen.forward(inputs, options: options, context: context)
                        })
                case ("step", .some(let count)) where count >= 0:
                    guard let gradient = read.gradient else {
                        Terminal.out(JSONLines.line(["error": "'\(input)' has no tensor 'output_gradient'"]))
                        continue
                    }
                    Terminal.out(
                        try Self.times(count) { () throws(AttentionError) in
                            let output = try chosen.forward(inputs, options: options, context: context)
                            _ = try chosen.backward(
                                inputs, output: output, gradient: gradient, options: options, context: context)
                        })
                case ("peak", _):
                    Terminal.out(JSONLines.line(["gflops": MachinePeak.fmaGFLOPS(context)]))
                case ("read", _):
                    Terminal.out(JSONLines.line(["gigabytes": MachinePeak.readGBPerSecond(context)]))
                case ("quit", _):
                    return
                default:
                    Terminal.out(
                        JSONLines.line([
                            "error": "expected 'run N', 'step N', 'peak', 'read' or 'quit', got '\(line)'"
                        ]))
                }
            }
        }
    }

    /// The seconds of each of several calls, as a line.
    private static func times(_ count: Int, _ call: () throws(AttentionError) -> Void) throws(AttentionError) -> String
    {
        var seconds: [Double] = []
        for _ in 0..<count {
            let begin = AlternatingTimer.now()
            try call()
            seconds.append(AlternatingTimer.now() - begin)
        }
        return JSONLines.line(["seconds": seconds])
    }
}
