import PagedEngine
import TensorCore
import Testing

/// Random requests, cancelled at random, on pools that hardly hold one of them.
@Suite struct SchedulerFuzzTests {
    struct Setting: Sendable, CustomTestStringConvertible {
        var pages: Int
        var size: Int
        var swap: Int
        var budget: Int
        var policy = SchedulerConfiguration.Policy.fcfs
        var caching = true
        var window: Int?
        var testDescription: String {
            "\(pages) pages of \(size), \(swap) swapped, budget \(budget), \(policy), window \(window ?? 0)"
        }
    }

    static let settings = [
        Setting(pages: 20, size: 4, swap: 0, budget: 8), Setting(pages: 20, size: 4, swap: 30, budget: 16),
        Setting(pages: 16, size: 4, swap: 6, budget: 12, policy: .priority),
        Setting(pages: 64, size: 1, swap: 10, budget: 9),
        Setting(pages: 14, size: 5, swap: 3, budget: 40, caching: false),
        Setting(pages: 200, size: 2, swap: 0, budget: 64, policy: .priority),
        // Pools that do not hold the longest requests, but what a step of them sees.
        Setting(pages: 7, size: 4, swap: 0, budget: 8, window: 6),
        Setting(pages: 8, size: 3, swap: 2, budget: 10, policy: .priority, window: 4),
        Setting(pages: 22, size: 1, swap: 5, budget: 9, window: 5),
        Setting(pages: 9, size: 2, swap: 2, budget: 8, caching: false, window: 2),
    ]

    @Test(arguments: settings) func everyOutputIsWhatItIsAlone(setting: Setting) throws {
        var total = (swapped: 0, recomputed: 0)
        for seed in 0..<80 as Range<UInt64> {
            var run = try FuzzRun(setting, seed: seed)
            do {
                try run.play()
            } catch {
                Issue.record("seed \(seed): \(error)")
                return
            }
            total.swapped += run.scheduler.preemptions.swapped
            total.recomputed += run.scheduler.preemptions.recomputed
        }
        // The settings are such that memory does run short.
        #expect(setting.swap == 0 || total.swapped > 20)
        #expect(setting.swap > 20 || setting.pages > 100 || total.recomputed > 20)
    }
}

private struct FuzzRun {
    var scheduler: Scheduler
    private var model: FakeModel
    private var random: CounterRandom
    private var requests: [Int: (request: EngineRequest, maxTokens: Int)] = [:]
    private var finished: Set<Int> = []
    private var started: [Int] = []
    private var next = 0
    private let configuration: SchedulerConfiguration

    init(_ setting: SchedulerFuzzTests.Setting, seed: UInt64) throws {
        configuration = SchedulerConfiguration(
            maxNumBatchedTokens: setting.budget, maxNumSeqs: 8, maxModelLen: 30, maxQueue: 5, policy: setting.policy)
        scheduler = try Scheduler(
            configuration,
            blocks: BlockManager(
                pageCount: setting.pages, pageSize: setting.size, swapPageCount: setting.swap,
                window: setting.window, prefixCaching: setting.caching))
        model = FakeModel(pages: setting.pages, size: setting.size, swap: setting.swap, window: setting.window)
        random = CounterRandom(seed: seed &+ 1000)
    }

    mutating func play() throws {
        var steps = 0
        while next < 60 || scheduler.hasWork {
            if next < 60 { try arrive() }
            try maybeCancel()
            let step = try scheduler.schedule()
            try check(step)
            var results = try model.run(step, blocks: scheduler.blocks)
            if try maybeCancel(), Bool.random(using: &random) {
                // The results of a cancelled request may come or not.
                results.removeAll { result in
                    let sequence = step.sequences.first { $0.id == result.id }
                    return sequence.map { requests[$0.request] == nil } ?? false
                }
            }
            if !step.sequences.isEmpty {
                for request in try scheduler.finish(results) { try compare(request) }
            }
            steps += 1
            try require(steps < 20_000, "no end")
        }
        try require(requests.isEmpty, "requests \(requests.keys.sorted()) never ended")
        let statistics = scheduler.blocks.statistics
        try require(statistics.physicalPages == 0 && statistics.logicalPages == 0, "leaked \(statistics)")
        try require(statistics.freeSwapPages == statistics.swapPageCount, "leaked swap pages")
    }

