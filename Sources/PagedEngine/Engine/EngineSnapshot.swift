/// What an engine is doing between two steps.
package struct EngineSnapshot: Sendable, Hashable {
    /// Requests in memory.
    package let running: Int
    /// Requests that wait, those included that gave up their memory.
    package let waiting: Int
    /// Requests that wait for their first step: what `maxQueue` bounds.
    package let queued: Int
    /// Requests whose memory was taken, since the beginning.
    package let preemptions: Int
    /// The operator for prompts; `nil` before the first step, where the dispatcher chooses.
    package let prefillOperator: String?
    /// The operator for single tokens.
    package let decodeOperator: String?
    /// The pages; nothing of how tables use them.
    package let blocks: BlockStatistics

    init(_ engine: Engine) {
        let scheduler = engine.scheduler
        running = scheduler.runningCount
        waiting = scheduler.waitingCount
        queued = scheduler.queuedCount
        preemptions = scheduler.preemptions.swapped + scheduler.preemptions.recomputed
        (prefillOperator, decodeOperator) = engine.operatorNames
        blocks = scheduler.blocks.poolStatistics
    }
}
