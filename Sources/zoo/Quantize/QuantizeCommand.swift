import ArgumentParser
import AttentionCore
import BenchHarness
import Foundation
import Quantization
import TransformerBlocks

/// `zoo quantize`: a decoder with weights in a few bits.
struct QuantizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize", abstract: "Put a decoder's weights into 2, 3, 4 or 8 bits by GPTQ, AWQ or rounding.",
        discussion: """
            Reads a Hugging Face directory and writes another one, block by block. gptq and awq look at what goes into the
            products while the model reads a calibration text; it should be like what the model will read. Embeddings,
            normalisations and biases stay as they are. The directory is written whole or not at all.

            EXAMPLES
              zoo quantize --method gptq --group-size 32 --calibration stories.txt --output stories-gptq
              zoo quantize --model Models/llama --method awq --calibration wiki.txt --samples 64 --output llama-awq
              zoo quantize --method rtn --bits 3 --group-size 32 --output stories-rtn3 --report rtn3.html
              zoo quantize --method gptq --bits 4 --act-order --static-groups --group-size 32 \\
                --calibration stories.txt --output stories-act --report layers.svg --json
              zoo quantize-report --file heldout.txt stories-gptq stories-rtn3 --report perplexity.html
            """)

    @Option(
        help: ArgumentHelp(
            "A Hugging Face directory of a Llama, Mistral, Qwen or Gemma. By default the model that comes with zoo.",
            valueName: "dir"))
    var model: String?

    @Option(help: "gptq, awq or rtn (round to nearest).")
    var method: MethodName

    @OptionGroup(title: "Weights") var weights: SchemeArguments
    @OptionGroup(title: "GPTQ") var gptq: GPTQArguments
    @OptionGroup(title: "AWQ") var awq: AWQArguments
    @OptionGroup(title: "Calibration") var text: CalibrationArguments

    @Flag(help: "Quantise the head too; one that shares the token table gets a weight of its own.")
    var lmHead = false

    @Option(
        help: "How files hold the weights: gptq, gptq-v2, awq or compressed-tensors; by default awq for awq, else gptq."
    )
    var format: FormatName?

    @Option(help: ArgumentHelp("The directory to write; must not be there yet, or be empty.", valueName: "dir"))
    var output: String

    @Option(help: ArgumentHelp("Write a report of the layers: .html, .svg or .json.", valueName: "file"))
    var report: String?

    @OptionGroup var plugins: PluginOptions
    @OptionGroup var machine: MachineOptions
    @OptionGroup var form: FormatOptions

    func validate() throws {
        try gptq.check(method)
        try awq.check(method)
        try text.check(method)
        try QuantizeReportFile.check(report)
    }

    func run() throws {
        let directory = try model ?? Resources.defaultModel()
        if let report { try QuantizeReportFile.checkFolder(report) }
        let registry = try plugins.makeRegistry()
        let context = try machine.context()
        let scheme = try weights.scheme()
        let format = (format ?? (method == .awq ? .awq : .gptq)).method
        let chosen = quantizationMethod()
        let quantizer = try reporting {
            try ModelQuantizer(
                directory: directory, method: chosen, scheme: scheme, format: format, quantizesHead: lmHead,
                registry: registry, context: context)
        }
        let sequences = try text.sequences(directory, quantizer)
        let bar = Progress(total: quantizer.modules.count)
        let result: QuantizationReport
        do {
            defer { bar.clear() }
            result = try reporting {
                try quantizer.quantize(calibration: sequences, to: output) { progress in
                    bar.begin(progress.done, progress.module)
                    bar.end(progress.done, progress.module)
                }
            }
        }
        let page = QuantizeReportText.layers(result)
        if let report { try QuantizeReportFile.write(page, result, to: report) }
        if form.json {
            Terminal.out(JSONLines.line(result))
        } else {
            Terminal.out(page.text(width: Terminal.width))
            Terminal.out("\nwrote \(output)\n" + (report.map { "wrote \($0)\n" } ?? ""))
        }
    }

    private func quantizationMethod() -> QuantizationMethod {
        switch method {
        case .rtn: .roundToNearest
        case .gptq: .gptq(gptq.settings, isSequential: !gptq.noTrueSequential)
        case .awq: .awq(awq.settings, clips: !awq.noClip)
        }
    }
}

/// The methods by their names.
enum MethodName: String, ExpressibleByArgument, CaseIterable {
    case gptq, awq, rtn
}

/// The forms of files by their names.
enum FormatName: String, ExpressibleByArgument, CaseIterable {
    case gptq
    case gptqV2 = "gptq-v2"
    case awq
    case compressedTensors = "compressed-tensors"

    var method: QuantizationConfiguration.Method {
        switch self {
        case .gptq: .gptq(isVersion2: false)
        case .gptqV2: .gptq(isVersion2: true)
        case .awq: .awqGEMM
        case .compressedTensors: .compressedTensors
        }
    }
}
