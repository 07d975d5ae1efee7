import PagedEngine
import Tokenizers

/// Likelihoods of tokens as OpenAI's two routes tell them.
struct LogprobsText: Sendable {
    let tokenizer: Tokenizer?

    /// A token by itself.
    func text(_ token: Int) -> String { tokenizer?.decode([token], skipSpecialTokens: false) ?? "token_id:\(token)" }

    /// JSON has no infinity.
    private func number(_ logprob: Float) -> JSON { .number(max(-9999, Double(logprob))) }

    /// Of a chat: for each token itself and the likeliest.
    func chat(_ tokens: [[TokenLogprob]], top: Int) -> JSON {
        [
            "content": .array(
                tokens.compactMap { list in
                    guard let chosen = list.first else { return nil }
                    // The chosen token stands first in the list, and once more among the likeliest where it is one.
                    let likeliest = list.sorted { $0.rank < $1.rank }.filter { $0.rank <= top }
                    var fields = entry(chosen)
                    fields.append(JSON.Field("top_logprobs", .array(likeliest.map { .object(entry($0)) })))
                    return .object(fields)
                }), "refusal": nil,
        ]
    }

    private func entry(_ item: TokenLogprob) -> [JSON.Field] {
        let text = text(item.token)
        return [
            .init("token", .string(text)), .init("logprob", number(item.logprob)),
            .init("bytes", .array(text.utf8.map { .integer(Int($0)) })),
        ]
    }

    /// Of a completion: parallel lists, and where each token begins.
    /// - Parameters:
    ///   - tokens: `nil` for the first token of a prompt, of which nothing is known.
    ///   - offset: where the first token begins, in characters; moved to behind the last.
    func completion(_ tokens: [(id: Int, list: [TokenLogprob]?)], top: Int, offset: inout Int) -> JSON {
        var texts: [JSON] = []
        var chosen: [JSON] = []
        var likeliest: [JSON] = []
        var offsets: [JSON] = []
        for (id, list) in tokens {
            let text = text(id)
            texts.append(.string(text))
            offsets.append(.integer(offset))
            offset += text.unicodeScalars.count
            chosen.append(JSON(list?.first) { number($0.logprob) })
            likeliest.append(
                JSON(list) { list in
                    var names: Set<String> = []
                    return .object(
                        list.sorted { $0.rank < $1.rank }.filter { $0.rank <= top || $0.token == id }.compactMap {
                            let name = self.text($0.token)
                            return names.insert(name).inserted ? JSON.Field(name, number($0.logprob)) : nil
                        })
                })
        }
        return [
            "text_offset": .array(offsets), "token_logprobs": .array(chosen), "tokens": .array(texts),
            "top_logprobs": .array(likeliest),
        ]
    }

    /// Of a prompt, as vLLM tells it: for each token the likelihoods by token.
    func prompt(_ list: [[TokenLogprob]?]) -> JSON {
        .array(
            list.map { tokens in
                JSON(tokens) { tokens in
                    .object(
                        tokens.map {
                            JSON.Field(
                                "\($0.token)",
                                [
                                    "logprob": number($0.logprob), "rank": .integer($0.rank),
                                    "decoded_token": .string(text($0.token)),
                                ])
                        })
                }
            })
    }
}
