import ArgumentParser
import BenchHarness
import Foundation
import Kernels
import PagedEngine
import TensorCore
import TransformerBlocks

/// `zoo bench engine`: throughput and latency of many requests.
struct EngineBenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "engine", abstract: "Time an engine under many requests.",
        discussion: """
            Prompts are random tokens. Times are those of vLLM's serving benchmark: to the first token (TTFT), for each
            further token (TPOT), between two tokens (ITL), from arrival to end (E2EL). Requests arrive all at once, or by a
            Poisson process at --request-rate.

            EXAMPLES
              zoo bench engine --prompts 64
              zoo bench engine --model Models/llama --request-rate 4 --goodput ttft:500 --goodput tpot:60
              zoo bench engine --model DIR --random-weights 1 --input-len 512 --output-len 1 --prompts 1 --json -
              zoo bench engine --lengths sharegpt --prompts 200 --n 4
            """)

    /// Lengths of prompts and continuations.
    enum Lengths: String, ExpressibleByArgument, CaseIterable {
        /// All alike.
        case fixed
        /// Means of 161 and 338 tokens, log-normal: as the vLLM paper reports of ShareGPT.
        case sharegpt
        /// Means of 19 and 58: as it reports of Alpaca.
        case alpaca

        var means: (input: Double, output: Double)? {
            switch self {
            case .fixed: nil
            case .sharegpt: (161.31, 337.99)
            case .alpaca: (19.31, 58.45)
            }
        }
    }

    @Option(help: "Requests.")
    var prompts = 16

    @Option(help: "Lengths: fixed, sharegpt or alpaca.")
    var lengths = Lengths.fixed

    @Option(help: "Tokens of a prompt, where lengths are fixed.")
    var inputLen = 128

    @Option(help: "Tokens of a continuation, where lengths are fixed.")
    var outputLen = 64

    @Option(help: "Tokens at the beginning that all prompts share.")
    var sharedLen = 0

    @Option(help: "Requests that arrive in a second; by default all arrive at once.")
    var requestRate: Double?

    @Option(help: "The most requests that are worked on at once.")
    var maxConcurrency: Int?

    @Option(help: "Continuations of each prompt.")
    var n = 1

    @Option(help: "Search for so many likeliest continuations together.")
    var beam: Int?

    @Option(
        help: ArgumentHelp(
            "Milliseconds that a good request keeps to, as ttft:500, tpot:50 or e2el:3000; may be given several times.",
            valueName: "metric:ms"))
    var goodput: [String] = []

    @Option(help: "The seed of lengths, prompts and arrivals.")
    var seed: UInt64 = 0

    @Option(help: ArgumentHelp("Write the result as a JSON line; '-' is standard output.", valueName: "file"))
    var json: String?

    @OptionGroup var engine: EngineArguments

    func validate() throws {
        for (name, value) in [
            ("--prompts", prompts), ("--input-len", inputLen), ("--output-len", outputLen), ("--n", n),
        ]
        where value < 1 {
            throw ValidationError("\(name) is \(value); expected a number from 1 up.")
        }
        if let requestRate, !(requestRate > 0) {
            throw ValidationError("--request-rate is \(requestRate); expected a number above 0.")
        }
    }

    func run() throws {
        let limits = try goodput.map(GoodputLimit.init)
        let options = try engine.options(seed: seed)
        let registry = try engine.plugins.makeRegistry()
        let context = try engine.context()
        let directory = try engine.directory()
        let model = try engine.decoder(directory, options, registry, context)
        let core = try reportingEngine {
            try Engine(EngineModel(model, registry: registry, tokenizer: nil), options: options)
        }
        let load = EngineLoad(
            requests: requests(vocabulary: model.vocabulary, longest: core.maxModelLen), maxConcurrency: maxConcurrency)
        let report = try reportingEngine {
            // The first step meets cold memory and threads.
            _ = try EngineLoad(requests: [load.warmUp], maxConcurrency: nil).run(core)
            return EngineBenchReport(
                try load.run(core), model: directory, isa: context.isa, threads: context.threads, limits: limits)
        }
        if let json {
            let line = JSONLines.line(report)
            if json == "-" { Terminal.out(line) } else { try OutputFile.write(line, to: json) }
        }
        if json != "-" { Terminal.out(report.text) }
    }

    private func requests(vocabulary: Int, longest: Int) -> [EngineLoad.Arrival] {
        var random = CounterRandom(seed: seed)
        func logNormal(_ mean: Double) -> Int {
            // The mean of a log-normal distribution is exp(mu + sigma² / 2).
            let sigma = 1.0
            return max(1, Int(exp(log(mean) - sigma * sigma / 2 + sigma * random.normal()).rounded()))
        }
        let common = (0..<sharedLen).map { _ in Int.random(in: 0..<vocabulary, using: &random) }
        var time = 0.0
        return (0..<prompts).map { id in
            let means = lengths.means
            let input = min(means.map { logNormal($0.input) } ?? inputLen, longest - 1 - sharedLen)
            let output = min(means.map { logNormal($0.output) } ?? outputLen, longest - sharedLen - input)
            let prompt = common + (0..<max(1, input)).map { _ in Int.random(in: 0..<vocabulary, using: &random) }
            if let requestRate { time -= log(random.openUniform()) / requestRate }
            let mode: GenerationRequest.Mode =
                if let beam {
                    .beam(BeamSearchParams(beamWidth: beam, maxTokens: output, ignoreEos: true))
                } else {
                    .sampling(
                        SamplingParams(n: n, temperature: n > 1 ? 1 : 0, seed: id, ignoreEos: true, maxTokens: output))
                }
            return EngineLoad.Arrival(
                time: requestRate == nil ? 0 : time,
                request: GenerationRequest(id: id, prompt: .tokens(prompt), mode: mode))
        }
    }
}

/// A limit that a good request keeps to.
struct GoodputLimit {
    let metric: String
    let seconds: Double

    init(_ text: String) throws {
        let parts = text.split(separator: ":")
        guard parts.count == 2, ["ttft", "tpot", "e2el"].contains(String(parts[0])), let value = Double(parts[1]),
            value > 0
        else {
            throw CommandFailure(
                .usage, "--goodput is '\(text)'; expected ttft, tpot or e2el and milliseconds, as ttft:500")
        }
        metric = String(parts[0])
        seconds = value / 1000
    }

    /// Whether the times of a request, in seconds, are within the limit.
    func holds(ttft: Double, tpot: Double?, e2el: Double) -> Bool {
        switch metric {
        case "ttft": ttft <= seconds
        case "tpot": (tpot ?? 0) <= seconds
        default: e2el <= seconds
        }
    }
}

extension CounterRandom {
    /// A number above 0 and below 1, whose logarithm is finite.
    mutating func openUniform() -> Double { (Double(next() >> 11) + 0.5) / Double(1 << 53) }

    /// A number of the standard normal distribution (Box and Muller, 1958).
    mutating func normal() -> Double { (-2 * log(openUniform())).squareRoot() * cos(2 * .pi * openUniform()) }
}
