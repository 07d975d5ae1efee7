import HTTPTypes
import HummingbirdCore
import NIOCore
import PagedEngine
import Synchronization
import Tokenizers

/// What one kind of answer looks like in pieces.
protocol AnswerPieces: Sendable {
    /// What comes before the first token.
    mutating func beginning() -> [JSON]
    /// What a continuation's news become.
    mutating func pieces(request: Int, _ delta: RequestDelta) -> [JSON]
    /// Notes what a request used.
    mutating func note(_ output: RequestOutput)
    /// What comes after the last token.
    mutating func ending() -> [JSON]
}

/// Server-sent events: one `data:` line and one write for each.
enum EventStream {
    static let headers: HTTPFields = [
        .contentType: "text/event-stream", .cacheControl: "no-cache", .init("X-Accel-Buffering")!: "no",
    ]

    /// A response that tells an answer piece by piece.
    static func response(_ answer: Answer, _ pieces: some AnswerPieces, _ state: ServerState, _ channel: any Channel)
        -> Response
    {
        Response(
            status: .ok, headers: headers,
            body: ResponseBody { writer in
                let watch = StreamWatch(answer, state.configuration, channel)
                defer {
                    watch.stop()
                    answer.end()
                }
                try await write(answer, pieces, to: &writer, watch)
                try await writer.finish(nil)
            })
    }

    private static func write(
        _ answer: Answer, _ pieces: some AnswerPieces, to writer: inout any ResponseBodyWriter, _ watch: StreamWatch
    ) async throws {
        var pieces = pieces
        func send(_ text: String) async throws {
            watch.writing(true)
            try await writer.write(ByteBuffer(string: text))
            watch.writing(false)
        }
        for piece in pieces.beginning() { try await send("data: \(piece.jsonText)\n\n") }
        var open = answer.count
        while open > 0 {
            let news = await answer.next()
            if news.isEmpty {
                try Task.checkCancellation()
                try await send(": keep-alive\n\n")
                continue
            }
            for piece in news {
                var failure: APIError?
                switch piece {
                case .delta(let request, let delta):
                    for piece in pieces.pieces(request: request, delta) {
                        try await send("data: \(piece.jsonText)\n\n")
                    }
                case .ended(_, .success(let output)):
                    pieces.note(output)
                    open -= 1
                case .ended(_, .failure(let error)): failure = APIError(error, prompt: "prompt", retryAfter: 1)
                case .interrupted(let reason): failure = answer.error(reason)
                case .accepted: break
                }
                if let failure { return try await send("data: \(failure.json.jsonText)\n\n") }
            }
        }
        for piece in pieces.ending() { try await send("data: \(piece.jsonText)\n\n") }
        try await send("data: [DONE]\n\n")
    }
}

/// Looks after a stream that is being written: breaks its waits for a comment, and ends it where its reader stands still.
private final class StreamWatch: Sendable {
    private let since = Mutex<ContinuousClock.Instant?>(nil)
    private let tasks = Mutex<[Task<Void, Never>]>([])

    init(_ answer: Answer, _ configuration: ServerConfiguration, _ channel: any Channel) {
        let comments = Task { [feed = answer.feed] in
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(configuration.keepAlive))
                if !Task.isCancelled { feed.nudge() }
            }
        }
        let limit = Duration.seconds(configuration.writeTimeout)
        let stalls = Task { [weak self] in
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(1))
                guard let self else { return }
                if let since = self.since.withLock({ $0 }), ContinuousClock.now - since > limit {
                    return channel.close(promise: nil)
                }
            }
        }
        tasks.withLock { $0 = [comments, stalls] }
    }

    /// A write begins, or is done.
    func writing(_ begins: Bool) { since.withLock { $0 = begins ? .now : nil } }

    func stop() { tasks.withLock { $0 }.forEach { $0.cancel() } }
}
