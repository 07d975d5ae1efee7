import Logging
import PagedEngine
import ServiceLifecycle

/// Opens the model while the server already answers `/health`.
struct LoadingService: Service {
    let state: ServerState
    let logger: Logger
    let load: @Sendable () throws -> ServedModel

    func run() async throws {
        let begin = ContinuousClock.now
        let load = load
        // Opening a model blocks: it has a thread of its own.
        let model = try await withCheckedThrowingContinuation { continuation in
            BlockingThread.run { continuation.resume(with: Result(catching: load)) }
        }
        // The first step meets cold memory, and lets the dispatcher choose.
        if let llm = model.decoder?.llm {
            _ = try await llm.generate(
                [.tokens([0, 0])], SamplingParams(temperature: 0, ignoreEos: true, maxTokens: 2))
        }
        state.finishLoading(model)
        logger.info(
            "ready",
            metadata: [
                "models": "\(model.names.joined(separator: ", "))",
                "seconds": "\(Int((ContinuousClock.now - begin).seconds))",
            ])
        try await gracefulShutdown()
    }
}

/// Lets running answers end when the server is told to, and ends them itself when their time is up.
///
/// Connections are still taken meanwhile, so that `/health` says what is going on.
struct DrainingService: Service {
    let state: ServerState
    let logger: Logger

    func run() async throws {
        try await gracefulShutdown()
        state.startDraining()
        let running = state.runningAnswers
        logger.info("draining", metadata: ["answers": "\(running)"])
        let deadline = ContinuousClock.now + .seconds(state.configuration.drainTimeout)
        // The service itself is being shut down: only a task outside of it can still wait.
        await Task.detached { [state] in
            while state.runningAnswers > 0, ContinuousClock.now < deadline {
                try? await Task.sleep(for: .milliseconds(50))
            }
            state.interruptAll()
            let last = ContinuousClock.now + .seconds(2)
            while state.runningAnswers > 0, ContinuousClock.now < last {
                try? await Task.sleep(for: .milliseconds(20))
            }
        }.value
        logger.info("drained", metadata: ["cut": "\(state.runningAnswers)"])
    }
}
