import ArgumentParser
import AttentionCore
import AttentionOperators
import BenchHarness
import Foundation
import Kernels
import TensorCore

/// `zoo run`: one operator on tensors from a file.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run an operator, and its gradients, on tensors from a safetensors file.",
        discussion: """
            INPUT TENSORS
              query [B, Lq, H, D]   key [B, Lk, Hkv, D]   value [B, Lk, Hkv, Dv]
              bias, mask            broadcastable to [B, H, Lq, Lk]; mask is BOOL or U8
              query_lengths, key_lengths      [B], I32 or I64; rows beyond are padding
              sinks, alibi_slopes             [H]
              key_scales, value_scales        [B, Lk, Hkv] F32, when key and value are I8
              block_table [B, N]    I32 or I64, for 'paged': key is then [pages, pageSize, Hkv, D], value and scales
                                    likewise, and key_lengths is needed; -1 stands behind the last page
              query_starts [B+1]    with block_table: query is [1, rows, H, D], sequences one behind the other
              parameter.NAME        a tensor that the operator owns, as 'zoo describe' lists them;
                                    those that are missing begin from the seed, and the report says so
              output_gradient       [B, Lq, H, Dv], for --backward: the derivative of a loss by the output
              log_sum_exp_gradient  [B, H, Lq], for --backward: by the log-sum-exp; optional

            OUTPUT TENSORS (whole or not at all)
              output [B, Lq, H, Dv] in the query's type   log_sum_exp [B, H, Lq] F32
              with --backward: query_gradient, key_gradient, value_gradient, and as they apply bias_gradient,
              sinks_gradient, parameter.NAME_gradient: the shape of each operand

            EXAMPLES
              zoo run flash --input in.safetensors --output out.safetensors
              zoo run local --input in.safetensors --output out.safetensors \\
                  --config '{"window": [255, 0]}'
              zoo run auto --input in.safetensors --config options.yaml --verify --json
              zoo run auto --input in.safetensors --output out.safetensors --max-bytes 64MiB
              zoo run flash --backward --input in.safetensors --output gradients.safetensors --verify
            """)

    @Argument(help: "An operator's name or alias, or 'auto'.")
    var `operator`: String

    @Option(help: "The safetensors file to read.")
    var input: String

    @Option(help: "The safetensors file to write.")
    var output: String?

    @Option(help: "Options: JSON text, or the path of a JSON or YAML file.")
    var config: String?

    @Flag(
        help: """
            Compare with the operator's reference in Double and in Float, gradients too; status 1 and no output when an \
            error is too large.
            """)
    var verify = false

    @Flag(help: "Compute gradients too: the input needs 'output_gradient'.")
    var backward = false

    @OptionGroup var memory: MemoryOptions
    @OptionGroup var plugins: PluginOptions
    @OptionGroup var machine: MachineOptions
    @OptionGroup var format: FormatOptions

    func validate() throws {
        if output == nil && !verify {
            throw ValidationError("Nothing to do: give --output FILE, or --verify, or both.")
        }
    }

    func run() throws {
        let specification = try specification()
        let context = memory.limit(try machine.context())
        let registry = try plugins.makeRegistry()
        let resolved = try reporting { try specification.resolve(in: registry) }
        try OutputFile.checkFolder(output)
        let read = try RunInputs(path: input)
        let report = try reporting { try compute(resolved, read, context) }
        Terminal.out(format.json ? Output.json(report) : report.text)
    }

    private func compute(_ resolved: ResolvedAttention, _ read: RunInputs, _ context: ComputeContext) throws
        -> RunReport
    {
        let options = resolved.options()
        let problem = try AttentionProblem(read.inputs, options: options)
        let chosen = try resolved.choose(for: problem, context: context)
        let gradient = backward ? try read.requiredGradient() : nil
        if backward {
            let reasons = chosen.unsupportedGradientReasons(for: problem, context: context)
            guard reasons.isEmpty else {
                throw AttentionError.unsupported(name: chosen.id, problem: problem.description, reasons: reasons)
            }
        }
        let (inputs, initialised) = try read.completed(for: chosen, options: options)
        let begin = AlternatingTimer.now()
        let result = try chosen.forward(inputs, options: options, context: context)
        var report = RunReport(
            operator: chosen.id, problem: problem.description, isa: context.isa, threads: context.threads,
            seconds: AlternatingTimer.now() - begin, peakBytes: chosen.plan(problem, context: context).peakBytes,
            output: output, outputShape: result.output.shape.dimensions, ignored: read.ignored,
            initialised: initialised)
        var gradients: AttentionGradients?
        if let gradient {
            let begin = AlternatingTimer.now()
            gradients = try chosen.backward(
                inputs, output: result, gradient: gradient, options: options, context: context)
            report.backwardSeconds = AlternatingTimer.now() - begin
            report.backwardPeakBytes = chosen.gradientPlan(problem, context: context)?.peakBytes
        }
        if verify {
            let reference = chosen.isPlain(for: problem) ? nil : chosen
            let check = try ReferenceCheck(inputs, problem: problem, effort: .everything, reference: reference)
            let found = try check.verdict(on: result)
            guard found.passed else { throw Self.failure(chosen.id, found) }
            report.verify = found
            if let gradient, let gradients {
                let verdicts = try GradientCheck(chosen, inputs, gradient: gradient, options: options)
                    .verdicts(on: gradients)
                if let wrong = verdicts.first(where: { !$0.passed }) { throw Self.failure(chosen.id, wrong) }
                report.verifyGradients = verdicts
            }
        }
        if let output { try write(result, gradients, to: output, by: chosen.id, context) }
        return report
    }

    /// The operator and its options; a `name` in the configuration must not contradict the argument.
    private func specification() throws -> AttentionSpecification {
        let fields = try ConfigurationText.fields(config, option: "--config")
        let specification = try reporting {
            try AttentionSpecification(fields: fields, defaultName: `operator`)
        }
        guard specification.name == `operator` else {
            throw CommandFailure(
                .usage, "--config names '\(specification.name)', but the operator asked for is '\(`operator`)'",
                advice: "remove 'name' from the configuration")
        }
        return specification
    }

    private func write(
        _ result: AttentionOutput, _ gradients: AttentionGradients?, to path: String, by name: String,
        _ context: ComputeContext
    ) throws {
        var tensors: [(name: String, tensor: Tensor)] = [("output", result.output)]
        if let logSumExp = result.logSumExp { tensors.append(("log_sum_exp", logSumExp)) }
        if let gradients {
            tensors += [
                ("query_gradient", gradients.query), ("key_gradient", gradients.key),
                ("value_gradient", gradients.value),
            ]
            if let bias = gradients.bias { tensors.append(("bias_gradient", bias)) }
            if let sinks = gradients.sinks { tensors.append(("sinks_gradient", sinks)) }
            for (parameter, tensor) in gradients.parameters.sorted(by: { $0.key < $1.key }) {
                tensors.append(("\(RunInputs.parameterPrefix)\(parameter)_gradient", tensor))
            }
        }
        try OutputFile.write(tensors, metadata: ["operator": name, "isa": context.isa], to: path)
    }

    private static func failure(_ name: String, _ verdict: ReferenceCheck.Verdict) -> CommandFailure {
        wrong(
            name,
            "its largest error is \(Quantity.error(verdict.maxError)) against the Double reference, "
                + "\(Quantity.error(verdict.tolerance)) is allowed (the Float reference errs by "
                + "\(Quantity.error(verdict.floatError)))"
                + (verdict.logSumExpError.map {
                    "; log_sum_exp errs by \(Quantity.error($0)), "
                        + "\(Quantity.error(verdict.logSumExpTolerance ?? 0)) is allowed"
                } ?? ""))
    }

    private static func failure(_ name: String, _ verdict: GradientCheck.Verdict) -> CommandFailure {
        wrong(
            name,
            "its gradient by \(verdict.operand) errs by \(Quantity.error(verdict.maxError)) against the Double "
                + "reference, \(Quantity.error(verdict.tolerance)) is allowed (the Float reference errs by "
                + "\(Quantity.error(verdict.floatError)))")
    }

    private static func wrong(_ name: String, _ detail: String) -> CommandFailure {
        var failure = CommandFailure(
            .failed, "'\(name)' is wrong: \(detail)",
            advice: "nothing was written; this is a fault of the operator: please report the input")
        failure.operatorName = name
        return failure
    }
}

