import Synchronization

/// Panels that one thread begins with: as many streams as are worth it, read from end to end side by side.
private struct Share {
    /// Panels of the shortest stream that is worth it.
    private static let shortestStream = 8

    private let panels: Range<Int>
    /// Panels from one stream to the next, and so of each stream: the last may have fewer.
    private let apart: Int
    /// How often there is something to take: the last panel of each stream is taken alone, so that no thread waits long.
    let turns: Int

    init(_ panels: Range<Int>, streams: Int) {
        self.panels = panels
        let streams = max(1, min(streams, panels.count / Self.shortestStream))
        apart = (panels.count + streams - 1) / streams
        turns = apart - 1 + panels.count / apart
    }

    func panels(of turn: Int) -> SidePanels {
        let place = min(turn, apart - 1)
        let first = panels.lowerBound + place
        if turn < apart - 1 {
            return SidePanels(first: first, count: (panels.count - place + apart - 1) / apart, apart: apart)
        }
        return SidePanels(first: first + (turn - place) * apart, count: 1, apart: apart)
    }
}

extension ComputeContext {
    /// Counters lie a cache line apart: each is counted up by one thread until the end.
    private static let counterStride = 64 / MemoryLayout<Atomic<Int>>.stride

    /// Calls `body` for every panel of a weight, up to `streams` at a time.
    ///
    /// Each thread begins with a share of its own that it reads from end to end, in streams side by side, since memory is
    /// fastest in order; one that is done goes on with what is left of the others', since threads are not equally fast.
    package func forShares(of panels: Int, streams: Int, _ body: @Sendable (_ panels: SidePanels) -> Void) {
        guard panels > 0 else { return }
        let shares = min(panels, threads)
        inShares(shares) { index, _, take in
            let share = Share(index * panels / shares..<(index + 1) * panels / shares, streams: streams)
            while let turn = take(share.turns) { body(share.panels(of: turn)) }
        }
    }

    /// As ``parallel(_:scratchFloats:_:)``, where tasks that follow each other read memory that does: each thread begins with a
    /// share of its own, in order, and then goes on with what is left of the others'.
    package func parallelInShares(
        _ count: Int, scratchFloats: Int,
        _ body: @Sendable (_ index: Int, _ scratch: UnsafeMutablePointer<Float>) -> Void
    ) {
        let shares = max(1, min(count, threads))
        let workspaces = (0..<shares).map { _ in Workspace.take(floats: scratchFloats) }
        defer { workspaces.forEach(Workspace.giveBack) }
        inShares(shares) { index, worker, take in
            let tasks = index * count / shares..<(index + 1) * count / shares
            while let turn = take(tasks.count) { body(tasks.lowerBound + turn, workspaces[worker].base) }
        }
    }

    /// Calls `body` with every share on every thread, the thread's own first; `take` gives the next turn of the share before
    /// an end, to one thread alone.
    private func inShares(
        _ shares: Int, _ body: @Sendable (_ share: Int, _ worker: Int, _ take: (_ end: Int) -> Int?) -> Void
    ) {
        let counters = Counters(shares)
        defer { counters.end() }
        parallel(shares) { _, worker in
            for turn in 0..<shares {
                // By the thread and not by who comes first: a thread fetches its own share while it waits.
                let share = (worker + turn) % shares
                body(share, worker) { counters.take(of: share, before: $0) }
            }
        }
    }

    /// The next turn of each share.
    private struct Counters: @unchecked Sendable {
        private let base: UnsafeMutablePointer<Atomic<Int>>

        init(_ shares: Int) {
            base = .allocate(capacity: shares * counterStride)
            for share in 0..<shares { (base + share * counterStride).initialize(to: Atomic(0)) }
        }

        func end() { base.deallocate() }

        func take(of share: Int, before end: Int) -> Int? {
            // Most shares are at their end when another thread looks: reading leaves the counter in its owner's cache.
            guard base[share * counterStride].load(ordering: .relaxed) < end else { return nil }
            let turn = base[share * counterStride].add(1, ordering: .relaxed).oldValue
            return turn < end ? turn : nil
        }
    }
}
