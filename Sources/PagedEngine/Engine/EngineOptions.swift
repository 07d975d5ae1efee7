public import AttentionCore
public import TensorCore

/// How an engine uses memory and time.
///
/// Names are vLLM's where the meaning is.
public struct EngineOptions: Sendable, Hashable {
    /// The most tokens of a sequence, its prompt included; `nil` takes the model's.
    public var maxModelLen: Int?
    /// Keys of a page.
    public var pageSize: Int
    /// How keys and values are stored: F32, F16, BF16 or I8.
    ///
    /// I8 rounds each head of each token by its own largest number, with an F32 scale beside it; off by at most half a scale.
    public var cacheDType: DType
    /// The fraction of the memory visible to the process that weights, keys and values may take together.
    public var memoryUtilization: Double
    /// Pages of the cache; `nil` takes what ``memoryUtilization`` leaves.
    public var pageCount: Int?
    /// Bytes for pages that are swapped out; 0 computes preempted prompts again.
    public var swapSpace: Int
    /// Where swapped pages lie in a file; `nil` keeps them in memory.
    public var swapDirectory: String?
    /// Whether requests that begin alike share the pages of what is alike.
    public var prefixCaching: Bool
    /// The most tokens of one step.
    public var maxNumBatchedTokens: Int
    /// The most sequences that are followed at once.
    public var maxNumSeqs: Int
    /// The most requests that wait for their first step.
    public var maxQueue: Int
    /// Which request comes first.
    public var policy: SchedulerConfiguration.Policy
    /// The seed that requests without one draw theirs from.
    public var seed: UInt64
    /// The operators of the layers, in turn and again from the first; empty leaves the choice to the dispatcher.
    public var attention: [AttentionSpecification]
    /// Another operator where a sequence has several new tokens.
    public var prefillAttention: AttentionSpecification?
    /// Another operator where a sequence has one new token.
    public var decodeAttention: AttentionSpecification?

    /// Options; those left out have the defaults.
    public init(
        maxModelLen: Int? = nil, pageSize: Int = 16, cacheDType: DType = .float32, memoryUtilization: Double = 0.5,
        pageCount: Int? = nil, swapSpace: Int = 0, swapDirectory: String? = nil, prefixCaching: Bool = true,
        maxNumBatchedTokens: Int = 2048, maxNumSeqs: Int = 128, maxQueue: Int = 1024,
        policy: SchedulerConfiguration.Policy = .fcfs, seed: UInt64 = 0, attention: [AttentionSpecification] = [],
        prefillAttention: AttentionSpecification? = nil, decodeAttention: AttentionSpecification? = nil
    ) {
        self.maxModelLen = maxModelLen
        self.pageSize = pageSize
        self.cacheDType = cacheDType
        self.memoryUtilization = memoryUtilization
        self.pageCount = pageCount
        self.swapSpace = swapSpace
        self.swapDirectory = swapDirectory
        self.prefixCaching = prefixCaching
        self.maxNumBatchedTokens = maxNumBatchedTokens
        self.maxNumSeqs = maxNumSeqs
        self.maxQueue = maxQueue
        self.policy = policy
        self.seed = seed
        self.attention = attention
        self.prefillAttention = prefillAttention
        self.decodeAttention = decodeAttention
    }

    func validate() throws(EngineError) {
        let least = [
            ("pageSize", pageSize, 1), ("pageCount", pageCount ?? 1, 1), ("swapSpace", swapSpace, 0),
            ("maxModelLen", maxModelLen ?? 2, 2),
        ]
        for (name, value, least) in least where value < least {
            throw .invalidOption(name: name, expected: "at least \(least)", actual: "\(value)")
        }
        guard memoryUtilization > 0, memoryUtilization <= 1 else {
            throw .invalidOption(
                name: "memoryUtilization", expected: "a fraction above 0, up to 1", actual: "\(memoryUtilization)")
        }
        guard [.float32, .float16, .bfloat16, .int8].contains(cacheDType) else {
            throw .invalidOption(name: "cacheDType", expected: "F32, F16, BF16 or I8", actual: cacheDType.rawValue)
        }
    }
}
