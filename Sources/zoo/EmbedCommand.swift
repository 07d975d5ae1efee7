import ArgumentParser
import AttentionCore
import AttentionOperators
import BenchHarness
import Foundation
import Kernels
import TensorCore
import Tokenizers
import TransformerBlocks

/// `zoo embed`: texts into vectors, with any operator.
struct EmbedCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "embed", abstract: "Turn texts into vectors with an encoder and any attention operator.",
        discussion: """
            Texts are arguments, or lines of a file or of standard input. A model is a Hugging Face directory of the
            BERT family; 'make model' fetches all-MiniLM-L6-v2.

            EXAMPLES
              zoo embed --model Models/all-MiniLM-L6-v2 "a cat sleeps" "a feline rests"
              zoo embed --model DIR --attention '{"name": "local", "window": [511, 511]}' "text"
              zoo embed --model DIR --attention '{"name": "linformer"}' "text"
              zoo embed --model DIR --file lines.txt --output vectors.safetensors --json

            An operator that owns tensors takes them from model.safetensors, under layers.N.attention.NAME in this
            program's numbering; those that are not there begin by the operator's rule, and the report says which.
            """)

    @Option(help: ArgumentHelp("A directory with config.json, model.safetensors and the tokenizer.", valueName: "dir"))
    var model: String

    @Option(
        help: "An operator's name, or JSON with its options, or the path of a JSON or YAML file; by default 'auto'.")
    var attention: String?

    @Option(help: "Read texts from a file: one on each line, or a JSON array of texts when its name ends in .json.")
    var file: String?

    @Option(help: "Texts to hand over at a time, by default all; never changes a vector.")
    var batch: Int?

    @Option(help: "Write a safetensors file with 'embeddings' [texts, width].")
    var output: String?

    @Argument(help: "Texts.")
    var texts: [String] = []

    @OptionGroup var plugins: PluginOptions
    @OptionGroup var machine: MachineOptions
    @OptionGroup var format: FormatOptions

    func validate() throws {
        if let batch, batch < 1 { throw ValidationError("--batch is \(batch); expected a number from 1 up.") }
        if file != nil && !texts.isEmpty { throw ValidationError("Give texts or --file, not both.") }
    }

    func run() throws {
        let registry = try plugins.makeRegistry()
        let specification = try self.specification(in: registry)
        let context = try machine.context()
        try OutputFile.checkFolder(output)
        let texts = try allTexts()
        let report = try reporting {
            let encoder = try TextEncoder(
                directory: model, attention: specification, registry: registry, context: context)
            let begin = AlternatingTimer.now()
            let vectors = try encode(texts, encoder)
            let seconds = AlternatingTimer.now() - begin
            let counts = try texts.map { try encoder.tokens($0).count }
            return EmbedReport(
                model: model, attention: specification?.name ?? AttentionSpecification.automatic,
                width: encoder.width, seconds: seconds, texts: texts, tokens: counts, vectors: vectors,
                initialised: encoder.network.initialised)
        }
        if let output { try write(report, to: output) }
        if format.json {
            Terminal.out(JSONLines.line(report))
        } else {
            Terminal.out(report.text(width: Terminal.width) + (output.map { "wrote \($0)\n" } ?? ""))
        }
    }

    /// The operator with its options, checked before the model is opened.
    private func specification(in registry: OperatorRegistry) throws -> AttentionSpecification? {
        guard let attention else { return nil }
        let value = try ConfigurationText.value(attention, option: "--attention", acceptsNames: true)
        return try reporting {
            let specification = try AttentionSpecification(value)
            _ = try specification.resolve(in: registry)
            return specification
        }
    }

    private func allTexts() throws -> [String] {
        if !texts.isEmpty { return texts }
        if let file {
            guard let content = try? String(contentsOfFile: file, encoding: .utf8) else {
                throw CommandFailure(.data, "--file '\(file)' cannot be read as UTF-8 text")
            }
            if file.hasSuffix(".json") {
                guard let texts = try? JSONDecoder().decode([String].self, from: Data(content.utf8)) else {
                    throw CommandFailure(.data, "--file '\(file)' is not a JSON array of texts")
                }
                return texts
            }
            // A newline ends a line; an empty line is an empty text.
            var lines = content.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            if lines.last == "" { lines.removeLast() }
            return lines
        }
        var lines: [String] = []
        while let line = readLine() { lines.append(line) }
        return lines
    }

    private func encode(_ texts: [String], _ encoder: TextEncoder) throws -> [[Float]] {
        let progress = Progress(total: texts.count)
        defer { progress.clear() }
        var vectors: [[Float]] = []
        let step = batch ?? max(1, texts.count)
        for start in stride(from: 0, to: texts.count, by: step) {
            let part = Array(texts[start..<min(start + step, texts.count)])
            let numbers = try encoder.encode(part) { done, _ in
                if start + done < texts.count { progress.begin(start + done, "texts") }
            }.floats()
            vectors += part.indices.map { Array(numbers[$0 * encoder.width..<($0 + 1) * encoder.width]) }
        }
        return vectors
    }

    private func write(_ report: EmbedReport, to path: String) throws {
        let vectors = try reporting {
            try Tensor(report.vectors.flatMap { $0 }, shape: [report.vectors.count, report.width])
        }
        try OutputFile.write(
            [("embeddings", vectors)], metadata: ["model": report.model, "attention": report.attention], to: path)
    }
}

