/// Times several subjects in turn, so that whatever slows the machine down slows all of them.
///
///     round 1:  A B C      round 2:  B C A      round 3:  C A B      ...
///
/// The order rotates, so that nobody always runs after the same neighbour's caches.
public struct AlternatingTimer: Sendable {
    /// Rounds stop after this time, once there are enough.
    public var budgetSeconds: Double
    /// Fewer samples have no median worth the name.
    public var minimumRounds = 3
    /// More samples no longer change the median.
    public var maximumRounds = 41
    /// A sample shorter than this feels the clock and the scheduler.
    public var minimumSampleSeconds = 0.002

    /// A timer that stops after about a budget.
    public init(budgetSeconds: Double) { self.budgetSeconds = budgetSeconds }

    /// One subject's samples, in seconds per call.
    public struct Samples: Sendable, Hashable {
        /// Seconds per call, in order of time.
        public var seconds: [Double] = []
        /// Calls in each sample.
        public var callsPerSample = 1
    }

    /// Runs every subject in turn.
    /// - Parameters:
    ///   - estimates: seconds one call is known to take, for each subject; they set the calls of a sample.
    ///   - clock: the time now, in seconds.
    ///   - afterRound: called when every subject has had its turn.
    ///   - subject: makes one call of a subject.
    /// - Throws: whatever a subject throws.
    public func measure<Failure: Error>(
        estimates: [Double], clock: () -> Double = Self.now, afterRound: () -> Void = {},
        _ subject: (Int) throws(Failure) -> Void
    ) throws(Failure) -> [Samples] {
        var results = estimates.map { estimate in
            var samples = Samples()
            samples.callsPerSample = estimate >= minimumSampleSeconds ? 1 : callsFor(estimate)
            return samples
        }
        guard !results.isEmpty else { return [] }
        let start = clock()
        for round in 0..<Swift.max(1, maximumRounds) {
            for turn in results.indices {
                let index = (turn + round) % results.count
                let calls = results[index].callsPerSample
                let begin = clock()
                for _ in 0..<calls { try subject(index) }
                results[index].seconds.append((clock() - begin) / Double(calls))
            }
            afterRound()
            let elapsed = clock() - start
            // A machine much slower than expected may stop short of the minimum rather than run for an hour.
            if elapsed > budgetSeconds && (round + 1 >= minimumRounds || elapsed > 3 * budgetSeconds) { break }
        }
        return results
    }

    private func callsFor(_ estimate: Double) -> Int {
        Int(Swift.min(10_000, (minimumSampleSeconds / Swift.max(estimate, 1e-7)).rounded(.up)))
    }

    /// The time on a clock that never goes backwards, in seconds.
    public static func now() -> Double {
        let elapsed = origin.duration(to: .now).components
        return Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18
    }

    private static let origin = ContinuousClock.now
}
