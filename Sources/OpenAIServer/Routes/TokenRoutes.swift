import HummingbirdCore
import PagedEngine
import Tokenizers
import TransformerBlocks

/// `/tokenize` and `/detokenize`, as vLLM has them.
enum TokenRoutes {
    static func tokenize(_ call: RouteCall) async throws(APIError) -> Response {
        let decoder = try call.decoder()
        let tokenizer = try tokenizer(decoder)
        let body = try FieldReader(body: try await call.body())
        try call.check(model: try body.string("model"), decoder.name)
        let tokens: [Int]
        if body["messages"] != nil {
            guard body["prompt"] == nil else {
                throw .invalid("prompt", "prompt and messages are both there; expected one of them")
            }
            tokens = try ChatRoute.tokens(
                try ChatRequest.messages(body["messages"]), decoder,
                addGenerationPrompt: try body.bool("add_generation_prompt") ?? true,
                addSpecialTokens: try body.bool("add_special_tokens") ?? false)
        } else {
            guard let text = try body.string("prompt") else {
                throw .invalid(
                    "prompt", "prompt is missing; expected a text, or messages", code: "missing_required_parameter")
            }
            let adds = try body.bool("add_special_tokens") ?? true
            do {
                tokens = try tokenizer.ids(of: text, addSpecialTokens: adds)
            } catch {
                throw .invalid("prompt", error.description, code: "invalid_value")
            }
        }
        let texts = try body.bool("return_token_strs") ?? false
        return call.json([
            "count": .integer(tokens.count), "max_model_len": .integer(decoder.llm.maxModelLen),
            "tokens": .array(tokens.map(JSON.integer)),
            "token_strs": texts ? .array(tokens.map { .string(tokenizer.token(of: $0) ?? "") }) : nil,
        ])
    }

    static func detokenize(_ call: RouteCall) async throws(APIError) -> Response {
        let decoder = try call.decoder()
        let tokenizer = try tokenizer(decoder)
        let body = try FieldReader(body: try await call.body())
        try call.check(model: try body.string("model"), decoder.name)
        guard let tokens = try body.integers("tokens") else {
            throw .invalid("tokens", "tokens is missing; expected a list of tokens", code: "missing_required_parameter")
        }
        if let bad = tokens.first(where: { $0 < 0 || $0 >= decoder.llm.model.vocabulary }) {
            throw .invalid(
                "tokens", "tokens has \(bad); expected tokens from 0 to below \(decoder.llm.model.vocabulary)",
                code: "invalid_value")
        }
        return call.json(["prompt": .string(tokenizer.decode(tokens, skipSpecialTokens: false))])
    }

    private static func tokenizer(_ decoder: ServedModel.Decoder) throws(APIError) -> Tokenizer {
        guard let tokenizer = decoder.llm.tokenizer else {
            throw .invalid("model", "the model '\(decoder.name)' has no tokenizer", code: "unsupported_model")
        }
        return tokenizer
    }
}
