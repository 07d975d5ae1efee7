public import AttentionCore
import Foundation
public import Kernels
public import Tokenizers
public import TransformerBlocks

/// A decoder that continues texts, many at once: vLLM's `LLM`.
///
///     let llm = try LLM(model: "Models/tiny", registry: registry)
///     let outputs = try await llm.generate(["Once upon", "The end"], SamplingParams(temperature: 0, maxTokens: 32))
///     for try await event in llm.stream("Once upon") { print(event.text, terminator: "") }
///
/// A request says the same whatever runs beside it. Calls may come from any thread; requests of all callers share steps.
public final class LLM: Sendable {
    /// The model.
    public let model: CausalLanguageModel
    /// Cuts texts into tokens; `nil` where the directory has no tokenizer.
    public let tokenizer: Tokenizer?
    /// How memory and time are used.
    public let options: EngineOptions
    /// The longest sequence, its prompt included.
    public let maxModelLen: Int
    /// Pages of the cache.
    public let pageCount: Int
    private let loop: EngineLoop

    /// Opens a Hugging Face directory: configuration, weights, and the tokenizer's files where there are any.
    ///
    /// Cost: O(weights).
    /// - Parameters:
    ///   - model: the directory.
    ///   - tensorParallelSize: processes that share a model; only 1 is built.
    ///   - options: how memory and time are used.
    ///   - registry: where attention operators are found by name.
    ///   - context: threads and kernels; by default what the environment asks for.
    /// - Throws: ``EngineError`` that names the file and field, the option, or the bytes needed and available.
    public convenience init(
        model directory: String, tensorParallelSize: Int = 1, options: EngineOptions = EngineOptions(),
        registry: OperatorRegistry, context: ComputeContext? = nil
    ) throws(EngineError) {
        guard tensorParallelSize == 1 else {
            throw .unsupported(
                what: "tensorParallelSize \(tensorParallelSize)", reason: "one process runs the whole model; use 1")
        }
        let model = try EngineError.model { () throws(ModelError) in
            try CausalLanguageModel(
                directory: directory, attention: options.attention, registry: registry, context: context)
        }
        let hasTokenizer = FileManager.default.fileExists(atPath: directory + "/tokenizer.json")
        let tokenizer =
            hasTokenizer
            ? try EngineError.tokenizer { () throws(TokenizerError) in try Tokenizer(directory: directory) } : nil
        try self.init(model, tokenizer: tokenizer, options: options, registry: registry)
    }

    /// The same of memory and time as vLLM's arguments say.
    /// - Parameters:
    ///   - memoryUtilization: the fraction of the memory visible to the process that weights and cache may take.
    ///   - swapSpace: bytes for pages that are swapped out.
    /// - Throws: as ``init(model:tensorParallelSize:options:registry:context:)``.
    public convenience init(
        model directory: String, tensorParallelSize: Int = 1, memoryUtilization: Double, swapSpace: Int = 0,
        maxModelLen: Int? = nil, registry: OperatorRegistry, context: ComputeContext? = nil
    ) throws(EngineError) {
        try self.init(
            model: directory, tensorParallelSize: tensorParallelSize,
            options: EngineOptions(
                maxModelLen: maxModelLen, memoryUtilization: memoryUtilization, swapSpace: swapSpace),
            registry: registry, context: context)
    }

    /// An opened model.
    /// - Throws: ``EngineError`` for options that cannot be honoured, or a tokenizer of more tokens than the model has.
    public init(
        _ model: CausalLanguageModel, tokenizer: Tokenizer?, options: EngineOptions = EngineOptions(),
        registry: OperatorRegistry
    ) throws(EngineError) {
        if let tokenizer, tokenizer.vocabularySize > model.vocabulary {
            throw .invalidOption(
                name: "the tokenizer", expected: "at most the \(model.vocabulary) tokens of the model",
                actual: "\(tokenizer.vocabularySize) tokens")
        }
        let engine = try Engine(
            EngineModel(model, registry: registry, tokenizer: tokenizer), options: options)
        self.model = model
        self.tokenizer = tokenizer
        self.options = options
        maxModelLen = engine.maxModelLen
        pageCount = engine.pageCount
        loop = EngineLoop(engine)
    }

    deinit { loop.close() }

    /// Continues prompts, all at once; results in the order of the prompts.
    ///
    /// When the task is cancelled, so are the requests.
    /// - Parameter progress: called after each finished request with how many are done.
    /// - Throws: ``EngineError`` of the first prompt that fails; the others are ended.
    public func generate(
        _ prompts: [Prompt], _ params: SamplingParams = SamplingParams(),
        progress: (@Sendable (_ done: Int) -> Void)? = nil
    ) async throws -> [RequestOutput] {
        try await generate(prompts.map { ($0, params) }, progress: progress)
    }

    /// Continues prompts, each with parameters of its own.
    /// - Throws: as ``generate(_:_:progress:)``.
    public func generate(
        _ requests: [(prompt: Prompt, params: SamplingParams)], progress: (@Sendable (_ done: Int) -> Void)? = nil
    ) async throws -> [RequestOutput] {
        try await finish(requests.map { ($0.prompt, .sampling($0.params)) }, progress)
    }

