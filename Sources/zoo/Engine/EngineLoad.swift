import BenchHarness
import Foundation
import PagedEngine

/// Requests that arrive at an engine, and when their tokens came.
struct EngineLoad {
    /// A request and when it arrives, in seconds.
    struct Arrival {
        let time: Double
        let request: GenerationRequest
    }

    /// What became of a request.
    struct Trace {
        let promptTokens: Int
        let arrival: Double
        /// When each token of the first continuation came.
        var tokens: [Double] = []
        var end = 0.0
        var outputTokens = 0
    }

    /// What became of all.
    struct Outcome {
        var traces: [Int: Trace] = [:]
        var seconds = 0.0
        var steps = 0
        /// Sums over steps, for means.
        var wastedSlots = 0.0
        var usedSlots = 0.0
        var logicalPages = 0.0
        var physicalPages = 0.0
        var followingPages = 0.0
        var adjacentPages = 0.0
        var swapped = 0
        var recomputed = 0
    }

    let requests: [Arrival]
    let maxConcurrency: Int?

    /// A request that is like the first, but short.
    var warmUp: Arrival {
        let tokens: [Int] = if case .tokens(let list)? = requests.first?.request.prompt { list } else { [0] }
        return Arrival(
            time: 0,
            request: GenerationRequest(
                id: -1, prompt: .tokens(Array(tokens.prefix(32))),
                mode: .sampling(SamplingParams(temperature: 0, ignoreEos: true, maxTokens: 4))))
    }

    /// Runs every request to its end.
    /// - Throws: ``PagedEngine/EngineError`` for a request that the engine refuses.
    func run(_ engine: Engine) throws(EngineError) -> Outcome {
        var outcome = Outcome()
        var waiting = requests[...]
        var active = 0
        let bar = Progress(total: requests.count)
        defer { bar.clear() }
        let begin = AlternatingTimer.now()
        func now() -> Double { AlternatingTimer.now() - begin }
        while !waiting.isEmpty || engine.hasWork {
            while let next = waiting.first, next.time <= now(), active < maxConcurrency ?? .max {
                let count = if case .tokens(let list) = next.request.prompt { list.count } else { 0 }
                do {
                    try engine.add(next.request)
                } catch {
                    // A full queue lets the request wait outside.
                    guard case .scheduling(.queueFull) = error else { throw error }
                    break
                }
                // A request that had to wait outside arrives when it is let in.
                outcome.traces[next.request.id] = Trace(
                    promptTokens: count, arrival: maxConcurrency == nil ? max(0, next.time) : now())
                waiting.removeFirst()
                active += 1
            }
            guard engine.hasWork else {
                if let next = waiting.first { Thread.sleep(forTimeInterval: max(0, next.time - now())) }
                continue
            }
            let events = try engine.step()
            let time = now()
            note(engine, &outcome)
            for event in events {
                switch event {
                case .delta(let id, let delta) where delta.index == 0: outcome.traces[id]?.tokens.append(time)
                case .delta: break
                case .failed(_, let error): throw error
                case .finished(let id, let output):
                    outcome.traces[id]?.end = time
                    outcome.traces[id]?.outputTokens = output.outputs.reduce(0) { $0 + $1.tokenIds.count }
                    active -= 1
                    if !waiting.isEmpty { bar.begin(requests.count - waiting.count - active, "requests") }
                }
            }
        }
        outcome.seconds = now()
        outcome.swapped = engine.scheduler.preemptions.swapped
        outcome.recomputed = engine.scheduler.preemptions.recomputed
        return outcome
    }

    private func note(_ engine: Engine, _ outcome: inout Outcome) {
        let statistics = engine.scheduler.blocks.statistics
        outcome.steps += 1
        outcome.wastedSlots += Double(statistics.wastedSlots)
        outcome.usedSlots += Double(statistics.physicalPages * engine.pageSize)
        outcome.logicalPages += Double(statistics.logicalPages)
        outcome.physicalPages += Double(statistics.physicalPages)
        outcome.followingPages += Double(statistics.followingPages)
        outcome.adjacentPages += Double(statistics.adjacentPages)
    }
}
