import Dispatch
import Foundation
import HummingbirdCore
import TensorCore
import Tokenizers
import TransformerBlocks

/// `/v1/embeddings`.
enum EmbeddingRoute {
    /// Encoding uses every thread: one request after the other.
    private static let queue = DispatchQueue(label: "embeddings")

    static func respond(_ call: RouteCall) async throws(APIError) -> Response {
        let served = try call.state.ready()
        guard let encoder = served.encoder else {
            throw .invalid(
                "model", "no encoder is served; start the server with --embedding-model", code: "unsupported_model")
        }
        let body = try FieldReader(body: try await call.body())
        try call.check(model: try body.string("model"), encoder.name)
        let texts = try texts(body["input"], encoder.encoder)
        let format = try body.string("encoding_format") ?? "float"
        guard ["float", "base64"].contains(format) else {
            throw .invalid("encoding_format", expected: "float or base64", actual: .string(format))
        }
        let width = encoder.encoder.width
        if let dimensions = try body.integer("dimensions", in: 1...(.max)), dimensions != width {
            throw .invalid("dimensions", expected: "\(width), the model's", actual: .integer(dimensions))
        }
        let (vectors, tokens) = try await encode(texts, encoder.encoder)
        let data = vectors.enumerated().map { index, vector -> JSON in
            [
                "object": "embedding", "index": .integer(index),
                "embedding": format == "float"
                    ? .array(vector.map { .number(Double($0)) })
                    : .string(vector.withUnsafeBytes { Data($0) }.base64EncodedString()),
            ]
        }
        return call.json([
            "object": "list", "data": .array(data), "model": .string(encoder.name),
            "usage": ["prompt_tokens": .integer(tokens), "total_tokens": .integer(tokens)],
        ])
    }

    /// One text or several; tokens, which OpenAI allows too, are turned back into text.
    private static func texts(_ value: JSON?, _ encoder: TextEncoder) throws(APIError) -> [String] {
        let expected = "a text, a list of texts, a list of tokens or a list of lists of tokens"
        guard let value else {
            throw .invalid("input", "input is missing; expected \(expected)", code: "missing_required_parameter")
        }
        if case .string(let text) = value { return [text] }
        guard case .array(let items) = value, !items.isEmpty else {
            throw .invalid("input", expected: expected, actual: value)
        }
        if let texts = value.texts { return texts }
        let lists = value.wholeNumbers.map { [$0] } ?? items.compactMap(\.wholeNumbers)
        guard lists.count == items.count || value.wholeNumbers != nil else {
            throw .invalid("input", expected: expected, actual: value)
        }
        return lists.map { encoder.tokenizer.decode($0) }
    }

    private static func encode(
        _ texts: [String], _ encoder: TextEncoder
    ) async throws(APIError) -> (vectors: [[Float]], tokens: Int) {
        let result = await withCheckedContinuation { continuation in
            queue.async {
                continuation.resume(
                    returning: Result {
                        let count = try texts.reduce(0) { $0 + (try encoder.tokens($1).count) }
                        let vectors = try encoder.encode(texts).floats()
                        let width = encoder.width
                        return (texts.indices.map { Array(vectors[$0 * width..<($0 + 1) * width]) }, count)
                    })
            }
        }
        switch result {
        case .success(let value): return value
        case .failure(let error): throw .invalid("input", "\(error)", code: "invalid_value")
        }
    }
}
