import NIOCore
import PagedEngine
import Synchronization
import Tokenizers

/// One request's work in the engine, from its acceptance to the last piece of its answer.
///
/// It ends when the client goes, when it takes too long, and when the server ends.
final class Answer: Sendable {
    let feed: RequestFeed
    /// Prompts that are answered together.
    let count: Int
    private let state: ServerState
    private let channel: any Channel
    private let traces: Mutex<[ServerMetrics.Trace]>
    private let early = Mutex<[RequestFeed.News]>([])
    private let watch = Mutex<(gone: Int, timeout: Task<Void, Never>?)>((0, nil))

    /// Hands prompts to the engine, and waits until it has taken all of them.
    /// - Parameters:
    ///   - prompt: the name of the field that the prompts came in.
    ///   - channel: the client's connection.
    /// - Throws: `APIError`; then nothing of it runs.
    init(
        _ requests: [(Prompt, GenerationRequest.Mode)], _ decoder: ServedModel.Decoder, priority: Int, salt: String,
        prompt: String, state: ServerState, channel: any Channel
    ) async throws(APIError) {
        count = requests.count
        self.state = state
        self.channel = channel
        traces = Mutex(requests.map { _ in ServerMetrics.Trace() })
        feed = decoder.llm.open(requests.map { (prompt: $0.0, mode: $0.1) }, priority: priority, cacheSalt: salt)
        state.began(feed)
        let limit = state.configuration.requestTimeout
        let timeout = Task { [feed] in
            try? await Task.sleep(for: .seconds(limit))
            if !Task.isCancelled { feed.interrupt(.timeout) }
        }
        let gone = state.connections.whenGone(channel) { [feed] in feed.interrupt(.disconnected) }
        watch.withLock { $0 = (gone, timeout) }
        do throws(APIError) {
            try await accept(decoder, prompt)
        } catch {
            end()
            throw error
        }
    }

    private func accept(_ decoder: ServedModel.Decoder, _ prompt: String) async throws(APIError) {
        var missing = count
        while missing > 0 {
            let news = await feed.next()
            if news.isEmpty { throw .unavailable("the server is shutting down", retryAfter: 1) }
            for piece in news {
                switch piece {
                case .accepted: missing -= 1
                case .ended(_, .failure(let error)):
                    if case .scheduling(.queueFull) = error { state.metrics.noteRefusal() }
                    throw APIError(error, prompt: prompt, retryAfter: state.retryAfter(decoder.llm))
                case .interrupted(let reason): throw self.error(reason)
                case .delta, .ended: early.withLock { $0.append(piece) }
                }
            }
        }
    }

    /// What has come since the last call; empty when the wait was broken off.
    func next() async -> [RequestFeed.News] {
        let kept = early.withLock { news in
            defer { news = [] }
            return news
        }
        let news = kept.isEmpty ? await feed.next() : kept
        traces.withLock { traces in
            for piece in news {
                switch piece {
                case .delta(let request, let delta):
                    state.metrics.note(tokens: delta.tokenIds.count, &traces[request])
                case .ended(let request, .success(let output)):
                    // Where candidates are ranked, their tokens come with the end.
                    if traces[request].tokens == 0 {
                        state.metrics.note(
                            tokens: output.outputs.reduce(0) { $0 + $1.tokenIds.count }, &traces[request])
                    }
                    state.metrics.note(end: output, traces[request])
                case .accepted, .ended, .interrupted: break
                }
            }
        }
        return news
    }

    /// Waits for all results.
    /// - Parameter prompt: the name of the field that the prompts came in.
    /// - Throws: `APIError`; then nothing of it runs.
    func outputs(prompt: String) async throws(APIError) -> [RequestOutput] {
        defer { end() }
        var outputs = [RequestOutput?](repeating: nil, count: count)
        while outputs.contains(where: { $0 == nil }) {
            let news = await next()
            if news.isEmpty { throw error(.shutdown) }
            for piece in news {
                switch piece {
                case .ended(let request, .success(let output)): outputs[request] = output
                case .ended(_, .failure(let error)): throw APIError(error, prompt: prompt, retryAfter: 1)
                case .interrupted(let reason): throw self.error(reason)
                case .accepted, .delta: break
                }
            }
        }
        return outputs.compactMap { $0 }
    }

    /// What is said when an answer ends early.
    func error(_ reason: RequestFeed.Interruption) -> APIError {
        switch reason {
        case .disconnected: .fault("the client has gone")
        case .timeout: .timeout(seconds: state.configuration.requestTimeout)
        case .shutdown: .unavailable("the server is shutting down", retryAfter: 1)
        }
    }

    /// Nothing more is wanted.
    func end() {
        let (gone, timeout) = watch.withLock { $0 }
        timeout?.cancel()
        state.connections.forget(channel, gone)
        feed.close()
        state.ended(feed)
    }
}
