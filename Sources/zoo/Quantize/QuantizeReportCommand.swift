import ArgumentParser
import BenchHarness
import Foundation
import Kernels
import PagedEngine
import Tokenizers
import TransformerBlocks

/// `zoo quantize-report`: perplexity against bits, over several models.
struct QuantizeReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize-report", abstract: "Compare models in a few bits: perplexity against bits for a weight.",
        discussion: """
            Every directory reads the same text. Bits are those of the files for a weight of the blocks' products, with
            scales, zeros and groups. The first directory is what the others are compared with; without --baseline it is the
            model that comes with zoo.

            EXAMPLES
              zoo quantize-report --file heldout.txt stories-gptq stories-awq stories-rtn
              zoo quantize-report --file heldout.txt --baseline Models/llama llama-gptq4 llama-gptq3 --report bits.html
            """)

    @Argument(help: "Directories that 'zoo quantize' or others have written.")
    var models: [String]

    @Option(help: ArgumentHelp("The directory that the others are compared with.", valueName: "dir"))
    var baseline: String?

    @Option(help: "The text, which must not be that of the calibration: a UTF-8 file.")
    var file: String

    @Option(help: "Tokens of a window; by default the model's length, at most 2048.")
    var context: Int?

    @Option(help: "Tokens at the beginning of a window that are context alone; by default half of it.")
    var overlap: Int?

    @Option(help: ArgumentHelp("Write a report: .html, .svg or .json.", valueName: "file"))
    var report: String?

    @Option(
        help: "How products with weights of few bits take their rows: float32, exactly, or int8, as other commands do.")
    var activations = Activations.float32.rawValue

    @OptionGroup var plugins: PluginOptions
    @OptionGroup var machine: MachineOptions
    @OptionGroup var form: FormatOptions

    func validate() throws { try QuantizeReportFile.check(report) }

    func run() throws {
        if let report { try QuantizeReportFile.checkFolder(report) }
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
            throw CommandFailure(.data, "--file '\(file)' cannot be read as UTF-8 text")
        }
        let all = [try baseline ?? Resources.defaultModel()] + models
        // All of them before the first runs: a wrong name should not cost the time of the others.
        let sizes = try reporting { try all.map { try CheckpointSize(directory: $0) } }
        let registry = try plugins.makeRegistry()
        guard let activations = Activations(rawValue: activations.lowercased()) else {
            throw CommandFailure(.usage, "--activations is '\(activations)'; expected int8 or float32")
        }
        var computing = try machine.context()
        computing.activations = activations
        var results: [QuantizedPerplexity] = []
        for (directory, size) in zip(all, sizes) {
            let llm = try reportingEngine { try LLM(model: directory, registry: registry, context: computing) }
            guard let tokenizer = llm.tokenizer else {
                throw CommandFailure(.data, "'\(directory)' has no tokenizer.json, which a text needs")
            }
            let tokens: [Int]
            do {
                tokens = try tokenizer.ids(of: text)
            } catch {
                throw CommandFailure(.data, error.description)
            }
            let measure = try PerplexityMeasure(
                llm, tokens: tokens.count, file: file, context: context, overlap: overlap)
            let score = try measure.score(llm, tokens)
            results.append(
                QuantizedPerplexity(
                    model: directory, name: URL(fileURLWithPath: directory).lastPathComponent,
                    quantization: try reporting { try CheckpointQuantization.describe(directory: directory) },
                    bitsPerWeight: size.bitsPerWeight, bytes: size.bytes, perplexity: score.perplexity,
                    ratio: score.perplexity / (results.first?.perplexity ?? score.perplexity), scored: score.count,
                    context: measure.window, overlap: measure.shared))
        }
        let page = Self.page(results, file: file)
        if let report { try QuantizeReportFile.write(page, results, to: report) }
        if form.json {
            for result in results { Terminal.out(JSONLines.line(result)) }
        } else {
            Terminal.out(page.text(width: Terminal.width))
            if let report { Terminal.out("\nwrote \(report)\n") }
        }
    }

    private static func page(_ results: [QuantizedPerplexity], file: String) -> TableReport {
        let methods = results.dropFirst().map(\.quantization).reduce(into: [String]()) {
            if !$0.contains($1) { $0.append($1) }
        }
        let first = results[0]
        return TableReport(
            title: "Perplexity against bits",
            facts: [
                "\(file): \(first.scored) tokens count; windows of \(first.context), of which \(first.overlap) are context",
                String(format: "compared with %@: perplexity %.4f", first.name, first.perplexity),
            ],
            plots: [
                .init(
                    title: "Perplexity against bits for a weight", xLabel: "bits for a weight", yLabel: "perplexity",
                    isLogarithmic: false,
                    series: methods.map { method in
                        .init(
                            name: method,
                            points: results.dropFirst().filter { $0.quantization == method }
                                .sorted { $0.bitsPerWeight < $1.bitsPerWeight }.map(\.point))
                    }, level: (name: first.name, y: first.perplexity))
            ],
            columns: [
                .init("model"), .init("weights"), .init("bits", .right), .init("bytes", .right, dropOrder: 1),
                .init("perplexity", .right), .init("to the first", .right),
            ],
            rows: results.map { result in
                [
                    result.name, result.quantization, String(format: "%.2f", result.bitsPerWeight),
                    Quantity.bytes(result.bytes), String(format: "%.4f", result.perplexity),
                    String(format: "%.4fx", result.ratio),
                ]
            })
    }
}

/// How well one model foretells the text.
struct QuantizedPerplexity: Encodable {
    let model: String
    let name: String
    /// The method, or the element type.
    let quantization: String
    let bitsPerWeight: Double
    let bytes: Int
    let perplexity: Double
    /// To the first model's.
    let ratio: Double
    let scored: Int
    let context: Int
    let overlap: Int

    var point: TableReport.Plot.Point {
        .init(
            x: bitsPerWeight, y: perplexity,
            title: String(format: "%@: %.2f bits, perplexity %.4f", name, bitsPerWeight, perplexity))
    }
}
