import ArgumentParser
import BenchHarness
import Foundation
import PagedEngine
import Tokenizers

/// `zoo perplexity`: how well a model foretells a text.
struct PerplexityCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perplexity", abstract: "Measure how well a decoder foretells a text.",
        discussion: """
            The text is cut into windows of --context tokens. Of each window but the first, the first --overlap tokens are
            context alone. Perplexity is the exponential of the mean negative log-likelihood of the tokens that count.

            EXAMPLES
              zoo perplexity --file heldout.txt
              zoo perplexity --file heldout.txt --context 512 --overlap 256 --attention flash
            """)

    @Option(help: "The text: a UTF-8 file.")
    var file: String

    @Option(help: "Tokens of a window; by default the model's length, at most 2048.")
    var context: Int?

    @Option(help: "Tokens at the beginning of a window that are context alone; by default half of it.")
    var overlap: Int?

    @OptionGroup var engine: EngineArguments
    @OptionGroup var format: FormatOptions

    func run() throws {
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
            throw CommandFailure(.data, "--file '\(file)' cannot be read as UTF-8 text")
        }
        let llm = try engine.llm()
        guard let tokenizer = llm.tokenizer else {
            throw CommandFailure(.data, "the model has no tokenizer.json, which a text needs")
        }
        let tokens: [Int]
        do {
            tokens = try tokenizer.ids(of: text)
        } catch {
            throw CommandFailure(.data, error.description)
        }
        let begin = AlternatingTimer.now()
        let measure = try PerplexityMeasure(llm, tokens: tokens.count, file: file, context: context, overlap: overlap)
        let score = try measure.score(llm, tokens)
        let report = PerplexityReport(
            file: file, tokens: tokens.count, scored: score.count, context: measure.window, overlap: measure.shared,
            negativeLogLikelihood: -score.sum / Double(score.count), perplexity: score.perplexity,
            seconds: AlternatingTimer.now() - begin)
        if format.json {
            Terminal.out(JSONLines.line(report))
        } else {
            Terminal.out(
                String(
                    format: "perplexity %.4f over %d of %d tokens (context %d, overlap %d), %@\n", report.perplexity,
                    score.count, tokens.count, measure.window, measure.shared, Quantity.seconds(report.seconds)))
        }
    }
}

/// What `zoo perplexity` found.
struct PerplexityReport: Encodable {
    let file: String
    let tokens: Int
    let scored: Int
    let context: Int
    let overlap: Int
    let negativeLogLikelihood: Double
    let perplexity: Double
    let seconds: Double
}
