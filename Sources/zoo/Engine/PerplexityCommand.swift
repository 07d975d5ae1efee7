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
        let window = context ?? min(2048, llm.maxModelLen - 1)
        let shared = overlap ?? window / 2
        guard window >= 2, window < llm.maxModelLen else {
            throw CommandFailure(
                .usage, "--context is \(window); expected from 2 to \(llm.maxModelLen - 1), below the model's length")
        }
        guard shared >= 0, shared < window else {
            throw CommandFailure(.usage, "--overlap is \(shared); expected from 0 to below --context")
        }
        guard tokens.count >= 2 else {
            throw CommandFailure(.data, "'\(file)' has \(tokens.count) tokens; expected 2 or more")
        }
        let begin = AlternatingTimer.now()
        let (sum, count) = try reportingEngine { try score(llm, tokens, window: window, shared: shared) }
        let report = PerplexityReport(
            file: file, tokens: tokens.count, scored: count, context: window, overlap: shared,
            negativeLogLikelihood: -sum / Double(count), perplexity: exp(-sum / Double(count)),
            seconds: AlternatingTimer.now() - begin)
        if format.json {
            Terminal.out(JSONLines.line(report))
        } else {
            Terminal.out(
                String(
                    format: "perplexity %.4f over %d of %d tokens (context %d, overlap %d), %@\n", report.perplexity,
                    count,
                    tokens.count, window, shared, Quantity.seconds(report.seconds)))
        }
    }

    /// The sum of log-likelihoods, and of how many tokens.
    private func score(_ llm: LLM, _ tokens: [Int], window: Int, shared: Int) throws -> (Double, Int) {
        let step = window - shared
        let starts = Array(stride(from: 0, to: max(1, tokens.count - shared), by: step))
        let windows = starts.map { Array(tokens[$0..<min($0 + window, tokens.count)]) }.filter { $0.count > 1 }
        let bar = Progress(total: windows.count)
        defer { bar.clear() }
        let params = SamplingParams(temperature: 0, maxTokens: 1, promptLogprobs: 0)
        let outputs = try waiting {
            try await llm.generate(windows.map { Prompt.tokens($0) }, params) { done in
                if done < windows.count { bar.begin(done, "windows") }
            }
        }
        var sum = 0.0
        var count = 0
        for (index, output) in outputs.enumerated() {
            let scored = (output.promptLogprobs ?? []).dropFirst(index == 0 ? 1 : max(1, shared))
            for entry in scored {
                sum += Double(entry?.first?.logprob ?? 0)
                count += 1
            }
        }
        return (sum, max(1, count))
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