    /// The likeliest continuations of prompts, several for each.
    /// - Throws: as ``generate(_:_:progress:)``.
    public func beamSearch(_ prompts: [Prompt], _ params: BeamSearchParams) async throws -> [RequestOutput] {
        try await finish(prompts.map { ($0, .beam(params)) }, nil)
    }

    /// Continues a prompt and tells what is new as it comes.
    ///
    /// When the reader goes, the request ends and its pages are free within one step.
    /// - Parameters:
    ///   - priority: lower comes first, where the policy is `priority`.
    ///   - cacheSalt: only requests of the same salt share cached pages.
    public func stream(
        _ prompt: Prompt, _ params: SamplingParams = SamplingParams(), priority: Int = 0, cacheSalt: String = ""
    ) -> AsyncThrowingStream<RequestDelta, any Error> {
        AsyncThrowingStream { continuation in
            let id = loop.submit(
                prompt, .sampling(params), priority: priority, cacheSalt: cacheSalt,
                listener: EngineLoop.Listener(
                    waits: false, delta: { continuation.yield($0) },
                    end: { result in
                        switch result {
                        case .success(let output):
                            // Continuations that are ranked come at the end, whole.
                            if params.candidateCount > params.n {
                                output.outputs.forEach { continuation.yield($0.delta) }
                            }
                            continuation.finish()
                        case .failure(let error): continuation.finish(throwing: error)
                        }
                    }))
            continuation.onTermination = { [loop] reason in
                if case .cancelled = reason { loop.cancel(id) }
            }
        }
    }

    /// Hands in requests that are answered together; a full queue refuses them, one by one.
    package func open(
        _ requests: [(prompt: Prompt, mode: GenerationRequest.Mode)], priority: Int = 0, cacheSalt: String = ""
    ) -> RequestFeed {
        let feed = RequestFeed(loop)
        for (number, request) in requests.enumerated() {
            feed.submit(request.prompt, request.mode, priority: priority, cacheSalt: cacheSalt, number: number)
        }
        return feed
    }

    /// What the engine was doing after its last step; does not wait.
    package var snapshot: EngineSnapshot { loop.snapshot }

    /// What the cache holds, between two steps.
    package func statistics() async -> BlockStatistics {
        await withCheckedContinuation { continuation in
            loop.ask { continuation.resume(returning: $0.scheduler.blocks.statistics) }
        }
    }

    private func finish(
        _ requests: [(Prompt, GenerationRequest.Mode)], _ progress: (@Sendable (Int) -> Void)?
    ) async throws -> [RequestOutput] {
        let gathering = Gathering(requests.count, progress)
        // In order, so that the seeds that the engine draws are always the same.
        let ids = requests.enumerated().map { index, request in
            loop.submit(
                request.0, request.1,
                listener: EngineLoop.Listener(waits: true, delta: { _ in }, end: { gathering.note($0, of: index) }))
        }
        defer { ids.forEach(loop.cancel) }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { gathering.wait($0) }
        } onCancel: {
            gathering.fail(CancellationError())
        }
    }
}

/// The results of several requests, until all are there or one has failed.
private final class Gathering: @unchecked Sendable {
    private let lock = NSLock()
    private var outputs: [RequestOutput?]
    private var missing: Int
    private var failure: (any Error)?
    private var continuation: CheckedContinuation<[RequestOutput], any Error>?
    private let progress: (@Sendable (Int) -> Void)?

    init(_ count: Int, _ progress: (@Sendable (Int) -> Void)?) {
        outputs = [RequestOutput?](repeating: nil, count: count)
        missing = count
        self.progress = progress
    }

    func note(_ result: Result<RequestOutput, EngineError>, of index: Int) {
        switch result {
        case .failure(let error): fail(error)
        case .success(let output):
            let done = lock.withLock {
                outputs[index] = output
                missing -= 1
                return outputs.count - missing
            }
            progress?(done)
            settle()
        }
    }

    func fail(_ error: any Error) {
        lock.withLock { failure = failure ?? error }
        settle()
    }

    func wait(_ continuation: CheckedContinuation<[RequestOutput], any Error>) {
        lock.withLock { self.continuation = continuation }
        settle()
    }

    /// Resumes the one who waits, once, when all is known.
    private func settle() {
        lock.lock()
        guard let continuation, failure != nil || missing == 0 else { return lock.unlock() }
        self.continuation = nil
        let result = (outputs.compactMap { $0 }, failure)
        lock.unlock()
        if let error = result.1 {
            continuation.resume(throwing: error)
        } else {
            continuation.resume(returning: result.0)
        }
    }
}

extension CompletionOutput {
    /// The whole continuation as one piece of news.
    fileprivate var delta: RequestDelta {
        RequestDelta(
            index: index, text: text, tokenIds: tokenIds, logprobs: logprobs, finishReason: finishReason,
            stopReason: stopReason)
    }
}
