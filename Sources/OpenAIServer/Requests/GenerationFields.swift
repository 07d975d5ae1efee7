package import PagedEngine
import Tokenizers

/// What requests for completions and for chats have in common: OpenAI's fields, and vLLM's beside them.
package struct GenerationFields: Sendable {
    /// The model that is asked for.
    package let model: String?
    package var params: SamplingParams
    /// Whether the answer comes in pieces.
    package let streams: Bool
    /// Whether a last piece tells how many tokens were used.
    let includesUsage: Bool
    package let priority: Int
    /// Only requests of the same salt share cached pages; besides, keys of the API never do.
    package let cacheSalt: String
    /// Whether the likeliest texts together are searched for.
    let beam: BeamSearchParams?

    /// - Parameter maxTokens: the most tokens where the request does not say.
    /// - Throws: `APIError` that names the field.
    init(_ fields: FieldReader, maxTokens defaultTokens: Int?) throws(APIError) {
        model = try fields.string("model")
        streams = try fields.bool("stream") ?? false
        includesUsage = try Self.includesUsage(fields)
        guard streams || fields["stream_options"] == nil else {
            throw .invalid("stream_options", "stream_options is set; expected it only where stream is true")
        }
        priority = try fields.integer("priority", in: Int.min / 2...Int.max / 2) ?? 0
        cacheSalt = try fields.string("cache_salt") ?? ""
        _ = try fields.string("user")
        params = try Self.params(fields, maxTokens: defaultTokens)
        beam = try Self.beam(fields, params)
        guard beam == nil || !streams else {
            throw .invalid("stream", "stream is true; expected false where use_beam_search is true")
        }
        guard !streams || params.promptLogprobs == nil else {
            throw .invalid("prompt_logprobs", "prompt_logprobs is set; expected it only where stream is not true")
        }
    }

    /// How the engine continues a prompt.
    var mode: GenerationRequest.Mode { beam.map(GenerationRequest.Mode.beam) ?? .sampling(params) }

    private static func includesUsage(_ fields: FieldReader) throws(APIError) -> Bool {
        guard let options = fields["stream_options"] else { return false }
        return try FieldReader(options, name: "stream_options").bool("include_usage") ?? false
    }

    private static func params(_ fields: FieldReader, maxTokens: Int?) throws(APIError) -> SamplingParams {
        var params = SamplingParams()
        let most = try fields.integer("max_tokens", in: 0...(.max))
        params.maxTokens = try fields.integer("max_completion_tokens", in: 1...(.max)) ?? most ?? maxTokens
        params.n = try fields.integer("n", in: 1...128) ?? 1
        params.temperature = try fields.number("temperature", in: 0...2) ?? 1
        params.topP = try fields.number("top_p", in: 0...1) ?? 1
        params.topK = try fields.integer("top_k", in: -1...(.max)) ?? 0
        params.minP = try fields.number("min_p", in: 0...1) ?? 0
        params.presencePenalty = try fields.number("presence_penalty", in: -2...2) ?? 0
        params.frequencyPenalty = try fields.number("frequency_penalty", in: -2...2) ?? 0
        params.repetitionPenalty = try fields.number("repetition_penalty", in: 0...(.greatestFiniteMagnitude)) ?? 1
        params.seed = try fields.integer("seed", in: .min...(.max))
        params.stop = try fields.strings("stop", single: true) ?? []
        params.stopTokenIds = try fields.integers("stop_token_ids") ?? []
        params.badWords = try fields.strings("bad_words") ?? []
        params.ignoreEos = try fields.bool("ignore_eos") ?? false
        params.minTokens = try fields.integer("min_tokens", in: 0...(.max)) ?? 0
        params.skipSpecialTokens = try fields.bool("skip_special_tokens") ?? true
        params.includeStopStrInOutput = try fields.bool("include_stop_str_in_output") ?? false
        params.promptLogprobs = try fields.integer("prompt_logprobs", in: 0...20)
        params.allowedTokenIds = try fields.integers("allowed_token_ids")
        params.logitBias = try logitBias(fields)
        return params
    }

    private static func logitBias(_ fields: FieldReader) throws(APIError) -> [Int: Double] {
        guard let value = fields["logit_bias"] else { return [:] }
        guard case .object(let entries) = value else {
            throw .invalid("logit_bias", expected: "an object from tokens to numbers", actual: value)
        }
        var result: [Int: Double] = [:]
        for entry in entries {
            guard let token = Int(entry.name), let bias = entry.value.anyNumber, (-100...100).contains(bias) else {
                throw .invalid(
                    "logit_bias",
                    "logit_bias has '\(entry.name)': \(entry.value.kind); expected a token and a number "
                        + "from -100 to 100", code: "invalid_value")
            }
            result[token] = bias
        }
        return result
    }

    private static func beam(_ fields: FieldReader, _ params: SamplingParams) throws(APIError) -> BeamSearchParams? {
        let lengthPenalty = try fields.number("length_penalty", in: -100...100) ?? 1
        guard try fields.bool("use_beam_search") == true else { return nil }
        guard let maxTokens = params.maxTokens else {
            throw .invalid("max_tokens", "max_tokens is missing; expected it where use_beam_search is true")
        }
        return BeamSearchParams(
            beamWidth: params.n, maxTokens: max(1, maxTokens), ignoreEos: params.ignoreEos,
            temperature: fields["temperature"] == nil ? 0 : params.temperature,
            lengthPenalty: lengthPenalty,
            includeStopStrInOutput: params.includeStopStrInOutput)
    }
}
