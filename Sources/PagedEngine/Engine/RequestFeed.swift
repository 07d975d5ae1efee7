import Synchronization

/// News of requests that belong together, kept until their one reader takes them.
///
/// What a slow reader has not taken is joined, so that a feed holds a few pieces and the text itself, never one piece for
/// each token.
package final class RequestFeed: Sendable {
    /// What has come.
    ///
    /// `request` counts those of the feed, from 0.
    package enum News: Sendable {
        /// The engine has taken a request into its queue.
        case accepted(request: Int)
        /// Text was added to a continuation.
        case delta(request: Int, RequestDelta)
        /// A request has ended.
        case ended(request: Int, Result<RequestOutput, EngineError>)
        /// Somebody ends the feed before its requests do.
        case interrupted(Interruption)
    }

    /// Why a feed ends early.
    package enum Interruption: Sendable, Hashable {
        /// The reader is gone.
        case disconnected
        /// The requests have taken too long.
        case timeout
        /// The service ends.
        case shutdown
    }

    fileprivate struct State {
        var news: [News] = []
        var ids: [Int] = []
        var reader: CheckedContinuation<[News], Never>?
        var interruption: Interruption?
        var isCancelled = false
    }

    /// Pieces that a reader may be behind before they are joined.
    private static let loosePieces = 32

    private let state = Mutex(State())
    private let loop: EngineLoop

    init(_ loop: EngineLoop) { self.loop = loop }

    /// Hands a request in; its news come here.
    func submit(
        _ prompt: Prompt, _ mode: GenerationRequest.Mode, priority: Int, cacheSalt: String, number: Int
    ) {
        let id = loop.submit(
            prompt, mode, priority: priority, cacheSalt: cacheSalt,
            listener: EngineLoop.Listener(
                waits: false, accepted: { [self] in put(.accepted(request: number)) },
                delta: { [self] in put(.delta(request: number, $0)) },
                end: { [self] in put(.ended(request: number, $0)) }))
        let isOver = state.withLock { state in
            state.ids.append(id)
            return state.interruption != nil
        }
        if isOver { loop.cancel(id) }
    }

    /// What has come since the last call; waits for something, and is empty when the wait was broken off.
    ///
    /// One reader at a time.
    package func next() async -> [News] {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let news = state.withLock { state -> [News]? in
                    if state.news.isEmpty, !state.isCancelled {
                        state.reader = continuation
                        return nil
                    }
                    defer { state.news = [] }
                    return state.news
                }
                if let news { continuation.resume(returning: news) }
            }
        } onCancel: {
            state.withLock { $0.isCancelled = true }
            nudge()
        }
    }

    /// Breaks off the reader's wait.
    package func nudge() {
        let reader = state.withLock { state in
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume(returning: [])
    }

    /// Ends the requests, whatever they do, and tells the reader why; the first reason counts.
    package func interrupt(_ reason: Interruption) {
        let ids = state.withLock { state -> [Int]? in
            guard state.interruption == nil else { return nil }
            state.interruption = reason
            return state.ids
        }
        guard let ids else { return }
        // The reason comes before what the cancelled requests still say.
        put(.interrupted(reason))
        ids.forEach(loop.cancel)
    }

    /// Ends the requests that have not ended; for a reader who takes no more.
    package func close() {
        state.withLock { $0.ids }.forEach(loop.cancel)
    }

    private func put(_ news: News) {
        let reader = state.withLock { state -> (CheckedContinuation<[News], Never>, [News])? in
            state.add(news, loose: Self.loosePieces)
            guard let reader = state.reader else { return nil }
            defer { (state.reader, state.news) = (nil, []) }
            return (reader, state.news)
        }
        if let (reader, news) = reader { reader.resume(returning: news) }
    }
}

extension RequestFeed.State {
    /// Adds news, joined with the last of the same continuation where there are many.
    fileprivate mutating func add(_ piece: RequestFeed.News, loose: Int) {
        guard news.count >= loose, case .delta(let request, let delta) = piece,
            let place = news.lastIndex(where: { $0.isDelta(of: request, delta.index) }),
            case .delta(_, let before) = news[place]
        else {
            news.append(piece)
            return
        }
        news[place] = .delta(request: request, before.joined(with: delta))
    }
}

extension RequestFeed.News {
    fileprivate func isDelta(of request: Int, _ index: Int) -> Bool {
        if case .delta(request, let delta) = self { delta.index == index } else { false }
    }
}

extension RequestDelta {
    /// This and what follows it as one.
    fileprivate func joined(with next: RequestDelta) -> RequestDelta {
        RequestDelta(
            index: index, text: text + next.text, tokenIds: tokenIds + next.tokenIds,
            logprobs: logprobs.map { $0 + (next.logprobs ?? []) }, finishReason: next.finishReason,
            stopReason: next.stopReason)
    }
}
