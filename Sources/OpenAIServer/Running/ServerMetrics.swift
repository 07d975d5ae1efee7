import PagedEngine
import Synchronization

/// Counts and times of the server's requests, and Prometheus' text of them: vLLM's names where the meaning is the same.
final class ServerMetrics: Sendable {
    private struct State {
        var firstToken = Histogram(Histogram.firstTokenBounds)
        var betweenTokens = Histogram(Histogram.tokenBounds)
        var perToken = Histogram(Histogram.tokenBounds)
        var wholeRequest = Histogram(Histogram.requestBounds)
        var finished: [FinishReason: Int] = [:]
        var promptTokens = 0
        var generatedTokens = 0
        var refused = 0
        /// When the last requests ended.
        var ends: [ContinuousClock.Instant] = []
    }

    /// Requests whose ends tell how fast the queue moves.
    private static let rememberedEnds = 64

    private let state = Mutex(State())

    /// The times of one request so far.
    struct Trace: Sendable {
        let arrival = ContinuousClock.now
        var first: ContinuousClock.Instant?
        var last: ContinuousClock.Instant?
        var tokens = 0
    }

    /// Notes that tokens have come.
    func note(tokens: Int, _ trace: inout Trace) {
        guard tokens > 0 else { return }
        let now = ContinuousClock.now
        state.withLock { state in
            state.generatedTokens += tokens
            if let last = trace.last {
                // Tokens that come together have waited together.
                for _ in 0..<tokens { state.betweenTokens.add((now - last).seconds / Double(tokens)) }
            } else {
                state.firstToken.add((now - trace.arrival).seconds)
            }
        }
        trace.first = trace.first ?? now
        trace.last = now
        trace.tokens += tokens
    }

    /// Notes that a request has ended.
    func note(end output: RequestOutput, _ trace: Trace) {
        let now = ContinuousClock.now
        state.withLock { state in
            state.promptTokens += output.promptTokenIds.count
            for completion in output.outputs { state.finished[completion.finishReason, default: 0] += 1 }
            state.wholeRequest.add((now - trace.arrival).seconds)
            if let first = trace.first, let last = trace.last, trace.tokens > 1 {
                state.perToken.add((last - first).seconds / Double(trace.tokens - 1))
            }
            state.ends.append(now)
            if state.ends.count > Self.rememberedEnds { state.ends.removeFirst() }
        }
    }

    /// Notes a request that found the queue full.
    func noteRefusal() { state.withLock { $0.refused += 1 } }

    /// Whole seconds after which a queue of that length has moved on, from 1 to 60, as fast as requests ended lately.
    func secondsToWait(behind queued: Int) -> Int {
        state.withLock { state in
            guard let first = state.ends.first, let last = state.ends.last, last > first else { return 1 }
            let each = (ContinuousClock.now - first).seconds / Double(state.ends.count)
            // Half the queue: those who come back then find room, and not all at once.
            return max(1, min(60, Int((each * Double(queued) / 2).rounded(.up))))
        }
    }

    /// Prometheus' text format.
    func text(_ snapshot: EngineSnapshot?, model: ServedModel?) -> String {
        var text = MetricsText(model: model?.decoder?.name ?? model?.encoder?.name ?? "")
        if let snapshot { text.add(snapshot) }
        let state = state.withLock { $0 }
        text.counter("vllm:prompt_tokens_total", "Tokens of the prompts of ended requests.", state.promptTokens)
        text.counter("vllm:generation_tokens_total", "Tokens that were generated.", state.generatedTokens)
        text.heading("vllm:request_success_total", "counter", "Continuations that ended, by why.")
        for reason in FinishReason.allCases {
            text.sample(
                "vllm:request_success_total", "\(state.finished[reason] ?? 0)",
                labels: [("finished_reason", reason.rawValue)])
        }
        text.counter("zoo:requests_refused_total", "Requests that found the queue full.", state.refused)
        text.histogram("vllm:time_to_first_token_seconds", "From arrival to the first token.", state.firstToken)
        text.histogram("vllm:inter_token_latency_seconds", "Between two tokens.", state.betweenTokens)
        text.histogram(
            "vllm:request_time_per_output_token_seconds", "For each further token, a mean of every request.",
            state.perToken)
        text.histogram("vllm:e2e_request_latency_seconds", "From arrival to end.", state.wholeRequest)
        if let decoder = model?.decoder {
            text.heading("zoo:attention_operator_info", "gauge", "The operators in use.")
            let operators = decoder.operators
            for (phase, name) in [("prefill", operators.prefill), ("decode", operators.decode)] {
                text.sample("zoo:attention_operator_info", "1", labels: [("phase", phase), ("operator", name)])
            }
        }
        return text.result
    }
}

extension Duration {
    /// The duration in seconds.
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