    private mutating func arrive() throws {
        // Bursts with pauses: memory runs short, and then requests resume alone.
        guard Int.random(in: 0..<6, using: &random) == 0 else { return }
        for _ in 0..<Int.random(in: 0...6, using: &random) {
            let request = randomRequest()
            next += 1
            let queued = scheduler.queuedCount
            do {
                let maxTokens = try scheduler.add(request)
                try require(
                    maxTokens == min(request.maxTokens ?? 99, configuration.maxModelLen - request.prompt.count),
                    "granted \(maxTokens)")
                requests[request.id] = (request, maxTokens)
            } catch let error as SchedulerError {
                switch error {
                case .queueFull: try require(queued == configuration.maxQueue, "\(error)")
                case .poolTooSmall(_, let needed, let available, _, _): try require(needed > available, "\(error)")
                default: throw error
                }
            }
            try require(scheduler.queuedCount <= configuration.maxQueue, "the queue is too long")
        }
    }

    private mutating func randomRequest() -> EngineRequest {
        // Few beginnings, so that the cache is hit.
        let base = Int.random(in: 0..<3, using: &random)
        let common = (0..<Int.random(in: 0...12, using: &random)).map { ($0 * 5 + base) % FakeModel.vocabulary }
        let own = (0..<Int.random(in: 1...8, using: &random)).map { _ in
            Int.random(in: 0..<FakeModel.vocabulary, using: &random)
        }
        var decoding = EngineRequest.Decoding.sampling(candidates: 1)
        switch Int.random(in: 0..<5, using: &random) {
        case 0: decoding = .sampling(candidates: Int.random(in: 2...4, using: &random))
        case 1:
            let params = BeamSearchParams(
                beamWidth: Int.random(in: 1...3, using: &random), maxTokens: 99,
                ignoreEos: Bool.random(using: &random), lengthPenalty: Double(Int.random(in: 0...2, using: &random)))
            decoding = .beam(params, eosTokenIds: [FakeModel.eos])
        default: break
        }
        return EngineRequest(
            id: next, prompt: common + own, decoding: decoding,
            maxTokens: Int.random(in: 0..<6, using: &random) == 0 ? nil : Int.random(in: 1...14, using: &random),
            priority: Int.random(in: 0...2, using: &random),
            cacheSalt: Int.random(in: 0..<6, using: &random) == 0 ? "other" : "",
            promptLogprobs: Int.random(in: 0..<5, using: &random) == 0)
    }

    @discardableResult
    private mutating func maybeCancel() throws -> Bool {
        guard Int.random(in: 0..<15, using: &random) == 0, let id = requests.keys.sorted().randomElement(using: &random)
        else { return false }
        let ended = try scheduler.cancel(id)
        try require(ended.sequences.contains { $0.finish == .abort }, "a cancelled request without an aborted sequence")
        // What it has is a beginning of what it would have had.
        if let (request, maxTokens) = requests[id], case .sampling = request.decoding {
            let alone = FakeModel.alone(request, maxTokens: maxTokens)
            for sequence in ended.sequences {
                try require(alone[sequence.index].starts(with: sequence.tokens), "request \(id) went wrong")
            }
        }
        requests[id] = nil
        return true
    }

    private mutating func check(_ step: ScheduledStep) throws {
        try require(step.tokenCount <= configuration.maxNumBatchedTokens, "over the budget")
        try require(!step.sequences.isEmpty || !scheduler.hasWork, "nothing scheduled though there is work")
        try require(
            step.tokenCount == configuration.maxNumBatchedTokens
                || Set(step.sequences.map(\.request)).count == scheduler.runningCount,
            "a request in memory is left out though the budget is not spent")
        try require(Set(step.sequences.map(\.id)).count == step.sequences.count, "a sequence twice")
        try require(step.sequences.count <= configuration.maxNumSeqs, "too many sequences")
        for sequence in step.sequences {
            try require(!sequence.tokens.isEmpty, "nothing to compute")
            if !started.contains(sequence.request) { started.append(sequence.request) }
        }
        if configuration.policy == .fcfs { try require(started == started.sorted(), "not in the order of arrival") }
    }

    private mutating func compare(_ ended: FinishedRequest) throws {
        guard let (request, maxTokens) = requests.removeValue(forKey: ended.id) else {
            throw Violation(description: "request \(ended.id) ended twice or after it was cancelled")
        }
        let alone = FakeModel.alone(request, maxTokens: maxTokens)
        try require(ended.sequences.map(\.tokens) == alone, "request \(ended.id): \(ended.sequences), alone \(alone)")
        guard request.promptLogprobs else { return }
        var value = FakeModel.start
        let expected = request.prompt.dropLast().map { token in
            value = FakeModel.value(after: value, token)
            return value
        }
        let rows = model.promptRows[ended.id] ?? []
        try require(rows.map(\.position) == Array(expected.indices), "request \(ended.id): prompt rows \(rows)")
        try require(rows.map(\.value) == expected, "request \(ended.id): wrong prompt rows")
    }
}
