import ArgumentParser
import PagedEngine

/// How texts are continued: vLLM's sampling parameters.
struct SamplingArguments: ParsableArguments {
    @Option(help: "The most tokens of a continuation.")
    var maxTokens = 128

    @Option(help: "The fewest tokens before the end of the text may come.")
    var minTokens = 0

    @Option(help: "Divides the logits; 0 always takes the likeliest token.")
    var temperature = 0.8

    @Option(help: "Sample only the likeliest tokens whose probabilities add up to this.")
    var topP = 1.0

    @Option(help: "Sample only so many of the likeliest tokens; 0 is all.")
    var topK = 0

    @Option(help: "Sample only tokens at least this times as likely as the likeliest.")
    var minP = 0.0

    @Option(help: "Makes continuations repeatable.")
    var seed: Int?

    @Option(help: "Continuations of each prompt.")
    var n = 1

    @Option(help: "Continuations that are computed; the likeliest --n are shown.")
    var bestOf: Int?

    @Option(help: "A text that ends the continuation; may be given several times.")
    var stop: [String] = []

    @Option(help: "A token that ends the continuation; may be given several times.")
    var stopTokenId: [Int] = []

    @Flag(help: "Leave the stop text in the output.")
    var includeStop = false

    @Flag(help: "Go on after the end-of-text token.")
    var ignoreEos = false

    @Option(help: "Taken from the logit of every token that is in the text so far.")
    var presencePenalty = 0.0

    @Option(help: "Taken from the logit of a token once for each time it is in the text so far.")
    var frequencyPenalty = 0.0

    @Option(help: "Divides the logits of tokens that are in the prompt or the text.")
    var repetitionPenalty = 1.0

    @Option(help: "A word that never comes; may be given several times.")
    var badWord: [String] = []

    @Option(
        help: ArgumentHelp("Added to a token's logit, as 42=-3.5; may be given several times.", valueName: "id=bias"))
    var logitBias: [String] = []

    @Option(help: "Show the log-probabilities of so many likeliest tokens (with --json).")
    var logprobs: Int?

    @Option(help: "The same of the prompt's tokens (with --json).")
    var promptLogprobs: Int?

    /// The parameters.
    func params() throws -> SamplingParams {
        var biases: [Int: Double] = [:]
        for text in logitBias {
            let parts = text.split(separator: "=")
            guard parts.count == 2, let token = Int(parts[0]), let bias = Double(parts[1]) else {
                throw CommandFailure(.usage, "--logit-bias is '\(text)'; expected a token and its bias, as 42=-3.5")
            }
            biases[token] = bias
        }
        return SamplingParams(
            n: n, bestOf: bestOf, presencePenalty: presencePenalty, frequencyPenalty: frequencyPenalty,
            repetitionPenalty: repetitionPenalty, temperature: temperature, topP: topP, topK: topK, minP: minP,
            seed: seed, stop: stop, stopTokenIds: stopTokenId, badWords: badWord, ignoreEos: ignoreEos,
            maxTokens: maxTokens, minTokens: minTokens, logprobs: logprobs, promptLogprobs: promptLogprobs,
            includeStopStrInOutput: includeStop, logitBias: biases)
    }
}
