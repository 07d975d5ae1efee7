import Synchronization

extension ComputeContext {
    /// The most panels that a thread takes at once: few, so that no thread waits long for the last one.
    private static let mostAtOnce = 2
    /// How many turns a share takes at least, where it has so many panels.
    private static let leastTurns = 16
    /// Counters lie a cache line apart: each is counted up by one thread until the end.
    private static let counterStride = 64 / MemoryLayout<Atomic<Int>>.stride

    /// Calls `body` for every panel of a weight that few rows read once, several at a time and in order.
    ///
    /// Each thread begins with a share of its own that it reads from end to end, since memory is fastest in order; one that
    /// is done goes on with what is left of the others', since threads are not equally fast.
    package func forShares(of panels: Int, _ body: @Sendable (_ panels: Range<Int>) -> Void) {
        let shares = min(panels, threads)
        guard shares > 1 else {
            if panels > 0 { body(0..<panels) }
            return
        }
        let step = max(1, min(Self.mostAtOnce, panels / (shares * Self.leastTurns)))
        let counters = UnsafeMutablePointer<Atomic<Int>>.allocate(capacity: shares * Self.counterStride)
        defer { counters.deallocate() }
        let next = Counters(base: counters)
        for share in 0..<shares { next.begin(share, at: share * panels / shares) }
        parallel(shares) { _, worker in
            for turn in 0..<shares {
                // By the thread and not by who comes first: a thread fetches its own share while it waits.
                let share = (worker + turn) % shares
                let end = (share + 1) * panels / shares
                while let first = next.take(step, of: share, before: end) { body(first..<min(first + step, end)) }
            }
        }
    }

    /// The next panel of each share.
    private struct Counters: @unchecked Sendable {
        let base: UnsafeMutablePointer<Atomic<Int>>

        func begin(_ share: Int, at panel: Int) {
            (base + share * counterStride).initialize(to: Atomic(panel))
        }

        func take(_ step: Int, of share: Int, before end: Int) -> Int? {
            // Most shares are at their end when another thread looks: reading leaves the counter in its owner's cache.
            guard base[share * counterStride].load(ordering: .relaxed) < end else { return nil }
            let panel = base[share * counterStride].add(step, ordering: .relaxed).oldValue
            return panel < end ? panel : nil
        }
    }
}
