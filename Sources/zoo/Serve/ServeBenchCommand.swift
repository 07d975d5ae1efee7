import ArgumentParser
import BenchHarness
import Foundation
import TensorCore

/// `zoo bench serve`: throughput and latency of a server under many clients.
struct ServeBenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Time a running server of OpenAI's interface under many clients.",
        discussion: """
            Any server that streams /v1/completions and tells its usage can be timed. Prompts are random tokens. Times are
            those of vLLM's serving benchmark: to the first token (TTFT), for each further token (TPOT), between two pieces
            (ITL), from arrival to end (E2EL). Requests arrive all at once, or with --request-rate by a Poisson process;
            --burstiness below 1 makes them come in bursts, above 1 more evenly (a gamma process).

            EXAMPLES
              zoo serve --port 8000 &
              zoo bench serve --prompts 100 --request-rate 4
              zoo bench serve --url http://127.0.0.1:8080 --prompts 64 --max-concurrency 16 --json -
              zoo bench serve --request-rate 8 --burstiness 0.3 --goodput ttft:500 --goodput tpot:60
            """)

    @Option(help: "The server.")
    var url = "http://127.0.0.1:8000"

    @Option(help: "The model to ask for; by default whatever the server serves.")
    var model: String?

    @Option(help: "A key of the server.")
    var apiKey: String?

    @Option(help: "Requests.")
    var prompts = 16

    @Option(help: "Tokens of a prompt.")
    var inputLen = 128

    @Option(help: "Tokens of a continuation.")
    var outputLen = 64

    @Option(help: "Prompts are of tokens from 0 to below this.")
    var vocabulary = 1024

    @Option(help: "Requests that arrive in a second; by default all arrive at once.")
    var requestRate: Double?

    @Option(help: "How evenly requests arrive: 1 is a Poisson process, less is bursty.")
    var burstiness = 1.0

    @Option(help: "The most requests that are on their way at once.")
    var maxConcurrency: Int?

    @Option(
        help: ArgumentHelp(
            "Milliseconds that a good request keeps to, as ttft:500, tpot:50 or e2el:3000; may be given several times.",
            valueName: "metric:ms"))
    var goodput: [String] = []

    @Option(help: "The seed of prompts and arrivals.")
    var seed: UInt64 = 0

    @Option(help: ArgumentHelp("Write the result as a JSON line; '-' is standard output.", valueName: "file"))
    var json: String?

    func validate() throws {
        for (name, value) in [
            ("--prompts", prompts), ("--input-len", inputLen), ("--output-len", outputLen),
            ("--vocabulary", vocabulary),
            ("--max-concurrency", maxConcurrency ?? 1),
        ]
        where value < 1 {
            throw ValidationError("\(name) is \(value); expected a number from 1 up.")
        }
        for (name, value) in [("--request-rate", requestRate ?? 1), ("--burstiness", burstiness)] where !(value > 0) {
            throw ValidationError("\(name) is \(value); expected a number above 0.")
        }
    }

    func run() throws {
        let limits = try goodput.map(GoodputLimit.init)
        let load = ServeLoad(
            url: url.hasSuffix("/") ? String(url.dropLast()) : url, model: model, apiKey: apiKey, arrivals: arrivals(),
            maxConcurrency: maxConcurrency)
        // The first request meets cold memory and threads.
        let warm = ServeLoad(
            url: load.url, model: model, apiKey: apiKey,
            arrivals: [.init(time: 0, tokens: Array(load.arrivals[0].tokens.prefix(32)), outputTokens: 4)],
            maxConcurrency: nil)
        let (first, _) = try waiting { try await warm.run() }
        if let failure = first.first?.failure {
            throw CommandFailure(.data, "the server at \(url) does not answer: \(failure)", advice: "start 'zoo serve'")
        }
        let (traces, seconds) = try waiting { try await load.run() }
        let report = ServeBenchReport(traces, seconds: seconds, url: url, limits: limits)
        if let json {
            let line = JSONLines.line(report)
            if json == "-" { Terminal.out(line) } else { try OutputFile.write(line, to: json) }
        }
        if json != "-" { Terminal.out(report.text) }
        if report.failed > 0 { throw ExitCode(1) }
    }

    private func arrivals() -> [ServeLoad.Arrival] {
        var random = CounterRandom(seed: seed)
        var time = 0.0
        return (0..<prompts).map { _ in
            if let requestRate {
                time += Self.gamma(shape: burstiness, &random) / (burstiness * requestRate)
            }
            let tokens = (0..<inputLen).map { _ in Int.random(in: 0..<vocabulary, using: &random) }
            return ServeLoad.Arrival(time: time, tokens: tokens, outputTokens: outputLen)
        }
    }

    /// A draw from the gamma distribution of scale 1 (Marsaglia and Tsang, 2000).
    private static func gamma(shape: Double, _ random: inout CounterRandom) -> Double {
        if shape < 1 { return gamma(shape: shape + 1, &random) * pow(random.openUniform(), 1 / shape) }
        let d = shape - 1.0 / 3
        let c = 1 / (9 * d).squareRoot()
        while true {
            let normal = random.normal()
            let v = pow(1 + c * normal, 3)
            if v > 0, log(random.openUniform()) < normal * normal / 2 + d - d * v + d * log(v) { return d * v }
        }
    }
}

