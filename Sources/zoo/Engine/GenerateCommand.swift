import ArgumentParser
import BenchHarness
import Foundation
import PagedEngine
import Tokenizers

/// `zoo generate`: continues texts, many at once.
struct GenerateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Continue texts with a decoder, many at once, from a paged cache.",
        discussion: """
            Prompts are arguments, or lines of a file or of standard input ('-'). A single prompt is shown as it grows.
            Without --model the small model that comes with zoo is used. A text depends on its prompt, parameters and seed
            alone, never on the prompts beside it.

            EXAMPLES
              zoo generate "Once upon a time"
              zoo generate --temperature 0 --max-tokens 40 "The cat" "The dog"
              zoo generate --file prompts.txt --n 4 --seed 1 --json
              zoo generate --model Models/llama --attention paged --swap-space 2GiB < prompts.txt
              zoo generate --beam-width 4 "Why did"
            """)

    @Argument(help: "Prompts.")
    var prompts: [String] = []

    @Option(help: "Read prompts from the lines of a file; '-' is standard input.")
    var file: String?

    @Option(help: "Search for so many likeliest continuations together instead of sampling.")
    var beamWidth: Int?

    @Option(help: "The power of the length that divides a beam's log-probability.")
    var lengthPenalty = 1.0

    @OptionGroup var engine: EngineArguments
    @OptionGroup var sampling: SamplingArguments
    @OptionGroup var format: FormatOptions

    func run() throws {
        let texts = try allPrompts()
        let params = try sampling.params()
        let llm = try engine.llm(seed: UInt64(bitPattern: Int64(sampling.seed ?? 0)))
        let inputs = texts.map { Prompt.text($0) }
        let begin = AlternatingTimer.now()
        if texts.count == 1, params.n == 1, params.bestOf == nil, beamWidth == nil, !format.json {
            return try stream(llm, texts[0], params)
        }
        let outputs = try reportingEngine { try generate(llm, inputs, params) }
        let seconds = AlternatingTimer.now() - begin
        if format.json {
            for output in outputs { Terminal.out(JSONLines.line(GeneratedText(output, llm))) }
            return
        }
        for (index, output) in outputs.enumerated() {
            for completion in output.outputs {
                let mark = output.outputs.count > 1 ? " (\(completion.index + 1))" : ""
                Terminal.out("[\(index + 1)]\(mark) \(texts[index])\(completion.text)\n\n")
            }
        }
        let tokens = outputs.reduce(0) { $0 + $1.outputs.reduce(0) { $0 + $1.tokenIds.count } }
        Terminal.error(
            "\(tokens) tokens in \(Quantity.seconds(seconds)), \(Int(Double(tokens) / seconds)) a second\n")
    }

    private func generate(_ llm: LLM, _ prompts: [Prompt], _ params: SamplingParams) throws -> [RequestOutput] {
        let bar = Progress(total: prompts.count)
        defer { bar.clear() }
        bar.begin(0, "prompts")
        if let beamWidth {
            let beams = BeamSearchParams(
                beamWidth: beamWidth, maxTokens: sampling.maxTokens, ignoreEos: sampling.ignoreEos,
                lengthPenalty: lengthPenalty)
            return try waiting { try await llm.beamSearch(prompts, beams) }
        }
        return try waiting {
            try await llm.generate(prompts, params) { done in
                if done < prompts.count { bar.begin(done, "prompts") }
            }
        }
    }

    /// Shows one text as it grows.
    private func stream(_ llm: LLM, _ text: String, _ params: SamplingParams) throws {
        Terminal.out(text)
        let begin = AlternatingTimer.now()
        let count = try reportingEngine {
            try waiting {
                var count = 0
                for try await delta in llm.stream(.text(text), params) {
                    Terminal.out(delta.text)
                    count += delta.tokenIds.count
                }
                return count
            }
        }
        let seconds = AlternatingTimer.now() - begin
        Terminal.out("\n")
        if Terminal.showsErrors {
            Terminal.error(
                "\(count) tokens in \(Quantity.seconds(seconds)), \(Int(Double(count) / seconds)) a second\n")
        }
    }

    private func allPrompts() throws -> [String] {
        if !prompts.isEmpty {
            guard file == nil else { throw CommandFailure(.usage, "give prompts or --file, not both") }
            return prompts
        }
        var lines: [String] = []
        if let file, file != "-" {
            guard let content = try? String(contentsOfFile: file, encoding: .utf8) else {
                throw CommandFailure(.data, "--file '\(file)' cannot be read as UTF-8 text")
            }
            lines = content.split(separator: "\n").map(String.init)
        } else {
            while let line = readLine() { lines.append(line) }
            lines.removeAll(where: \.isEmpty)
        }
        guard !lines.isEmpty else {
            throw CommandFailure(.usage, "there is no prompt", advice: "give texts, --file, or lines on standard input")
        }
        return lines
    }
}

/// A result as JSON, in vLLM's names.
struct GeneratedText: Encodable {
    struct Completion: Encodable {
        let index: Int
        let text: String
        let tokenIds: [Int]
        let cumulativeLogprob: Double?
        let logprobs: [[Logprob]]?
        let finishReason: String
        let stopReason: String?
    }

    struct Logprob: Encodable {
        let tokenId: Int
        let token: String
        let logprob: Float
        let rank: Int
    }

    let prompt: String?
    let promptTokenIds: [Int]
    let promptLogprobs: [[Logprob]?]?
    let cachedTokens: Int
    let outputs: [Completion]

    init(_ output: RequestOutput, _ llm: LLM) {
        func named(_ list: [TokenLogprob]) -> [Logprob] {
            list.map {
                Logprob(
                    tokenId: $0.token, token: llm.tokenizer?.decode([$0.token], skipSpecialTokens: false) ?? "",
                    logprob: $0.logprob, rank: $0.rank)
            }
        }
        prompt = output.prompt
        promptTokenIds = output.promptTokenIds
        promptLogprobs = output.promptLogprobs.map { $0.map { $0.map(named) } }
        cachedTokens = output.cachedTokens
        outputs = output.outputs.map { completion in
            Completion(
                index: completion.index, text: completion.text, tokenIds: completion.tokenIds,
                cumulativeLogprob: completion.cumulativeLogprob, logprobs: completion.logprobs.map { $0.map(named) },
                finishReason: completion.finishReason.rawValue,
                stopReason: completion.stopReason.map {
                    switch $0 {
                    case .token(let id): "\(id)"
                    case .text(let text): text
                    }
                })
        }
    }
}