/// What `zoo embed` made.
struct EmbedReport: Encodable {
    let model: String
    let attention: String
    let width: Int
    let seconds: Double
    let texts: [String]
    let tokens: [Int]
    let vectors: [[Float]]
    /// Tensors of attention operators that the model does not hold.
    let initialised: [String]

    /// The start of each vector and its length; for a few texts, how near they are to each other.
    func text(width limit: Int?) -> String {
        var result = "\(model), attention \(attention): \(texts.count) \(texts.count == 1 ? "text" : "texts") of "
        result += "\(tokens.reduce(0, +)) tokens, \(width) features, \(Quantity.seconds(seconds))\n"
        if let first = initialised.first {
            let others = initialised.count == 1 ? "" : " and \(initialised.count - 1) more"
            result += "not in the model, so begun by the operator's rule, for each length anew: \(first)\(others)\n"
        }
        result += "\n"
        var table = TextTable([
            .init("#", .right), .init("text"), .init("tokens", .right), .init("norm", .right, dropOrder: 1),
            .init("starts with", dropOrder: 2),
        ])
        for (index, vector) in vectors.enumerated() {
            let start = vector.prefix(5).map { String(format: "%8.5f", $0) }.joined(separator: " ")
            let plain = texts[index].split(whereSeparator: \.isWhitespace).joined(separator: " ")
            table.add([
                "\(index + 1)", TextWidth.cut(plain, to: 48), "\(tokens[index])",
                String(format: "%.5f", Self.dot(vector, vector).squareRoot()), start,
            ])
        }
        result += table.render(width: limit)
        return (2...8).contains(vectors.count) ? result + "\n" + cosines(limit) : result
    }

    private func cosines(_ limit: Int?) -> String {
        var table = TextTable([.init("cosine", .right)] + vectors.indices.map { .init("\($0 + 1)", .right) })
        for (row, left) in vectors.enumerated() {
            table.add(
                ["\(row + 1)"]
                    + vectors.map { right in
                        let norms = (Self.dot(left, left) * Self.dot(right, right)).squareRoot()
                        return norms > 0 ? String(format: "%.4f", Self.dot(left, right) / norms) : "-"
                    })
        }
        return table.render(width: limit)
    }

    private static func dot(_ left: [Float], _ right: [Float]) -> Double {
        zip(left, right).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }
}