/// What `zoo bench serve` measured.
///
/// Times are in seconds.
struct ServeBenchReport: Encodable {
    let url: String
    let requests: Int
    let failed: Int
    /// The first failure.
    let failure: String?
    let promptTokens: Int
    let outputTokens: Int
    let seconds: Double
    let requestsPerSecond: Double
    let outputTokensPerSecond: Double
    let ttft: EngineBenchReport.Times?
    let tpot: EngineBenchReport.Times?
    let itl: EngineBenchReport.Times?
    let e2el: EngineBenchReport.Times?
    /// Requests within every limit, for each second; where limits are given.
    let goodputPerSecond: Double?

    init(_ traces: [ServeLoad.Trace], seconds: Double, url: String, limits: [GoodputLimit]) {
        let good = traces.filter { $0.failure == nil && !$0.pieces.isEmpty }
        self.url = url
        self.seconds = seconds
        requests = traces.count
        failed = traces.count - good.count
        failure = traces.lazy.compactMap(\.failure).first
        promptTokens = good.reduce(0) { $0 + $1.promptTokens }
        outputTokens = good.reduce(0) { $0 + $1.outputTokens }
        requestsPerSecond = Double(good.count) / seconds
        outputTokensPerSecond = Double(outputTokens) / seconds
        func first(_ trace: ServeLoad.Trace) -> Double { trace.pieces[0] - trace.arrival }
        func whole(_ trace: ServeLoad.Trace) -> Double { trace.end - trace.arrival }
        func each(_ trace: ServeLoad.Trace) -> Double? {
            trace.outputTokens > 1 ? (trace.end - trace.pieces[0]) / Double(trace.outputTokens - 1) : nil
        }
        ttft = .init(good.map(first))
        tpot = .init(good.compactMap(each))
        itl = .init(good.flatMap { zip($0.pieces.dropFirst(), $0.pieces).map { $0 - $1 } })
        e2el = .init(good.map(whole))
        let kept = good.count { trace in
            limits.allSatisfy { $0.holds(ttft: first(trace), tpot: each(trace), e2el: whole(trace)) }
        }
        goodputPerSecond = limits.isEmpty ? nil : Double(kept) / seconds
    }

    /// For people.
    var text: String {
        var result =
            "\(url): \(requests) requests, \(promptTokens) prompt and \(outputTokens) output tokens in "
            + "\(Quantity.seconds(seconds))\n"
        if let failure { result += "\(failed) failed, the first by: \(failure)\n" }
        result += String(format: "%.2f requests/s, %.1f output tokens/s\n\n", requestsPerSecond, outputTokensPerSecond)
        result += EngineBenchReport.table([
            ("to the first token", ttft), ("per further token", tpot), ("between pieces", itl),
            ("arrival to end", e2el),
        ])
        if let goodputPerSecond { result += String(format: "goodput %.2f requests/s\n", goodputPerSecond) }
        return result
    }
}
