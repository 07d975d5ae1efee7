import HummingbirdCore
import PagedEngine
import Tokenizers
import TransformerBlocks

/// `/v1/completions`.
enum CompletionRoute {
    static func respond(_ call: RouteCall) async throws(APIError) -> Response {
        let decoder = try call.decoder()
        let body = try FieldReader(body: try await call.body())
        let request = try CompletionRequest(body)
        try call.check(model: request.fields.model, decoder.name)
        // Together they need room in the queue; thousands would keep the engine from others until they are refused.
        guard request.prompts.count <= decoder.llm.options.maxQueue else {
            throw .invalid(
                "prompt",
                "prompt has \(request.prompts.count) prompts; expected at most "
                    + "\(decoder.llm.options.maxQueue) (--max-queue)", code: "invalid_value")
        }
        let prompts = try prompts(request, decoder, addSpecialTokens: try body.bool("add_special_tokens") ?? true)
        let answer = try await Answer(
            prompts.map { ($0, request.fields.mode) }, decoder, priority: request.fields.priority,
            salt: call.salt(request.fields.cacheSalt), prompt: "prompt", state: call.state, channel: call.channel)
        let pieces = CompletionPieces(
            frame: AnswerFrame(
                id: "cmpl-\(call.id)", object: "text_completion", model: decoder.name,
                includesUsage: request.fields.streams && request.fields.includesUsage), request: request,
            prompts: prompts, logprobs: LogprobsText(tokenizer: decoder.llm.tokenizer))
        if request.fields.streams { return EventStream.response(answer, pieces, call.state, call.channel) }
        let outputs = try await answer.outputs(prompt: "prompt")
        let choices = outputs.enumerated().flatMap { number, output in
            output.outputs.map { pieces.choice($0, of: output, number: number) }
        }
        return call.json(
            pieces.frame.json(
                choices: choices, usage: Usage(outputs, promptOnly: request.promptOnly).json))
    }

    /// The prompts; those whose tokens have to be known are cut here.
    private static func prompts(
        _ request: CompletionRequest, _ decoder: ServedModel.Decoder, addSpecialTokens: Bool
    ) throws(APIError) -> [Prompt] {
        guard !addSpecialTokens else { return request.prompts }
        var result: [Prompt] = []
        for prompt in request.prompts {
            guard case .text(let text) = prompt, let tokenizer = decoder.llm.tokenizer else {
                result.append(prompt)
                continue
            }
            do {
                result.append(.tokens(try tokenizer.ids(of: text, addSpecialTokens: false)))
            } catch {
                throw .invalid("prompt", error.description, code: "invalid_value")
            }
        }
        return result
    }
}

/// A completion whole, and in pieces.
private struct CompletionPieces: AnswerPieces {
    let frame: AnswerFrame
    let request: CompletionRequest
    let prompts: [Prompt]
    let logprobs: LogprobsText
    private var usage = Usage()
    /// Characters that each continuation has so far, for the places of tokens.
    private var offsets: [Int: Int] = [:]

    init(frame: AnswerFrame, request: CompletionRequest, prompts: [Prompt], logprobs: LogprobsText) {
        self.frame = frame
        self.request = request
        self.prompts = prompts
        self.logprobs = logprobs
    }

    private var params: SamplingParams { request.fields.params }

    /// Continuations of all prompts have numbers of their own.
    private func number(_ request: Int, _ index: Int) -> Int { request * params.n + index }

    /// A prompt's text.
    private func text(of prompt: Prompt) -> String {
        switch prompt {
        case .text(let text): text
        case .tokens(let tokens): logprobs.tokenizer?.decode(tokens) ?? ""
        }
    }

    func choice(_ completion: CompletionOutput, of output: RequestOutput, number: Int) -> JSON {
        var text = request.promptOnly ? "" : completion.text
        var tokens: [(id: Int, list: [TokenLogprob]?)] = []
        if request.echoes {
            text = self.text(of: prompts[number]) + text
            tokens = zip(output.promptTokenIds, output.promptLogprobs ?? []).map { ($0, $1) }
        }
        if !request.promptOnly { tokens += zip(completion.tokenIds, completion.logprobs ?? []).map { ($0, $1) } }
        var offset = 0
        return choice(
            self.number(number, completion.index), text,
            params.logprobs.map { logprobs.completion(tokens, top: $0, offset: &offset) },
            finish: request.promptOnly ? .length : completion.finishReason, stop: completion.stopReason,
            prompt: request.echoes ? nil : output.promptLogprobs)
    }

    func beginning() -> [JSON] {
        guard request.echoes else { return [] }
        return prompts.indices.flatMap { prompt in
            (0..<params.n).map { choice(number(prompt, $0), text(of: prompts[prompt]), nil) }
                .map { frame.json(choices: [$0], usage: nil) }
        }
    }

    mutating func note(_ output: RequestOutput) { usage.add(output, promptOnly: request.promptOnly) }

    mutating func pieces(request number: Int, _ delta: RequestDelta) -> [JSON] {
        let place = self.number(number, delta.index)
        var result: [JSON] = []
        let says = !delta.text.isEmpty || (params.logprobs != nil && !delta.tokenIds.isEmpty)
        if !request.promptOnly, says {
            var offset = offsets[place] ?? (request.echoes ? text(of: prompts[number]).unicodeScalars.count : 0)
            let tokens = zip(delta.tokenIds, delta.logprobs ?? []).map { (id: $0, list: Optional($1)) }
            let list = params.logprobs.map { logprobs.completion(tokens, top: $0, offset: &offset) }
            offsets[place] = offset
            result.append(choice(place, delta.text, list))
        }
        if let reason = delta.finishReason {
            result.append(
                choice(place, "", nil, finish: request.promptOnly ? .length : reason, stop: delta.stopReason))
        }
        return result.map { frame.json(choices: [$0], usage: nil) }
    }

    func ending() -> [JSON] { frame.includesUsage ? [frame.json(choices: [], usage: usage.json)] : [] }

    private func choice(
        _ index: Int, _ text: String, _ logprobs: JSON?, finish: FinishReason? = nil, stop: StopReason? = nil,
        prompt: [[TokenLogprob]?]? = nil
    ) -> JSON {
        var fields: [JSON.Field] = [
            .init("index", .integer(index)), .init("text", .string(text)), .init("logprobs", logprobs ?? .null),
            .init("finish_reason", JSON(finish) { .string($0.rawValue) }),
            .init("stop_reason", JSON(stop, \.json)),
        ]
        if let prompt { fields.append(.init("prompt_logprobs", self.logprobs.prompt(prompt))) }
        return .object(fields)
    }
}
