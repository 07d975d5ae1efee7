import PagedEngine
import Synchronization

/// What a server is doing: whether it answers, with what, and which answers are running.
final class ServerState: Sendable {
    /// Whether requests are answered.
    enum Phase: Sendable {
        /// The model is being opened.
        case loading
        case ready(ServedModel)
        /// Running answers end; no others begin.
        case draining(ServedModel?)
    }

    private struct State {
        var phase = Phase.loading
        var feeds: [ObjectIdentifier: RequestFeed] = [:]
    }

    let configuration: ServerConfiguration
    let metrics = ServerMetrics()
    let connections = Connections()
    private let state = Mutex(State())

    init(_ configuration: ServerConfiguration) { self.configuration = configuration }

    /// Whether requests are answered.
    var phase: Phase { state.withLock { $0.phase } }

    /// The model, once it is there.
    var served: ServedModel? {
        switch phase {
        case .loading: nil
        case .ready(let model): model
        case .draining(let model): model
        }
    }

    /// The model.
    /// - Throws: `APIError` of status 503 while it is opened, and when the server ends.
    func ready() throws(APIError) -> ServedModel {
        switch phase {
        case .ready(let model): return model
        case .loading: throw .unavailable("the model is being loaded", retryAfter: 1)
        case .draining:
            throw .unavailable("the server is shutting down", retryAfter: max(1, configuration.drainTimeout))
        }
    }

    /// The model is there.
    func finishLoading(_ model: ServedModel) {
        state.withLock { state in
            if case .loading = state.phase { state.phase = .ready(model) }
        }
    }

    /// From now on nothing begins.
    func startDraining() {
        state.withLock { state in
            switch state.phase {
            case .loading: state.phase = .draining(nil)
            case .ready(let model): state.phase = .draining(model)
            case .draining: break
            }
        }
    }

    /// Answers that are running.
    var runningAnswers: Int { state.withLock { $0.feeds.count } }

    /// Ends every answer.
    func interruptAll() {
        for feed in state.withLock({ Array($0.feeds.values) }) { feed.interrupt(.shutdown) }
    }

    func began(_ feed: RequestFeed) { state.withLock { $0.feeds[ObjectIdentifier(feed)] = feed } }

    func ended(_ feed: RequestFeed) { state.withLock { _ = $0.feeds.removeValue(forKey: ObjectIdentifier(feed)) } }

    /// Seconds after which a full queue may have room.
    func retryAfter(_ llm: LLM) -> Int { metrics.secondsToWait(behind: llm.snapshot.queued) }
}