/// What `zoo run` did.
struct RunReport: Encodable {
    let `operator`: String
    let problem: String
    let isa: String
    let threads: Int
    let seconds: Double
    var backwardSeconds: Double?
    let peakBytes: Int
    var backwardPeakBytes: Int?
    let output: String?
    let outputShape: [Int]
    let ignored: [String]
    let initialised: [String]
    var verify: ReferenceCheck.Verdict?
    var verifyGradients: [GradientCheck.Verdict]?

    /// A few lines for people.
    var text: String {
        var lines = [
            "operator  \(self.operator) (\(isa), \(threads) \(threads == 1 ? "thread" : "threads"))",
            "problem   \(problem)",
            "time      \(Quantity.seconds(seconds)), the first call; memory \(Quantity.bytes(peakBytes))",
        ]
        if let backwardSeconds {
            let memory = backwardPeakBytes.map { "; memory \(Quantity.bytes($0))" } ?? ""
            lines.append("backward  \(Quantity.seconds(backwardSeconds)), the first call\(memory)")
        }
        if let verify {
            lines.append(
                "output    error \(Quantity.error(verify.maxError)) against the Double reference; the Float reference errs "
                    + "by \(Quantity.error(verify.floatError)), \(Quantity.error(verify.tolerance)) is allowed")
            if let error = verify.logSumExpError {
                lines.append(
                    "lse       error \(Quantity.error(error)), \(Quantity.error(verify.logSumExpTolerance ?? 0)) is allowed"
                )
            }
        }
        for verdict in verifyGradients ?? [] {
            lines.append(
                "gradient  by \(verdict.operand): error \(Quantity.error(verdict.maxError)), "
                    + "\(Quantity.error(verdict.tolerance)) is allowed")
        }
        if !initialised.isEmpty {
            lines.append("new       \(initialised.joined(separator: ", ")): not in the input, begun from the seed")
        }
        if !ignored.isEmpty { lines.append("ignored   \(ignored.joined(separator: ", "))") }
        if let output { lines.append("wrote     \(output)") }
        return lines.joined(separator: "\n") + "\n"
    }
}
