import Tokenizers

/// A prompt with what is wanted of it.
package struct GenerationRequest: Sendable {
    /// How continuations are chosen.
    package enum Mode: Sendable {
        /// Drawn token by token.
        case sampling(SamplingParams)
        /// The likeliest together.
        case beam(BeamSearchParams)
    }

    /// The request's number, unique among those being worked on.
    package var id: Int
    /// The prompt.
    package var prompt: Prompt
    /// How continuations are chosen.
    package var mode: Mode
    /// Lower comes first, where the policy is `priority`.
    package var priority: Int
    /// Only requests of the same salt share cached pages.
    package var cacheSalt: String

    /// A request.
    package init(id: Int, prompt: Prompt, mode: Mode, priority: Int = 0, cacheSalt: String = "") {
        self.id = id
        self.prompt = prompt
        self.mode = mode
        self.priority = priority
        self.cacheSalt = cacheSalt
    }
}

/// News of an engine's step.
package enum EngineEvent: Sendable {
    /// Text that was added to a continuation.
    case delta(request: Int, RequestDelta)
    /// A request has ended.
    case finished(request: Int, RequestOutput)
    /// A request has failed; others go on.
    case failed(request: Int, EngineError)
}

/// A request that the engine works on: everything about it but its pages.
struct ActiveRequest {
    /// One continuation so far.
    struct Candidate {
        var decoder: StreamingDecoder?
        var checker: StopChecker
        var tokens: [Int] = []
        var text = ""
        var logprobs: [[TokenLogprob]] = []
        var cumulative = 0.0
        var finish: FinishReason?
        var stopReason: StopReason?
    }

    let request: GenerationRequest
    let promptText: String?
    let promptTokens: [Int]
    /// How tokens are drawn; `nil` for beams.
    let plan: SamplingPlan?
    var candidates: [Candidate]
    var promptLogprobs: [[TokenLogprob]?]?
    /// Tokens whose keys were in the cache when the request began; `nil` before.
    var cachedTokens: Int?

    var params: SamplingParams? { plan?.params }

    /// Whether news are told while the request runs: not where only the best continuations count.
    var streams: Bool { params.map { $0.candidateCount == $0.n } ?? false }

    /// Takes the next token of a continuation.
    mutating func accept(_ sampled: SampledToken, index: Int) -> RequestDelta {
        var candidate = candidates[index]
        candidate.tokens.append(sampled.token)
        candidate.cumulative += Double(sampled.logprob ?? 0)
        if let list = sampled.logprobs { candidate.logprobs.append(list) }
        let piece = candidate.decoder?.append(sampled.token) ?? ""
        let update = candidate.checker.accept(token: sampled.token, text: piece)
        var text = update.text
        if update.finish != nil {
            // What a further token might have completed comes as it is; a stop text cuts it off.
            if case .text? = update.stopReason {} else { text += candidate.decoder?.finish() ?? "" }
            candidate.finish = update.finish
            candidate.stopReason = update.stopReason
        }
        candidate.text += text
        candidates[index] = candidate
        return RequestDelta(
            index: index, text: text, tokenIds: [sampled.token], logprobs: sampled.logprobs.map { [$0] },
            finishReason: update.finish, stopReason: update.stopReason)
    }
}
