import Foundation
import PagedEngine
import Tokenizers

/// What all pieces of an answer say alike.
struct AnswerFrame: Sendable {
    let id: String
    let object: String
    let model: String
    let created: Int
    /// Whether pieces have a field for the usage.
    let includesUsage: Bool

    init(id: String, object: String, model: String, includesUsage: Bool = false) {
        self.id = id
        self.object = object
        self.model = model
        self.includesUsage = includesUsage
        created = Int(Date().timeIntervalSince1970)
    }

    /// A whole answer or a piece of one.
    func json(choices: [JSON], usage: JSON?) -> JSON {
        var fields: [JSON.Field] = [
            .init("id", .string(id)), .init("object", .string(object)), .init("created", .integer(created)),
            .init("model", .string(model)), .init("system_fingerprint", "zoo"), .init("choices", .array(choices)),
        ]
        if let usage {
            fields.append(.init("usage", usage))
        } else if includesUsage {
            fields.append(.init("usage", .null))
        }
        return .object(fields)
    }
}

/// Tokens that an answer used.
struct Usage: Sendable {
    private(set) var prompt = 0
    private(set) var cached = 0
    private(set) var completion = 0

    init(_ outputs: [RequestOutput] = [], promptOnly: Bool = false) {
        for output in outputs { add(output, promptOnly: promptOnly) }
    }

    mutating func add(_ output: RequestOutput, promptOnly: Bool = false) {
        prompt += output.promptTokenIds.count
        cached += output.cachedTokens
        if !promptOnly { completion += output.outputs.reduce(0) { $0 + $1.tokenIds.count } }
    }

    var json: JSON {
        [
            "prompt_tokens": .integer(prompt), "completion_tokens": .integer(completion),
            "total_tokens": .integer(prompt + completion),
            "prompt_tokens_details": ["cached_tokens": .integer(cached)],
        ]
    }
}

extension StopReason {
    var json: JSON {
        switch self {
        case .token(let token): .integer(token)
        case .text(let text): .string(text)
        }
    }
}
