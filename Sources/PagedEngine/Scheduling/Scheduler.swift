/// Decides what each step computes, and keeps every request's sequences between steps.
///
/// Every sequence has known tokens and computed ones, and a step computes some of the difference: a piece of a prompt
/// or the one token sampled last, it is all the same. A step has a budget of tokens. Requests that run come first, in
/// their order, then those that wait. Where pages run short, the last request of the order gives up its memory and goes
/// back to the waiting: to the swap pool where that has room, else it computes its keys again.
///
/// Nobody starves and nothing locks: a request is accepted only if it fits into the pool alone, the first of the order
/// never gives way to a later one, and only what fits is taken. All depends on the calls alone: no clock, no order of a
/// dictionary.
package struct Scheduler: Sendable {
    /// The limits.
    package let configuration: SchedulerConfiguration
    /// The pages.
    package internal(set) var blocks: BlockManager
    /// Requests that have been swapped out, and that gave up their keys, since the beginning.
    package internal(set) var preemptions = (swapped: 0, recomputed: 0)

    var requests: [Int: RequestState] = [:]
    /// Requests in memory and requests that wait, both in order.
    var running: [Int] = []
    var waiting: [Int] = []
    /// What has been scheduled and has no results yet.
    var inFlight: [ScheduledSequence]?
    private var arrivals = 0
    private var nextSequence = 0

    /// A scheduler without requests.
    ///
    /// - Throws: `SchedulerError.invalidConfiguration`.
    package init(_ configuration: SchedulerConfiguration, blocks: BlockManager) throws(SchedulerError) {
        try configuration.validate()
        self.configuration = configuration
        self.blocks = blocks
    }

    /// Whether a request is not finished.
    package var hasWork: Bool { !requests.isEmpty }

    /// How many requests are in memory.
    package var runningCount: Int { running.count }

    /// How many requests wait, those included that gave up their memory.
    package var waitingCount: Int { waiting.count }

    /// How many requests wait for their first step: what `maxQueue` bounds.
    package var queuedCount: Int { waiting.count { requests[$0]?.hasStarted == false } }

    // MARK: Requests

    /// Takes a request into the queue.
    ///
    /// - Returns: the tokens that its continuations may get: `maxTokens`, or what the model's length leaves.
    /// - Throws: `SchedulerError` for a request that is malformed, that could never be in memory, or that finds the
    ///   queue full.
    package mutating func add(_ request: EngineRequest) throws(SchedulerError) -> Int {
        guard requests[request.id] == nil else { throw .duplicateRequest(request.id) }
        let maxTokens = try admissible(request)
        guard queuedCount < configuration.maxQueue else { throw .queueFull(limit: configuration.maxQueue) }
        let first = SequenceState(id: newSequence(), index: 0, tokens: request.prompt)
        requests[request.id] = RequestState(
            request: request, arrival: arrivals, maxTokens: maxTokens, sequences: [first])
        arrivals += 1
        insert(request.id, into: \.waiting)
        return maxTokens
    }

    /// Ends a request, whatever it is doing; results of it that are still to come are ignored.
    ///
    /// - Returns: what it has so far.
    /// - Throws: `SchedulerError.unknownRequest`.
    @discardableResult
    package mutating func cancel(_ id: Int) throws(SchedulerError) -> FinishedRequest {
        guard let state = requests[id] else { throw .unknownRequest(id) }
        for sequence in state.openSequences {
            try paging { blocks throws(PagingError) in try blocks.close(sequence.id) }
        }
        remove(id)
        let rest = state.sequences.map { state.finish($0, .abort) }
        return FinishedRequest(id: id, sequences: (state.finished + rest).sorted { $0.index < $1.index })
    }

    // MARK: Steps

    /// The next step.
    ///
    /// It is without sequences only where there is no work.
    ///
    /// - Throws: `SchedulerError.stepInFlight`.
    /// - Complexity: O(sequences), and O(tokens) for each request that begins.
    package mutating func schedule() throws(SchedulerError) -> ScheduledStep {
        guard inFlight == nil else { throw .stepInFlight }
        var step = ScheduledStep()
        var budget = configuration.maxNumBatchedTokens
        try continueRunning(&step, &budget)
        // What has just been given up would be taken again at once.
        if step.preempted.isEmpty { try admitWaiting(&step, &budget) }
        if !step.sequences.isEmpty { inFlight = step.sequences }
        return step
    }

    /// Requests in memory compute on, and the last of them make room where they must.
    private mutating func continueRunning(_ step: inout ScheduledStep, _ budget: inout Int) throws(SchedulerError) {
        var place = 0
        while place < running.count, budget > 0 {
            let id = running[place]
            guard let wanted = requests[id]?.wanted(budget: budget) else { break }
            // The victim is never one that this step has scheduled: those stand before `place`.
            while try paging({ blocks throws(PagingError) in try blocks.pagesNeeded(wanted) }) > blocks.freePageCount {
                let victim = running[running.count - 1]
                try preempt(victim, &step)
                if victim == id { return }
            }
            step.transfers += try paging { blocks throws(PagingError) in try blocks.reserve(wanted) }
            try schedule(wanted, of: id, &step, &budget)
            place += 1
        }
    }

    /// Requests begin or resume in their order until one does not fit: a later one that fits must not pass it for ever.
    private mutating func admitWaiting(_ step: inout ScheduledStep, _ budget: inout Int) throws(SchedulerError) {
        var followed = running.reduce(0) { $0 + (requests[$1]?.width ?? 0) }
        while budget > 0, let id = waiting.first, let state = requests[id] {
            guard followed + state.width <= configuration.maxNumSeqs,
                try admit(state, &step, &budget)
            else { return }
            followed += state.width
            waiting.removeFirst()
            insert(id, into: \.running)
        }
    }

    /// Adds reserved tokens to a step.
    mutating func schedule(
        _ reservations: [Reservation], of id: Int, _ step: inout ScheduledStep, _ budget: inout Int
    ) throws(SchedulerError) {
        guard let state = requests[id] else { return }
        for reservation in reservations {
            guard let sequence = state.sequences.first(where: { $0.id == reservation.sequence }) else { continue }
            let table = try paging { blocks throws(PagingError) in try blocks.pageTable(of: sequence.id) }
            step.sequences.append(state.scheduled(sequence, count: reservation.count, pageTable: table))
            budget -= reservation.count
        }
    }

    // MARK: Parts

    /// The number of a new sequence.
    mutating func newSequence() -> Int {
        defer { nextSequence += 1 }
        return nextSequence
    }

    /// Puts a request at its place in the order.
    mutating func insert(_ id: Int, into list: WritableKeyPath<Scheduler, [Int]>) {
        let key = orderKey(id)
        let place = self[keyPath: list].firstIndex { orderKey($0) > key } ?? self[keyPath: list].count
        self[keyPath: list].insert(id, at: place)
    }

    /// Forgets a request whose sequences are closed.
    mutating func remove(_ id: Int) {
        requests[id] = nil
        running.removeAll { $0 == id }
        waiting.removeAll { $0 == id }
    }

    /// Calls the block manager; its refusals are faults of the engine.
    mutating func paging<Result>(
        _ body: (inout BlockManager) throws(PagingError) -> Result
    ) throws(SchedulerError) -> Result {
        do {
            return try body(&blocks)
        } catch {
            throw .paging(error.description)
        }
    }

    private func orderKey(_ id: Int) -> (Int, Int) {
        guard let state = requests[id] else { return (.max, .max) }
        return (configuration.policy == .priority ? state.request.priority : 0, state.arrival)
    }
}
