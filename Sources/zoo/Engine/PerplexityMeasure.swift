import Foundation
import PagedEngine

/// How the perplexity of a text is measured: windows, and which of their tokens count.
struct PerplexityMeasure {
    /// Tokens of a window.
    let window: Int
    /// Tokens at the beginning of every window but the first that are context alone.
    let shared: Int

    /// The sum of log-likelihoods, and of how many tokens.
    struct Score {
        let sum: Double
        let count: Int
        var perplexity: Double { exp(-sum / Double(count)) }
    }

    /// Checks windows against a model and a text of so many tokens.
    /// - Throws: ``CommandFailure``.
    init(_ llm: LLM, tokens: Int, file: String, context: Int?, overlap: Int?) throws {
        window = context ?? min(2048, llm.maxModelLen - 1)
        shared = overlap ?? window / 2
        guard window >= 2, window < llm.maxModelLen else {
            throw CommandFailure(
                .usage, "--context is \(window); expected from 2 to \(llm.maxModelLen - 1), below the model's length")
        }
        guard shared >= 0, shared < window else {
            throw CommandFailure(.usage, "--overlap is \(shared); expected from 0 to below --context")
        }
        guard tokens >= 2 else {
            throw CommandFailure(.data, "'\(file)' has \(tokens) tokens; expected 2 or more")
        }
    }

    /// Runs the windows.
    func score(_ llm: LLM, _ tokens: [Int]) throws -> Score {
        let starts = Array(stride(from: 0, to: max(1, tokens.count - shared), by: window - shared))
        let windows = starts.map { Array(tokens[$0..<min($0 + window, tokens.count)]) }.filter { $0.count > 1 }
        let bar = Progress(total: windows.count)
        defer { bar.clear() }
        let params = SamplingParams(temperature: 0, maxTokens: 1, promptLogprobs: 0)
        let outputs = try reportingEngine {
            try waiting {
                try await llm.generate(windows.map { Prompt.tokens($0) }, params) { done in
                    if done < windows.count { bar.begin(done, "windows") }
                }
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
        return Score(sum: sum, count: max(1, count))
    }
}
