import HTTPTypes
import OpenAIServer
import PagedEngine
import Testing
import Tokenizers

/// What bodies are read as, and which fields refusals name.
@Suite struct RequestReadingTests {
    private func completion(_ json: String) throws(APIError) -> CompletionRequest {
        try CompletionRequest(FieldReader(body: Array(json.utf8)))
    }

    private func chat(_ json: String) throws(APIError) -> ChatRequest {
        try ChatRequest(FieldReader(body: Array(json.utf8)))
    }

    @Test func everyFormOfAPromptIsRead() throws {
        let forms: [(String, [Prompt])] = [
            (#""one""#, [.text("one")]), (#"["one", "two"]"#, [.text("one"), .text("two")]),
            ("[1, 2, 3]", [.tokens([1, 2, 3])]), ("[[1, 2], [3]]", [.tokens([1, 2]), .tokens([3])]),
        ]
        for (text, expected) in forms {
            #expect(try completion(#"{"prompt": \#(text)}"#).prompts == expected)
        }
    }

    @Test func defaultsAreOpenAIs() throws {
        let completion = try completion(#"{"prompt": "a", "unknown": {"deep": [1]}}"#)
        #expect(completion.fields.params.maxTokens == 16)
        #expect(completion.fields.params.temperature == 1)
        #expect(completion.fields.params.n == 1)
        #expect(!completion.fields.streams)
        let chat = try chat(#"{"messages": [{"role": "user", "content": "a"}]}"#)
        #expect(chat.fields.params.maxTokens == nil)
        #expect(chat.addsGenerationPrompt)
    }

    @Test func everyParameterArrives() throws {
        let request = try completion(
            #"""
            {"prompt": "a", "max_tokens": 5, "temperature": 0.5, "top_p": 0.25, "top_k": 7, "min_p": 0.125, "n": 2,
             "best_of": 3, "presence_penalty": 1, "frequency_penalty": -1, "repetition_penalty": 1.5, "seed": 9,
             "stop": ["x", "y"], "stop_token_ids": [4], "ignore_eos": true, "min_tokens": 2, "bad_words": ["z"],
             "logit_bias": {"3": -100}, "logprobs": 4, "skip_special_tokens": false, "allowed_token_ids": [1, 3],
             "include_stop_str_in_output": true, "priority": -2, "cache_salt": "s", "model": "m"}
            """#)
        let expected = SamplingParams(
            n: 2, bestOf: 3, presencePenalty: 1, frequencyPenalty: -1, repetitionPenalty: 1.5, temperature: 0.5,
            topP: 0.25, topK: 7, minP: 0.125, seed: 9, stop: ["x", "y"], stopTokenIds: [4], badWords: ["z"],
            ignoreEos: true, maxTokens: 5, minTokens: 2, logprobs: 4, skipSpecialTokens: false,
            includeStopStrInOutput: true, logitBias: [3: -100], allowedTokenIds: [1, 3])
        #expect(request.fields.params == expected)
        #expect(request.fields.priority == -2)
        #expect(request.fields.cacheSalt == "s")
        #expect(request.fields.model == "m")
    }

    @Test(arguments: [
        (#"{}"#, "prompt"), (#"{"prompt": []}"#, "prompt"), (#"{"prompt": [1, "a"]}"#, "prompt"),
        (#"{"prompt": [[1], "a"]}"#, "prompt"), (#"{"prompt": 3}"#, "prompt"),
        (#"{"prompt": "a", "temperature": 3}"#, "temperature"),
        (#"{"prompt": "a", "temperature": "1"}"#, "temperature"),
        (#"{"prompt": "a", "n": 0}"#, "n"), (#"{"prompt": "a", "n": 1.5}"#, "n"), (#"{"prompt": "a", "n": true}"#, "n"),
        (#"{"prompt": "a", "stop": [1]}"#, "stop"), (#"{"prompt": "a", "logit_bias": {"x": 1}}"#, "logit_bias"),
        (#"{"prompt": "a", "logit_bias": {"1": 101}}"#, "logit_bias"), (#"{"prompt": "a", "suffix": "b"}"#, "suffix"),
        (#"{"prompt": "a", "max_tokens": 0}"#, "max_tokens"), (#"{"prompt": "a", "logprobs": 21}"#, "logprobs"),
        (#"{"prompt": "a", "stream": true, "best_of": 2}"#, "best_of"),
        (#"{"prompt": "a", "stream_options": {"include_usage": true}}"#, "stream_options"),
        (#"{"prompt": "a", "stream": 1}"#, "stream"),
        (#"{"prompt": "a", "use_beam_search": true, "stream": true}"#, "stream"),
        (#"{"prompt": "a", "echo": true, "logprobs": 1, "stream": true}"#, "logprobs"),
    ])
    func refusalsNameTheField(json: String, param: String) throws {
        let error = #expect(throws: APIError.self) { _ = try completion(json) }
        #expect(error?.param == param)
        #expect(error?.status == .badRequest)
    }

    @Test(arguments: [
        #"{"messages": []}"#, #"{"messages": "hi"}"#, #"{"messages": [1]}"#, #"{"messages": [{"content": "a"}]}"#,
        #"{"messages": [{"role": 1, "content": "a"}]}"#,
        #"{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]}"#,
    ])
    func malformedMessagesAreRefused(json: String) throws {
        let error = #expect(throws: APIError.self) { _ = try chat(json) }
        #expect(error?.param == "messages")
    }

    @Test func partsOfTypeTextAreJoined() throws {
        let request = try chat(
            #"{"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]}"#
        )
        #expect(request.messages == [ChatMessage(role: "user", content: "a\nb")])
    }

    @Test(arguments: ["tools", "functions", "response_format"])
    func whatIsNotBuiltIsRefused(name: String) throws {
        let value = name == "response_format" ? #"{"type": "json_object"}"# : #"[{"type": "function"}]"#
        let error = #expect(throws: APIError.self) {
            _ = try chat(#"{"messages": [{"role": "user", "content": "a"}], "\#(name)": \#(value)}"#)
        }
        #expect(error?.param == name)
        _ = try chat(
            #"{"messages": [{"role": "user", "content": "a"}], "tools": [], "response_format": {"type": "text"}}"#)
    }

    @Test func bodiesThatAreNoObjectsAreRefused() {
        let deep = String(repeating: "[", count: 100_000)
        for body in [Array("[]".utf8), Array("{".utf8), Array(deep.utf8), [0x7B, 0xFF, 0x7D], []] {
            let error = #expect(throws: APIError.self) { _ = try FieldReader(body: body) }
            #expect(error?.status == .badRequest)
        }
    }
}
