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
        prompts = try body.prompts("prompt")
        var fields = try GenerationFields(body, maxTokens: 16)
        let logprobs = try body.integer("logprobs", in: 0...20)
        let bestOf = try body.integer("best_of", in: 1...128)
        fields.params.bestOf = bestOf
        fields.params.logprobs = logprobs
        guard bestOf == nil || bestOf == fields.params.n || !fields.streams else {
            throw .invalid("best_of", "best_of is larger than n; expected them equal where stream is true")
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
}
