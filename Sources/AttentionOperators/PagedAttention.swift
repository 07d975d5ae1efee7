public import AttentionCore
public import Kernels

/// PagedAttention (Kwon et al., 2023): keys and values in pages at arbitrary places, decoding and prefill in one batch.
///
/// Every sequence's keys are cut into ranges of ``Configuration/keyTile`` keys, counted from its first key. A range is an
/// attention of its own; ranges are merged in order by their log-sum-exp. Nothing else decides a row's bits: not the pages,
/// not the other rows of the call, not how many of a sequence's queries come at once, not threads. So ranges may run side
/// by side, one after the other in one task, or for many sequences at once where these find a range in the same pages
/// (a common prompt: Hydragen, Juravsky et al., 2024).
///
/// Operands without pages are taken as sequences of one page each.
/// Cost: 4 · heads · visible pairs · headDim operations; working memory O(1) for each thread, and partial results of
/// O(keys / keyTile) for sequences with few queries.
public struct PagedAttention: TiledOperator {
    /// Options of the operator.
    public struct Configuration: OperatorConfiguration {
        /// Keys of a range.
        ///
        /// Results' last bits depend on it.
        public var keyTile: Int
        /// Whether sequences whose queries are few read common pages together.
        ///
        /// Never changes a bit.
        public var sharesPrefixes: Bool

        /// Ranges of 256 keys; common pages are read once.
        public init() {
            keyTile = 256
            sharesPrefixes = true
        }

        /// Decodes, with the defaults for absent keys.
        public init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            keyTile = try container.decodeIfPresent(Int.self, forKey: .keyTile) ?? Configuration().keyTile
            sharesPrefixes =
                try container.decodeIfPresent(Bool.self, forKey: .sharesPrefixes) ?? Configuration().sharesPrefixes
        }

        /// The options, for people.
        public static var options: [OptionDescription] {
            [
                OptionDescription("keyTile", "keys of a range, from 1 to 512", default: "256"),
                OptionDescription(
                    "sharesPrefixes", "whether sequences with few queries read common pages together", default: "true"),
            ]
        }
    }

    /// Everything the tiled kernels honour, and pages.
    public static let capabilities: AttentionCapabilities = {
        var result = AttentionCapabilities.tiled(workingMemory: "O(1)", arithmetic: "O(L^2)")
        result.features.insert(.pages)
        return result
    }()

    /// For people who choose.
    public static let guide = OperatorGuide(
        maths: """
            key i of a sequence lies in row i mod pageSize of page blockTable[i / pageSize]
            for each range r of keyTile keys:   Oᵣ, Lᵣ = attention to the keys of r
            L = log Σ exp Lᵣ;   O = Σ exp(Lᵣ - L) Oᵣ, in order of r
            """,
        choose: """
            For serving: a cache in pages wastes less than a page for each sequence, sequences share the pages of a common \
            prompt, and one call takes decoding and prefill of many sequences. A row has the same bits whatever stands beside \
            it and however its prompt was cut. For one contiguous sequence flash or grouped-query do the same.
            """,
        limits: """
            No Double, and no gradients through pages. Common pages are read once by sequences with few queries each, range by \
            range: less than keyTile common keys are read by each sequence for itself.
            """)

    /// The options in force.
    public let configuration: Configuration

    /// Checks the range.
    /// - Throws: ``AttentionCore/AttentionError/invalidOption(name:expected:actual:)``.
    public init(_ configuration: Configuration) throws(AttentionError) {
        guard (1...TileSizes.maximumKeys).contains(configuration.keyTile) else {
            throw .invalidOption(
                name: "keyTile", expected: "from 1 to \(TileSizes.maximumKeys)", actual: "\(configuration.keyTile)")
        }
        self.configuration = configuration
    }

    /// One task for each block of queries of a group of heads, or for each range of keys where queries are few.
    public func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        let largest = max(1, ZooLimits.fewTaskRows / problem.group) * problem.group
        return .fitting(context, rows: largest, unit: problem.group) { rows, context in
            let tasks = PagedTasks(problem, rows: rows, keyTile: keyTile(context), context: context)
            var plan = AttentionPlan(
                problem: problem, queryTile: rows, keyTile: keyTile(context), tasks: tasks.tasks.count,
                workspaceBytes: tasks.workspaceBytes(context), isa: context.isa, threads: context.threads)
            plan.prepared = PreparedWork(tasks)
            return plan
        }
    }

    /// Runs the tasks.
    /// - Throws: ``AttentionCore/AttentionError`` when bias or mask do not broadcast.
    public func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        let shares = configuration.sharesPrefixes && plan.problem.mayShareRanges(of: plan.keyTile)
        if !shares, plan.isa == context.isa, plan.threads == context.threads,
            let tasks = plan.prepared.work as? PagedTasks
        {
            return try PagedRun(inputs, tasks: tasks, context: context).run()
        }
        let tasks = PagedTasks(
            plan.problem, rows: plan.queryTile, keyTile: plan.keyTile, context: context,
            pages: shares ? inputs.pages : nil, inputs: inputs)
        return try PagedRun(inputs, tasks: tasks, context: context).run()
    }

    private func keyTile(_ context: ComputeContext) -> Int {
        configuration.keyTile.roundedUp(to: context.kernels.panelWidth)
    }
}

extension AttentionProblem {
    /// Whether several sequences have so many keys in pages: fewer cannot be read together.
    fileprivate func mayShareRanges(of keys: Int) -> Bool {
        pages != nil && (0..<batch).lazy.filter { geometry($0).keyLength >= keys }.prefix(2).count == 2
    }
}
