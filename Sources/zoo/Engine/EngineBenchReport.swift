import BenchHarness
import Foundation

/// What `zoo bench engine` measured.
///
/// Times are in seconds.
struct EngineBenchReport: Encodable {
    /// A distribution.
    struct Times: Encodable {
        let mean: Double
        let p50: Double
        let p99: Double

        init?(_ values: [Double]) {
            guard !values.isEmpty else { return nil }
            let sorted = values.sorted()
            func quantile(_ q: Double) -> Double {
                let place = q * Double(sorted.count - 1)
                let low = Int(place)
                let high = min(low + 1, sorted.count - 1)
                return sorted[low] + (sorted[high] - sorted[low]) * (place - Double(low))
            }
            mean = values.reduce(0, +) / Double(values.count)
            p50 = quantile(0.5)
            p99 = quantile(0.99)
        }
    }

    let model: String
    let isa: String
    let threads: Int
    let requests: Int
    let promptTokens: Int
    let outputTokens: Int
    let seconds: Double
    let requestsPerSecond: Double
    let promptTokensPerSecond: Double
    let outputTokensPerSecond: Double
    /// To the first token.
    let ttft: Times?
    /// For each further token, a mean of every request.
    let tpot: Times?
    /// Between two tokens.
    let itl: Times?
    /// From arrival to end.
    let e2el: Times?
    /// Requests within every limit, for each second; where limits are given.
    let goodputPerSecond: Double?
    let steps: Int
    /// The part of the slots of used pages that held no key, over all steps.
    let waste: Double
    /// The part of the pages that sharing saved, over all steps.
    let shared: Double
    /// The part of a sequence's pages that lie right behind the page before them, over all steps; `nil` where no sequence had
    /// a second one.
    let adjacent: Double?
    let swapped: Int
    let recomputed: Int

    init(_ outcome: EngineLoad.Outcome, model: String, isa: String, threads: Int, limits: [GoodputLimit]) {
        self.model = model
        self.isa = isa
        self.threads = threads
        let traces = outcome.traces.sorted { $0.key < $1.key }.map(\.value)
        requests = traces.count
        promptTokens = traces.reduce(0) { $0 + $1.promptTokens }
        outputTokens = traces.reduce(0) { $0 + $1.outputTokens }
        seconds = outcome.seconds
        requestsPerSecond = Double(traces.count) / outcome.seconds
        promptTokensPerSecond = Double(promptTokens) / outcome.seconds
        outputTokensPerSecond = Double(outputTokens) / outcome.seconds
        let first = traces.map { ($0.tokens.first ?? $0.end) - $0.arrival }
        let each = traces.map { trace in
            trace.tokens.count > 1
                ? ((trace.tokens.last ?? 0) - trace.tokens[0]) / Double(trace.tokens.count - 1) : nil
        }
        let whole = traces.map { $0.end - $0.arrival }
        ttft = Times(first)
        tpot = Times(each.compactMap { $0 })
        itl = Times(traces.flatMap { trace in zip(trace.tokens.dropFirst(), trace.tokens).map { $0 - $1 } })
        e2el = Times(whole)
        let good = traces.indices.count { index in
            limits.allSatisfy { $0.holds(ttft: first[index], tpot: each[index], e2el: whole[index]) }
        }
        goodputPerSecond = limits.isEmpty ? nil : Double(good) / outcome.seconds
        steps = outcome.steps
        waste = outcome.usedSlots == 0 ? 0 : outcome.wastedSlots / outcome.usedSlots
        shared = outcome.logicalPages == 0 ? 0 : 1 - outcome.physicalPages / outcome.logicalPages
        adjacent = outcome.followingPages == 0 ? nil : outcome.adjacentPages / outcome.followingPages
        swapped = outcome.swapped
        recomputed = outcome.recomputed
    }

    /// For people.
    var text: String {
        var result = "\(model) on \(isa), \(threads) threads: \(requests) requests, \(promptTokens) prompt and "
        result += "\(outputTokens) output tokens in \(Quantity.seconds(seconds)), \(steps) steps\n"
        result += String(
            format: "%.2f requests/s, %.1f output tokens/s, %.1f tokens/s in all\n\n", requestsPerSecond,
            outputTokensPerSecond, promptTokensPerSecond + outputTokensPerSecond)
        result += Self.table([
            ("to the first token", ttft), ("per further token", tpot), ("between tokens", itl),
            ("arrival to end", e2el),
        ])
        if let goodputPerSecond { result += String(format: "goodput %.2f requests/s\n", goodputPerSecond) }
        result += String(
            format: "pages: %.1f %% of their slots unused, %.1f %% saved by sharing", waste * 100, shared * 100)
        if let adjacent { result += String(format: ", %.1f %% side by side", adjacent * 100) }
        result += "; \(swapped) swapped out, \(recomputed) computed again\n"
        return result
    }

    /// Distributions under each other.
    static func table(_ rows: [(String, Times?)]) -> String {
        var table = TextTable([
            .init("time"), .init("mean", .right), .init("p50", .right), .init("p99", .right),
        ])
        for (name, times) in rows {
            guard let times else { continue }
            table.add([
                name, Quantity.seconds(times.mean), Quantity.seconds(times.p50), Quantity.seconds(times.p99),
            ])
        }
        return table.render(width: Terminal.width) + "\n"
    }
}
