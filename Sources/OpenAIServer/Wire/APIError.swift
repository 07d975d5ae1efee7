package import HTTPTypes
package import PagedEngine
import Tokenizers
import TransformerBlocks

/// Why a request is refused: OpenAI's error object, with its status and headers.
package struct APIError: Error, Sendable {
    package var status: HTTPResponse.Status
    var type: String
    var message: String
    /// The field of the request that is wrong.
    package var param: String?
    /// A word for programs.
    var code: String?
    package var headers: [(HTTPField.Name, String)] = []
    /// Whether the connection cannot carry another request: the body was not read to its end.
    var closes = false

    /// The body of the response, and of an event of a stream that has begun.
    var json: JSON {
        [
            "error": [
                "message": .string(message), "type": .string(type), "param": JSON(param, JSON.string),
                "code": JSON(code, JSON.string),
            ]
        ]
    }

    /// A field that cannot be honoured.
    static func invalid(_ param: String?, _ message: String, code: String? = nil) -> APIError {
        APIError(status: .badRequest, type: "invalid_request_error", message: message, param: param, code: code)
    }

    /// A field of another value than expected.
    static func invalid(_ param: String, expected: String, actual: JSON) -> APIError {
        invalid(param, "\(param) is \(actual.kind); expected \(expected)", code: "invalid_value")
    }

    static func notFound(_ path: String) -> APIError {
        APIError(
            status: .notFound, type: "invalid_request_error", message: "there is no '\(path)' here", code: "not_found")
    }

    static func methodNotAllowed(_ method: String, allowed: [String]) -> APIError {
        APIError(
            status: .methodNotAllowed, type: "invalid_request_error",
            message: "\(method) is not answered here; expected \(allowed.joined(separator: " or "))",
            code: "method_not_allowed", headers: [(.allow, allowed.joined(separator: ", "))])
    }

    static func unknownModel(_ name: String, served: [String]) -> APIError {
        APIError(
            status: .notFound, type: "invalid_request_error",
            message: "the model '\(name)' does not exist here; expected \(served.joined(separator: " or "))",
            param: "model", code: "model_not_found")
    }

    static let unauthorized = APIError(
        status: .unauthorized, type: "authentication_error",
        message: "the API key is missing or wrong; expected the header 'Authorization: Bearer KEY'",
        code: "invalid_api_key", headers: [(.wwwAuthenticate, "Bearer")])

    static func tooLarge(limit: Int) -> APIError {
        APIError(
            status: .contentTooLarge, type: "invalid_request_error",
            message: "the body is larger than \(limit) bytes (--max-body-size)", code: "body_too_large", closes: true)
    }

    static func tooSlow(seconds: Int) -> APIError {
        APIError(
            status: .requestTimeout, type: "invalid_request_error",
            message: "the body did not come within \(seconds) s (--header-timeout)", code: "body_too_slow", closes: true
        )
    }

    static func unsupportedMedia(_ type: String) -> APIError {
        APIError(
            status: .unsupportedMediaType, type: "invalid_request_error",
            message: "Content-Type is '\(type)'; expected application/json", code: "unsupported_media_type")
    }

    static func busy(_ message: String, retryAfter seconds: Int) -> APIError {
        APIError(
            status: .tooManyRequests, type: "rate_limit_error", message: message, code: "queue_full",
            headers: [(.retryAfter, "\(seconds)")])
    }

    static func unavailable(_ message: String, retryAfter seconds: Int) -> APIError {
        APIError(
            status: .serviceUnavailable, type: "service_unavailable", message: message, code: "unavailable",
            headers: [(.retryAfter, "\(seconds)")])
    }

    static func timeout(seconds: Int) -> APIError {
        APIError(
            status: .gatewayTimeout, type: "timeout_error",
            message: "the request was not done within \(seconds) s (--request-timeout)", code: "request_timeout")
    }

    static func fault(_ message: String) -> APIError {
        APIError(status: .internalServerError, type: "server_error", message: message, code: "internal_error")
    }
}

extension APIError {
    /// What the engine says of a request.
    /// - Parameters:
    ///   - prompt: the name of the field that the prompt came in.
    ///   - retryAfter: seconds after which a full queue may have room.
    package init(_ error: EngineError, prompt: String, retryAfter: @autoclosure () -> Int) {
        switch error {
        case .sampling(.invalidParameter(let name, let expected, let actual)):
            let param = Self.snakeCase(name)
            self = .invalid(param, "\(param) is \(actual); expected \(expected)", code: "invalid_value")
        case .invalidOption(let name, let expected, let actual):
            let param = name == "prompt" ? prompt : Self.snakeCase(name)
            self = .invalid(param, "\(param) is \(actual); expected \(expected)", code: "invalid_value")
        case .scheduling(.promptTooLong(_, let tokens, let longest)):
            self = .invalid(
                prompt, "the prompt has \(tokens) tokens; expected at most \(longest - 1), to leave room for an answer",
                code: "context_length_exceeded")
        case .scheduling(.invalidRequest(_, let name, let expected, let actual)):
            let param = ["prompt": prompt, "maxTokens": "max_tokens"][name] ?? "n"
            self = .invalid(param, "\(name) is \(actual); expected \(expected)", code: "invalid_value")
        case .scheduling(.poolTooSmall(_, let pages, let available, let bytes, _)):
            self = .invalid(
                prompt,
                "the request may need \(pages) pages (\(bytes) bytes) at once, and the cache has \(available); expected a "
                    + "shorter prompt, fewer tokens or a smaller n", code: "cache_too_small")
        case .scheduling(.queueFull(let limit)):
            self = .busy("\(limit) requests are waiting already (--max-queue)", retryAfter: retryAfter())
        case .tokenizer(let error): self = .invalid(prompt, error.description, code: "invalid_value")
        case .unsupported: self = .invalid(nil, error.description, code: "unsupported")
        case .closed: self = .unavailable("the server is shutting down", retryAfter: retryAfter())
        case .memory, .swapSpace, .model, .sampling, .scheduling: self = .fault(error.description)
        }
    }

    /// `maxTokens` as `max_tokens`; what is in brackets is left out.
    static func snakeCase(_ name: String) -> String {
        var result = ""
        for character in name.prefix(while: { $0 != "[" }) {
            if character.isUppercase { result += "_" }
            result += character.lowercased()
        }
        return result
    }
}
