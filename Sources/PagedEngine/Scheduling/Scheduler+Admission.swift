/// What may enter, and how memory is given up and taken again.
extension Scheduler {
    /// Checks a request against the limits.
    ///
    /// - Returns: the tokens that its continuations may get.
    func admissible(_ request: EngineRequest) throws(SchedulerError) -> Int {
        func demand(_ holds: Bool, _ name: String, _ expected: String, _ actual: Int) throws(SchedulerError) {
            guard !holds else { return }
            throw .invalidRequest(request: request.id, name: name, expected: expected, actual: "\(actual)")
        }
        try demand(!request.prompt.isEmpty, "prompt", "at least 1 token", 0)
        try demand((request.tokenLimit ?? 1) >= 1, "maxTokens", "at least 1", request.tokenLimit ?? 1)
        let widths = 1...configuration.maxNumSeqs
        try demand(
            widths.contains(request.width), "the number of sequences", "from 1 to maxNumSeqs = \(widths.upperBound)",
            request.width)
        guard request.prompt.count < configuration.maxModelLen else {
            throw .promptTooLong(
                request: request.id, tokens: request.prompt.count, maxModelLen: configuration.maxModelLen)
        }
        let room = configuration.maxModelLen - request.prompt.count
        let maxTokens = min(request.tokenLimit ?? room, room)
        let needed = mostPages(request, maxTokens: maxTokens)
        guard needed <= blocks.pageCount else {
            throw .poolTooSmall(
                request: request.id, pagesNeeded: needed, pagesAvailable: blocks.pageCount,
                bytesNeeded: needed * configuration.bytesPerPage,
                bytesAvailable: blocks.pageCount * configuration.bytesPerPage)
        }
        return maxTokens
    }

    /// The most pages that a request can need at once.
    ///
    /// These are the full pages of its prompt once, the rest for each sequence; with a window no more than those of the
    /// keys that a step sees. The last token of a sequence is never computed.
    func mostPages(_ request: EngineRequest, maxTokens: Int) -> Int {
        let tokens = request.prompt.count + maxTokens - 1
        func seen(by sequences: Int) -> Int {
            blocks.geometry.mostPages(
                sequences: sequences, tokens: tokens, stepTokens: configuration.maxNumBatchedTokens)
        }
        // Without a second token no sequence writes after the fork.
        guard request.width > 1, maxTokens > 1 else { return seen(by: 1) }
        let shared = request.prompt.count / blocks.pageSize
        let each = blocks.pageCount(forTokens: tokens)
        return min(seen(by: request.width), shared + request.width * (each - shared))
    }

    /// Takes the memory of a request, which goes back to the waiting.
    mutating func preempt(_ id: Int, _ step: inout ScheduledStep) throws(SchedulerError) {
        guard var state = requests[id] else { return }
        let open = state.openSequences.map(\.id)
        let keys = try paging { blocks throws(PagingError) in try blocks.swapPagesNeeded(swappingOut: open) }
        if keys > 0, keys <= blocks.freeSwapPageCount {
            step.transfers += try paging { blocks throws(PagingError) in try blocks.swapOut(open) }
            state.phase = .swapped
            preemptions.swapped += 1
        } else {
            for sequence in open { try paging { blocks throws(PagingError) in try blocks.close(sequence) } }
            for place in state.sequences.indices { state.sequences[place].computed = 0 }
            state.phase = .waiting
            state.awaitsFork = state.sequences.count > 1
            preemptions.recomputed += 1
        }
        requests[id] = state
        running.removeAll { $0 == id }
        insert(id, into: \.waiting)
        step.preempted.append(id)
    }

    /// Takes a waiting request into memory and schedules what it computes first.
    ///
    /// - Returns: whether it fits.
    mutating func admit(
        _ state: RequestState, _ step: inout ScheduledStep, _ budget: inout Int
    ) throws(SchedulerError) -> Bool {
        let id = state.request.id
        let wanted: [Reservation]
        if state.phase == .swapped {
            wanted = state.wanted(budget: budget)
            let sequences = state.openSequences.map(\.id)
            let needed = try paging { blocks throws(PagingError) in
                try blocks.pagesNeeded(swappingIn: sequences, reserving: wanted)
            }
            guard needed <= blocks.freePageCount else { return false }
            step.transfers += try paging { blocks throws(PagingError) in
                try blocks.swapIn(sequences, reserving: wanted)
            }
            requests[id]?.phase = .running
        } else {
            guard let opened = try open(state, budget: budget) else { return false }
            wanted = opened
        }
        try schedule(wanted, of: id, &step, &budget)
        return true
    }

    /// Opens the first sequence of a request on what the cache still has of it, and the others where that is the whole
    /// prompt that they share.
    ///
    /// - Returns: what is computed first, with slots reserved, or nil where it does not fit.
    private mutating func open(_ state: RequestState, budget: Int) throws(SchedulerError) -> [Reservation]? {
        let id = state.request.id
        let prompt = state.request.prompt.count
        let sequence = state.sequences[0]
        // Where several sequences will fork from the prompt, keys after it are of no use; the one token more lets all
        // of the prompt be hit.
        let tokens = state.awaitsFork ? Array(sequence.tokens[...prompt]) : sequence.tokens
        let salt = state.request.cacheSalt
        let reusing = !state.request.promptLogprobs || state.promptRowsDone >= prompt - 1
        var opened = state
        opened.phase = .running
        opened.hasStarted = true
        opened.sequences[0].computed = reusing ? blocks.cachedCount(of: tokens, salt: salt) : 0
        let forks = opened.awaitsFork && opened.sequences[0].computed == prompt
        if forks { opened.fork() }
        let wanted = opened.wanted(budget: budget)
        // Only whole pages are hit, so nothing is copied: every sequence begins a page.
        let fresh = wanted.reduce(0) { $0 + blocks.pageCount(forTokens: $1.count) }
        let hit = blocks.pagesNeeded(opening: tokens, salt: salt, reusing: reusing)
        guard hit + fresh <= blocks.freePageCount else { return nil }
        try paging { blocks throws(PagingError) in
            _ = try blocks.open(sequence.id, tokens: tokens, salt: salt, reusing: reusing)
            if forks {
                for child in opened.sequences.dropFirst() { try blocks.fork(sequence.id, into: child.id) }
            }
            _ = try blocks.reserve(wanted)
        }
        requests[id] = opened
        return wanted
    }

    /// Lets the other sequences of a request follow, once the first has computed the prompt again.
    mutating func forkFromPrompt(_ id: Int) throws(SchedulerError) {
        guard var state = requests[id], state.awaitsFork, state.sequences[0].computed == state.request.prompt.count
        else { return }
        state.fork()
        let parent = state.sequences[0].id
        for child in state.sequences.dropFirst() {
            try paging { blocks throws(PagingError) in try blocks.fork(parent, into: child.id) }
        }
        requests[id] = state
    }
}
