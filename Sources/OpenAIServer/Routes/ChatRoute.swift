import HummingbirdCore
import PagedEngine
import Tokenizers
import TransformerBlocks

/// `/v1/chat/completions`.
enum ChatRoute {
    static func respond(_ call: RouteCall) async throws(APIError) -> Response {
        let decoder = try call.decoder()
        let body = try FieldReader(body: try await call.body())
        let request = try ChatRequest(body)
        try call.check(model: request.fields.model, decoder.name)
        let prompt = try prompt(request, decoder)
        let answer = try await Answer(
            [(prompt, request.fields.mode)], decoder, priority: request.fields.priority,
            salt: call.salt(request.fields.cacheSalt), prompt: "messages", state: call.state, channel: call.channel)
        let logprobs = LogprobsText(tokenizer: decoder.llm.tokenizer)
        if request.fields.streams {
            let frame = AnswerFrame(
                id: "chatcmpl-\(call.id)", object: "chat.completion.chunk", model: decoder.name,
                includesUsage: request.fields.includesUsage)
            return EventStream.response(
                answer, ChatPieces(frame: frame, fields: request.fields, logprobs: logprobs), call.state, call.channel)
        }
        let outputs = try await answer.outputs(prompt: "messages")
        let frame = AnswerFrame(id: "chatcmpl-\(call.id)", object: "chat.completion", model: decoder.name)
        let top = request.fields.params.logprobs
        let choices = outputs.flatMap(\.outputs).map { choice($0, logprobs, top: top) }
        var answered = frame.json(choices: choices, usage: Usage(outputs).json)
        if let list = outputs.first?.promptLogprobs { answered.append("prompt_logprobs", logprobs.prompt(list)) }
        return call.json(answered)
    }

    /// A conversation as the model was trained to read it.
    private static func prompt(_ request: ChatRequest, _ decoder: ServedModel.Decoder) throws(APIError) -> Prompt {
        .tokens(
            try tokens(
                request.messages, decoder, addGenerationPrompt: request.addsGenerationPrompt,
                addSpecialTokens: request.addsSpecialTokens))
    }

    static func tokens(
        _ messages: [ChatMessage], _ decoder: ServedModel.Decoder, addGenerationPrompt: Bool, addSpecialTokens: Bool
    ) throws(APIError) -> [Int] {
        guard let template = decoder.template, let tokenizer = decoder.llm.tokenizer else {
            throw .invalid(
                "messages", "the model '\(decoder.name)' has no chat template; expected /v1/completions",
                code: "unsupported_model")
        }
        do {
            let text = try template.render(
                messages: messages, addGenerationPrompt: addGenerationPrompt, variables: decoder.variables)
            return try tokenizer.ids(of: text, addSpecialTokens: addSpecialTokens)
        } catch let error as ChatTemplateError {
            throw .invalid("messages", error.description, code: "invalid_value")
        } catch {
            throw .invalid("messages", "\(error)", code: "invalid_value")
        }
    }

    private static func choice(_ output: CompletionOutput, _ logprobs: LogprobsText, top: Int?) -> JSON {
        [
            "index": .integer(output.index),
            "message": ["role": "assistant", "content": .string(output.text), "refusal": nil],
            "logprobs": top.map { logprobs.chat(output.logprobs ?? [], top: $0) } ?? .null,
            "finish_reason": .string(output.finishReason.rawValue),
            "stop_reason": JSON(output.stopReason, \.json),
        ]
    }
}

/// A chat's answer in pieces.
private struct ChatPieces: AnswerPieces {
    let frame: AnswerFrame
    let fields: GenerationFields
    let logprobs: LogprobsText
    private var usage = Usage()

    init(frame: AnswerFrame, fields: GenerationFields, logprobs: LogprobsText) {
        self.frame = frame
        self.fields = fields
        self.logprobs = logprobs
    }

    func beginning() -> [JSON] {
        (0..<fields.params.n).map { piece($0, ["role": "assistant", "content": ""]) }
    }

    mutating func note(_ output: RequestOutput) { usage.add(output) }

    func pieces(request: Int, _ delta: RequestDelta) -> [JSON] {
        var result: [JSON] = []
        if !delta.text.isEmpty || (fields.params.logprobs != nil && !delta.tokenIds.isEmpty) {
            let list = fields.params.logprobs.map { logprobs.chat(delta.logprobs ?? [], top: $0) }
            result.append(piece(delta.index, ["content": .string(delta.text)], list))
        }
        if let reason = delta.finishReason {
            result.append(piece(delta.index, .object([]), finish: reason, stop: delta.stopReason))
        }
        return result
    }

    func ending() -> [JSON] { fields.includesUsage ? [frame.json(choices: [], usage: usage.json)] : [] }

    private func piece(
        _ index: Int, _ delta: JSON, _ logprobs: JSON? = nil, finish: FinishReason? = nil, stop: StopReason? = nil
    ) -> JSON {
        var choice: [JSON.Field] = [
            .init("index", .integer(index)), .init("delta", delta), .init("logprobs", logprobs ?? .null),
            .init("finish_reason", JSON(finish) { .string($0.rawValue) }),
        ]
        if finish != nil { choice.append(.init("stop_reason", JSON(stop, \.json))) }
        return frame.json(choices: [.object(choice)], usage: nil)
    }
}
