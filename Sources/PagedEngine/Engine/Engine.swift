import AttentionCore
import Kernels
import TensorCore
import Tokenizers
import TransformerBlocks

/// Schedules, runs the model, and turns what comes out into text: `schedule -> run -> postprocess`, one step at a time.
///
/// What a request says depends on the request alone: not on the others, the size of steps, cached pages, preemption or
/// threads. One thread calls an engine.
package final class Engine {
    /// The model.
    package let model: EngineModel
    /// Pages of the cache.
    package let pageCount: Int
    /// The longest sequence.
    package let maxModelLen: Int
    package private(set) var scheduler: Scheduler
    private let options: EngineOptions
    private let store: PagedStore
    private var requests: [Int: ActiveRequest] = [:]
    private var sampler = Sampler()
    private var arrivals: UInt64 = 0

    /// An engine without requests.
    /// - Parameter givesBackHidden: whether a sequence gives back the pages that no layer's window shows any more; `false` is
    ///   for comparison.
    /// - Throws: ``EngineError``: options that cannot be honoured, with the bytes needed and available where it is memory.
    package init(
        _ model: EngineModel, options: EngineOptions, givesBackHidden: Bool = true
    ) throws(EngineError) {
        try options.validate()
        self.model = model
        self.options = options
        let longest = options.maxModelLen ?? model.maximumLength
        guard longest <= model.maximumLength else {
            throw .invalidOption(
                name: "maxModelLen", expected: "at most \(model.maximumLength), the model's", actual: "\(longest)")
        }
        maxModelLen = longest
        let shape = CacheShape(
            layers: model.network.attentionLayers, pageSize: options.pageSize, dtype: options.cacheDType)
        let geometry = PageGeometry(pageSize: options.pageSize, window: givesBackHidden ? shape.window : nil)
        let budget = try MemoryBudget(
            options: options, pageBytes: max(1, shape.pageBytes), weightBytes: model.network.weightBytes,
            stepBytes: model.stepBytes(options),
            longest: geometry.mostPages(sequences: 1, tokens: longest, stepTokens: options.maxNumBatchedTokens),
            most: geometry.pageCount(forTokens: longest) * options.maxNumSeqs)
        pageCount = budget.pageCount
        let swapPages = options.swapSpace / max(1, shape.pageBytes)
        store = try PagedStore(
            shape, pageCount: budget.pageCount, swapPageCount: swapPages, swapDirectory: options.swapDirectory,
            operators: try model.operators(options))
        do {
            let blocks = try BlockManager(
                pageCount: budget.pageCount, pageSize: options.pageSize, swapPageCount: swapPages,
                window: geometry.window, prefixCaching: options.prefixCaching)
            scheduler = try Scheduler(
                SchedulerConfiguration(
                    maxNumBatchedTokens: options.maxNumBatchedTokens, maxNumSeqs: options.maxNumSeqs,
                    maxModelLen: longest, maxQueue: options.maxQueue, policy: options.policy,
                    bytesPerPage: shape.pageBytes), blocks: blocks)
        } catch let error as SchedulerError {
            throw .scheduling(error)
        } catch {
            throw .invalidOption(name: "the cache", expected: "pages", actual: "\(error)")
        }
    }

    /// Keys of a page.
    package var pageSize: Int { options.pageSize }

    /// The names of the operators for prompts and for single tokens; `nil` before the first step, where the dispatcher chooses.
    var operatorNames: (prefill: String?, decode: String?) {
        let own = options.attention.first?.name
        return store.operators.names(own: own == AttentionSpecification.automatic ? nil : own)
    }

    /// Whether a request is not finished.
    package var hasWork: Bool { scheduler.hasWork }

    /// Takes a request into the queue.
    /// - Throws: ``EngineError``: a prompt or parameters that cannot be honoured, or a full queue. Nothing has changed then.
    package func add(_ request: GenerationRequest) throws(EngineError) {
        var text: String?
        let tokens: [Int]
        switch request.prompt {
        case .text(let prompt):
            text = prompt
            let tokenizer = try model.requiredTokenizer()
            tokens = try EngineError.tokenizer { () throws(TokenizerError) in try tokenizer.ids(of: prompt) }
        case .tokens(let list): tokens = list
        }
        if let bad = tokens.first(where: { $0 < 0 || $0 >= model.vocabulary }) {
            throw .invalidOption(
                name: "prompt", expected: "tokens from 0 to below \(model.vocabulary)", actual: "token \(bad)")
        }
        switch request.mode {
        case .sampling(let params): try add(request, text, tokens, params)
        case .beam(let params):
            try EngineError.sampling { () throws(SamplingError) in try params.validate() }
            try schedule(
                request, tokens, .beam(params, eosTokenIds: model.eosTokenIds), maxTokens: params.maxTokens)
            requests[request.id] = ActiveRequest(
                request: request, promptText: text, promptTokens: tokens, plan: nil, candidates: [])
        }
        arrivals += 1
    }

    private func add(
        _ request: GenerationRequest, _ text: String?, _ tokens: [Int], _ params: SamplingParams
    ) throws(EngineError) {
        if !params.stop.isEmpty || !params.badWords.isEmpty { _ = try model.requiredTokenizer() }
        let badWords = try model.tokens(ofBadWords: params.badWords)
        let seed = CounterRandom.value(seed: options.seed, index: arrivals)
        let plan = try EngineError.sampling { () throws(SamplingError) in
            try SamplingPlan(
                params, vocabulary: model.vocabulary, eosTokenIds: model.eosTokenIds, badWordTokens: badWords,
                seed: seed)
        }
        let maxTokens = try schedule(
            request, tokens, .sampling(candidates: params.candidateCount), maxTokens: params.maxTokens,
            promptLogprobs: params.promptLogprobs != nil)
        let decoder =
            params.detokenize
            ? model.tokenizer.map { StreamingDecoder($0, skipSpecialTokens: params.skipSpecialTokens) } : nil
        let candidate = ActiveRequest.Candidate(
            decoder: decoder,
            checker: StopChecker(params, eosTokenIds: model.eosTokenIds, maxTokens: maxTokens))
        requests[request.id] = ActiveRequest(
            request: request, promptText: text, promptTokens: tokens, plan: plan,
            candidates: [ActiveRequest.Candidate](repeating: candidate, count: params.candidateCount),
            promptLogprobs: params.promptLogprobs.map { _ in [nil] })
    }

    @discardableResult
    private func schedule(
        _ request: GenerationRequest, _ tokens: [Int], _ decoding: EngineRequest.Decoding, maxTokens: Int?,
        promptLogprobs: Bool = false
    ) throws(EngineError) -> Int {
        try EngineError.scheduling { () throws(SchedulerError) in
            try scheduler.add(
                EngineRequest(
                    id: request.id, prompt: tokens, decoding: decoding, maxTokens: maxTokens,
                    priority: request.priority, cacheSalt: request.cacheSalt, promptLogprobs: promptLogprobs))
        }
    }

    /// Ends a request, whatever it is doing; its pages are free afterwards.
    /// - Returns: what it has so far, or `nil` when there is no such request.
    package func cancel(_ id: Int) -> RequestOutput? {
        guard let finished = try? scheduler.cancel(id), var active = requests.removeValue(forKey: id) else {
            return nil
        }
        for index in active.candidates.indices where active.candidates[index].finish == nil {
            active.candidates[index].text += active.candidates[index].checker.abort().text
            active.candidates[index].finish = .abort
        }
        return output(of: active, finished)
    }

    /// Schedules, runs the model and gives out what is new; nothing where there is no work.
    ///
    /// Cost: that of the model on the step's tokens.
    /// - Throws: ``EngineError`` when the model cannot run: every request has failed then.
    package func step() throws(EngineError) -> [EngineEvent] {
        let step = try EngineError.scheduling { () throws(SchedulerError) in try scheduler.schedule() }
        store.carryOut(step.transfers)
        guard !step.sequences.isEmpty else { return [] }
        let rows = StepRows(step.sequences)
        let logits = try EngineError.model { () throws(ModelError) in
            try store.begin(step.sequences)
            let batch = try RaggedBatch(step.sequences.map(\.tokens), starts: step.sequences.map(\.start))
            return try model.network.forward(batch, store: store, outputRows: rows.wanted)
        }
        return try postprocess(step, rows, logits)
    }

    private func postprocess(
        _ step: ScheduledStep, _ rows: StepRows, _ logits: Tensor
    ) throws(EngineError) -> [EngineEvent] {
        var events: [EngineEvent] = []
        var results: [SequenceResult] = []
        for (index, sequence) in step.sequences.enumerated() {
            guard requests[sequence.request] != nil else { continue }
            do throws(EngineError) {
                try notePrompt(sequence, rows.promptRows(index), logits)
                let outcome = try outcome(of: sequence, row: rows.lastRow(index), logits, &events)
                results.append(SequenceResult(id: sequence.id, outcome: outcome))
            } catch {
                _ = try? scheduler.cancel(sequence.request)
                requests[sequence.request] = nil
                events.append(.failed(request: sequence.request, error))
            }
        }
        let ended = try EngineError.scheduling { () throws(SchedulerError) in try scheduler.finish(results) }
        for finished in ended {
            guard let active = requests.removeValue(forKey: finished.id) else { continue }
            events.append(.finished(request: finished.id, output(of: active, finished)))
        }
        return events
    }

    /// What the last row of a sequence gives.
    private func outcome(
        of sequence: ScheduledSequence, row: Int?, _ logits: Tensor, _ events: inout [EngineEvent]
    ) throws(EngineError) -> SequenceResult.Outcome {
        guard var active = requests[sequence.request], let row else { return .computed }
        switch sequence.demand {
        case .nothing: return .computed
        case .candidates(let count):
            guard case .beam(let params) = active.request.mode else { return .computed }
            return .candidates(
                try sampled(logits, row) { cells throws(SamplingError) in
                    try sampler.beamCandidates(logits: cells, count: count, temperature: params.temperature)
                })
        case .sample(let indices):
            guard let plan = active.plan else { return .computed }
            var outcomes: [SampledOutcome] = []
            for index in indices {
                let token = try sampled(logits, row) { cells throws(SamplingError) in
                    try sampler.sample(
                        logits: cells, plan: plan, prompt: active.promptTokens, output: active.candidates[index].tokens,
                        sequenceIndex: index)
                }
                let delta = active.accept(token, index: index)
                outcomes.append(
                    SampledOutcome(token: token.token, logprob: Double(token.logprob ?? 0), finish: delta.finishReason))
                if active.streams { events.append(.delta(request: sequence.request, delta)) }
            }
            requests[sequence.request] = active
            return .sampled(outcomes)
        }
    }

    /// Notes what the prompt's rows say, and how much of it was in the cache.
    private func notePrompt(_ sequence: ScheduledSequence, _ rows: Range<Int>, _ logits: Tensor) throws(EngineError) {
        guard var active = requests[sequence.request] else { return }
        if active.cachedTokens == nil { active.cachedTokens = sequence.start }
        if let count = active.params?.promptLogprobs {
            for (row, position) in zip(rows, sequence.promptRows) {
                let next = active.promptTokens[position + 1]
                active.promptLogprobs?.append(
                    try sampled(logits, row) { cells throws(SamplingError) in
                        try sampler.logprobs(logits: cells, chosen: next, count: count)
                    })
            }
        }
        requests[sequence.request] = active
    }

    private func sampled<Result>(
        _ logits: Tensor, _ row: Int, _ body: (UnsafeBufferPointer<Float>) throws(SamplingError) -> Result
    ) throws(EngineError) -> Result {
        let width = logits.shape[1]
        let start = logits.baseAddress.assumingMemoryBound(to: Float.self) + row * width
        return try withExtendedLifetime(logits) { () throws(EngineError) in
            try EngineError.sampling { () throws(SamplingError) in
                try body(UnsafeBufferPointer(start: start, count: width))
            }
        }
    }
}
