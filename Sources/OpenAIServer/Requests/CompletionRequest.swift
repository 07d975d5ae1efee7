package import PagedEngine
import Tokenizers

/// The body of `/v1/completions`.
package struct CompletionRequest: Sendable {
    package let fields: GenerationFields
    /// What is continued, one after the other.
    package let prompts: [Prompt]
    /// Whether the prompt comes before its continuation.
    let echoes: Bool
    /// Whether nothing is generated: the prompt alone is wanted, with its likelihoods.
    let promptOnly: Bool

    /// - Throws: `APIError` that names the field.
    package init(_ body: FieldReader) throws(APIError) {
        try body.refuse([
            "suffix": "texts are continued at their end alone", "tools": "nothing calls them",
            "response_format": "answers are free text",
        ])
        echoes = try body.bool("echo") ?? false
        prompts = try Self.prompts(body["prompt"])
        var fields = try GenerationFields(body, maxTokens: 16)
        let logprobs = try body.integer("logprobs", in: 0...20)
        let bestOf = try body.integer("best_of", in: 1...128)
        fields.params.bestOf = bestOf
        fields.params.logprobs = logprobs
        guard bestOf == nil || bestOf == fields.params.n || !fields.streams else {
            throw .invalid("best_of", "best_of is larger than n; expected them equal where stream is true")
        }
        guard !fields.streams || fields.params.promptLogprobs == nil else {
            throw .invalid("prompt_logprobs", "prompt_logprobs is set; expected it only where stream is not true")
        }
        guard !fields.streams || !echoes || logprobs == nil else {
            throw .invalid("logprobs", "logprobs is set; expected it not beside echo where stream is true")
        }
        if echoes, let logprobs { fields.params.promptLogprobs = fields.params.promptLogprobs ?? logprobs }
        promptOnly = fields.params.maxTokens == 0
        if promptOnly {
            guard echoes else {
                throw .invalid("max_tokens", "max_tokens is 0; expected at least 1 where echo is not true")
            }
            fields.params.maxTokens = 1
        }
        self.fields = fields
    }

    /// One text, several, one list of tokens, or several.
    private static func prompts(_ value: JSON?) throws(APIError) -> [Prompt] {
        let expected = "a text, a list of texts, a list of tokens or a list of lists of tokens"
        guard let value else {
            throw .invalid("prompt", "prompt is missing; expected \(expected)", code: "missing_required_parameter")
        }
        if case .string(let text) = value { return [.text(text)] }
        guard case .array(let items) = value, !items.isEmpty else {
            throw .invalid("prompt", expected: expected, actual: value)
        }
        if let texts = value.texts { return texts.map(Prompt.text) }
        if let tokens = value.wholeNumbers { return [.tokens(tokens)] }
        let lists = items.compactMap(\.wholeNumbers)
        guard lists.count == items.count else { throw .invalid("prompt", expected: expected, actual: value) }
        return lists.map(Prompt.tokens)
    }
}
