import ArgumentParser
import AttentionCore
import AttentionOperators
import BenchHarness
import Foundation
import Kernels
import TensorCore
import Tokenizers
import TransformerBlocks

/// `zoo advise`: which attention fits a model.
struct AdviseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "advise", abstract: "Find out which attention fits a real model on real text.",
        discussion: """
            Captures queries, keys and values of every attention layer, runs every operator on them with its defaults and
            a few settings, and ranks them by error, time and memory. Ends with what to choose.

            EXAMPLES
              make model
              zoo advise --model Models/all-MiniLM-L6-v2
              zoo advise --model DIR --text-file essay.txt --svg front.svg --markdown advice.md
              zoo advise --model DIR --lengths 128,512 --operators flash,local,full
              zoo advise --model DIR --text "A short text." --json
            """)

    @Option(help: ArgumentHelp("A directory with config.json, model.safetensors and the tokenizer.", valueName: "dir"))
    var model: String

    @Option(help: "The text; by default a paragraph about attention.")
    var text: String?

    @Option(help: "Read the text from a file.")
    var textFile: String?

    @Option(
        help: "Tokens, as 128,512: the text is cut or repeated. By default the text as it is, if the model has room.")
    var lengths: List<Int>?

    @Option(help: "Operators, as a,b; all by default.")
    var operators: List<String>?

    @Option(help: "Seconds for the times of one layer.")
    var seconds = 3.0

    @Option(help: ArgumentHelp("Write a drawing of time against error.", valueName: "file"))
    var svg: String?

    @Option(help: ArgumentHelp("Write the report as Markdown.", valueName: "file"))
    var markdown: String?

    @OptionGroup var plugins: PluginOptions
    @OptionGroup var machine: MachineOptions
    @OptionGroup var format: FormatOptions

    func validate() throws {
        if text != nil && textFile != nil { throw ValidationError("Give --text or --text-file, not both.") }
        for length in lengths?.values ?? [] where length < 2 {
            throw ValidationError("--lengths holds \(length); expected numbers from 2 up.")
        }
        guard seconds > 0, seconds.isFinite else {
            throw ValidationError("--seconds is \(seconds); expected a number above 0.")
        }
    }

    func run() throws {
        let registry = try plugins.makeRegistry()
        let context = try machine.context(explores: false)
        let ids = try reporting { try operators?.values.map { try registry.entry(named: $0).id } }
        let content = try content()
        let all = try reporting { () throws -> [Advice] in
            let encoder = try TextEncoder(directory: model, registry: registry, context: context)
            return try sequences(content, encoder).map { sequence in
                try advice(sequence, encoder, registry, ids, context)
            }
        }
        guard let longest = all.last else { return }
        try reporting {
            if let svg { try JSONLines.write(AdvicePicture.svg(longest), to: svg) }
            if let markdown {
                try JSONLines.write(all.map(AdviceText.markdown).joined(separator: "\n"), to: markdown)
            }
        }
        if format.json {
            Terminal.out(Output.json(all))
        } else {
            Terminal.out(all.map { AdviceText.page($0, width: Terminal.width) }.joined(separator: "\n\n"))
            for path in [svg, markdown].compactMap({ $0 }) { Terminal.out("wrote \(path)\n") }
        }
    }

    private func content() throws -> String {
        if let text { return text }
        guard let textFile else { return Self.paragraph }
        guard let content = try? String(contentsOfFile: textFile, encoding: .utf8) else {
            throw CommandFailure(.data, "--text-file '\(textFile)' cannot be read as UTF-8 text")
        }
        return content
    }

    /// The tokens of the text, as it is or at the lengths asked for: cut, or repeated.
    private func sequences(_ content: String, _ encoder: TextEncoder) throws -> [[Int]] {
        let limit = encoder.positions
        if let bad = lengths?.values.first(where: { $0 > limit }) {
            throw CommandFailure(
                .usage, "--lengths holds \(bad), but '\(model)' has \(limit) places", advice: "ask for at most \(limit)"
            )
        }
        let wanted = (lengths?.values ?? []).sorted()
        var text = content
        func tokens(_ maximum: Int) throws -> [Int] { try encoder.tokenizer.encode(text, maximumLength: maximum).ids }
        do {
            guard let longest = wanted.last else { return [try tokens(limit)] }
            var count = try tokens(longest).count
            while count < longest {
                text += "\n" + content
                let grown = try tokens(longest).count
                guard grown > count else { throw CommandFailure(.data, "the text has no tokens to repeat") }
                count = grown
            }
            return try wanted.map(tokens)
        } catch let error as TokenizerError {
            throw ModelError.tokenizer(error)
        }
    }

    private func advice(
        _ ids: [Int], _ encoder: TextEncoder, _ registry: OperatorRegistry, _ operators: [String]?,
        _ context: ComputeContext
    ) throws -> Advice {
        let capture = Capture()
        let batch = try RaggedBatch([ids])
        let truth = try encoder.network.forward(batch) { capture.calls.append($0) }
        let study = AdviceStudy(
            candidates: AdviceCandidate.all(in: registry, length: ids.count, only: operators), context: context,
            seconds: seconds)
        let progress = Progress(total: capture.calls.count)
        var layers: [Advice.Layer] = []
        for (index, call) in capture.calls.enumerated() {
            progress.begin(index, "\(study.candidates.count) candidates on \(call.place), \(ids.count) tokens")
            layers.append(
                try study.layer(call.place, number: index + 1, inputs: call.inputs, options: call.options))
            progress.end(index, call.place)
        }
        progress.clear()
        var advice = Advice(model: model, machine: MachineFacts(context), length: ids.count, layers: layers)
        try tryOut(&advice, batch, truth, registry, context)
        return advice
    }

    /// Runs the whole model with every candidate that can: errors of layers may add up or vanish.
    private func tryOut(
        _ advice: inout Advice, _ batch: RaggedBatch, _ truth: Tensor, _ registry: OperatorRegistry,
        _ context: ComputeContext
    ) throws {
        let places = advice.whole.indices.filter { advice.whole[$0].error != nil }
        let progress = Progress(total: places.count)
        for (index, place) in places.enumerated() {
            progress.begin(index, "the whole model with \(advice.whole[place].name)")
            let value = try ConfigurationValue(json: advice.whole[place].specification)
            let encoder = try TextEncoder(
                directory: model, attention: try AttentionSpecification(value), registry: registry, context: context)
            let vector = try encoder.network.forward(batch)
            advice.whole[place].resultCosine = Self.cosine(vector.doubles(), truth.doubles())
        }
        progress.clear()
        advice.choices = Advice.choices(advice.whole)
    }

    private static func cosine(_ left: [Double], _ right: [Double]) -> Double {
        func dot(_ one: [Double], _ two: [Double]) -> Double { zip(one, two).reduce(0) { $0 + $1.0 * $1.1 } }
        let norms = (dot(left, left) * dot(right, right)).squareRoot()
        return norms > 0 ? dot(left, right) / norms : 0
    }

    /// What an observer collects.
    private final class Capture {
        var calls: [AttentionCall] = []
    }

    private static let paragraph = """
        When a person reads a long sentence, the eye does not rest on every word for the same time. It jumps ahead, comes \
        back, and dwells on the few words that decide what the rest means. A transformer does something alike with numbers. \
        Each word becomes a query, a key and a value; the query is compared with every key, the comparisons become weights, \
        and the weights mix the values. Because every word is compared with every other, the work grows with the square of \
        the length, and that is why so many people have looked for a cheaper way. Some let each word see only its \
        neighbours, as a reader would who covers the page with a slotted card. Others choose a handful of landmarks and let \
        them speak for the rest, or replace the comparison by random features whose products come close to it on average. \
        Yet others mix the words by a fixed transform and hope that the layers above will sort it out. Which of these is \
        good enough depends on the model and on the text. A layer that mostly looks at the next word loses nothing when \
        it is given a narrow window; a layer that gathers a summary of the whole page loses a great deal. It is better to \
        measure than to guess: take a real text, record what the layers really compute, try every method on the same \
        numbers, and look at how far the results are from the truth and how long they took.
        """
}
