/// The limits of a scheduler.
///
/// Names are vLLM's.
public struct SchedulerConfiguration: Sendable, Hashable {
    /// Which request comes first.
    public enum Policy: String, Sendable, Hashable, CaseIterable {
        /// The one that arrived first.
        case fcfs
        /// The one of the lowest priority value, then the one that arrived first.
        case priority
    }

    /// The most tokens of one step.
    public var maxNumBatchedTokens: Int
    /// The most sequences that are followed at once.
    public var maxNumSeqs: Int
    /// The most tokens of a sequence, its prompt included.
    public var maxModelLen: Int
    /// The most requests that wait for their first step.
    public var maxQueue: Int
    /// Which request comes first.
    public var policy: Policy
    /// The bytes of a page's keys and values over all layers: what a refusal reports.
    public var bytesPerPage: Int

    /// Limits; they are checked when a scheduler is made.
    public init(
        maxNumBatchedTokens: Int = 2048, maxNumSeqs: Int = 128, maxModelLen: Int, maxQueue: Int = 1024,
        policy: Policy = .fcfs, bytesPerPage: Int = 0
    ) {
        self.maxNumBatchedTokens = maxNumBatchedTokens
        self.maxNumSeqs = maxNumSeqs
        self.maxModelLen = maxModelLen
        self.maxQueue = maxQueue
        self.policy = policy
        self.bytesPerPage = bytesPerPage
    }

    /// Checks every limit.
    ///
    /// - Throws: `SchedulerError.invalidConfiguration`.
    func validate() throws(SchedulerError) {
        let limits = [
            ("maxNumSeqs", maxNumSeqs, 1), ("maxModelLen", maxModelLen, 2), ("maxQueue", maxQueue, 1),
            ("bytesPerPage", bytesPerPage, 0),
            // Below that the sequences that only decode would not all move in one step.
            ("maxNumBatchedTokens", maxNumBatchedTokens, maxNumSeqs),
        ]
        for (name, value, least) in limits where value < least {
            throw .invalidConfiguration(name: name, expected: "at least \(least)", actual: "\(value)")
        }
    }
}
