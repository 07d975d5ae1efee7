import AsyncHTTPClient
import BenchHarness
import Foundation
import NIOCore
import NIOHTTP1
import Tokenizers

/// Requests that arrive at a server, and when the pieces of their answers came.
struct ServeLoad: Sendable {
    /// A request and when it arrives, in seconds.
    struct Arrival: Sendable {
        let time: Double
        let tokens: [Int]
        let outputTokens: Int
    }

    /// What became of a request; times are in seconds since the first arrival.
    struct Trace: Sendable {
        let arrival: Double
        var pieces: [Double] = []
        var end = 0.0
        var promptTokens = 0
        var outputTokens = 0
        /// Why it failed.
        var failure: String?
    }

    let url: String
    let model: String?
    let apiKey: String?
    let arrivals: [Arrival]
    let maxConcurrency: Int?

    /// Sends every request, as a stream, and waits for all ends.
    func run() async throws -> (traces: [Trace], seconds: Double) {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = max(
            64, maxConcurrency ?? arrivals.count)
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        var traces = [Trace?](repeating: nil, count: arrivals.count)
        let bar = Progress(total: arrivals.count)
        let begin = ContinuousClock.now
        @Sendable func now() -> Double { (ContinuousClock.now - begin) / .seconds(1) }
        await withTaskGroup(of: (Int, Trace).self) { group in
            var active = 0
            var done = 0
            func take(_ result: (Int, Trace)?) {
                guard let (index, trace) = result else { return }
                traces[index] = trace
                active -= 1
                done += 1
                bar.begin(done, "requests")
            }
            for (index, arrival) in arrivals.enumerated() {
                while active >= maxConcurrency ?? .max { take(await group.next()) }
                let wait = arrival.time - now()
                if wait > 0 { try? await Task.sleep(for: .seconds(wait)) }
                active += 1
                // A request that had to wait outside arrives when it is let in.
                let arrived = maxConcurrency == nil ? max(arrival.time, 0) : now()
                group.addTask { (index, await send(arrival, Trace(arrival: arrived), client, now)) }
            }
            while active > 0 { take(await group.next()) }
        }
        let seconds = now()
        bar.clear()
        try await client.shutdown()
        return (traces.compactMap { $0 }, seconds)
    }

    private func send(
        _ arrival: Arrival, _ trace: Trace, _ client: HTTPClient, _ now: @Sendable () -> Double
    ) async -> Trace {
        var trace = trace
        do {
            let response = try await client.execute(request(arrival), timeout: .hours(1))
            guard response.status == .ok else {
                let body = try await response.body.collect(upTo: 1 << 16)
                trace.failure = "status \(response.status.code): \(String(buffer: body).prefix(200))"
                trace.end = now()
                return trace
            }
            var rest = ""
            for try await part in response.body {
                rest += String(buffer: part)
                while let end = rest.firstRange(of: "\n\n") {
                    note(String(rest[..<end.lowerBound]), now(), &trace)
                    rest.removeSubrange(..<end.upperBound)
                }
            }
        } catch {
            trace.failure = "\(error)"
        }
        trace.end = now()
        if trace.failure == nil, trace.outputTokens == 0 { trace.failure = "the stream ended without a usage" }
        return trace
    }

    private func request(_ arrival: Arrival) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: url + "/v1/completions")
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        if let apiKey { request.headers.add(name: "Authorization", value: "Bearer \(apiKey)") }
        let name = model.map { ",\"model\":\($0.jsonQuoted())" } ?? ""
        let body =
            "{\"prompt\":\(arrival.tokens),\"max_tokens\":\(arrival.outputTokens),\"temperature\":0,\"ignore_eos\":true,"
            + "\"stream\":true,\"stream_options\":{\"include_usage\":true}\(name)}"
        request.body = .bytes(ByteBuffer(string: body))
        return request
    }

    /// Notes an event.
    private func note(_ event: String, _ time: Double, _ trace: inout Trace) {
        guard event.hasPrefix("data: "), event != "data: [DONE]",
            let value = try? TemplateValue(json: Array(event.utf8.dropFirst(6)), name: "an event")
        else { return }
        if case .object(let error)? = value["error"] { trace.failure = "\(error)" }
        if let usage = value["usage"], case .integer(let prompt)? = usage["prompt_tokens"],
            case .integer(let output)? = usage["completion_tokens"]
        {
            trace.promptTokens = prompt
            trace.outputTokens = output
        }
        guard case .array(let choices)? = value["choices"], let choice = choices.first,
            case .string(let text)? = choice["text"], !text.isEmpty
        else { return }
        trace.pieces.append(time)
    }
}

extension TemplateValue {
    /// A field of an object.
    fileprivate subscript(name: String) -> TemplateValue? {
        guard case .object(let fields) = self else { return nil }
        return fields.first { $0.name == name }?.value
    }
}
