import Dispatch
import Foundation
import HummingbirdCore
import PagedEngine
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
        // Tokens, which OpenAI allows too, are turned back into text.
        let texts = try body.prompts("input").map { prompt in
            switch prompt {
            case .text(let text): text
            case .tokens(let tokens): encoder.encoder.tokenizer.decode(tokens)
            }
        }
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

    private static func encode(
        _ texts: [String], _ encoder: TextEncoder
    ) async throws(APIError) -> (vectors: [[Float]], tokens: Int) {
        let result = await withCheckedContinuation { continuation in
            queue.async {
                continuation.resume(
                    returning: Result {
                        let encodings = try texts.map { try encoder.tokens($0) }
                        let count = encodings.reduce(0) { $0 + $1.count }
                        let vectors = try encoder.encode(cut: encodings).floats()
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
