/// What a token does to the text of a sequence.
package struct StopUpdate: Sendable, Hashable {
    /// Text that may be sent now: it cannot become part of a stop text any more.
    package let text: String
    /// Why the sequence ends here, if it does.
    package let finish: FinishReason?
    /// What stopped it.
    package let stopReason: StopReason?
}

/// Decides after each token whether a sequence ends, and holds back text that might be the beginning of a stop text.
///
/// As in vLLM a stop text wins over a stop token, and both over the length; before `minTokens` neither stops. Of
/// several stop texts the first to be completed wins, then the first of the list, so that the cut of the text into
/// tokens plays no part.
package struct StopChecker: Sendable {
    private let stops: [String]
    private let stopTokens: [Int]
    private let endTokens: [Int]
    private let minTokens: Int
    private let maxTokens: Int
    private let includeStop: Bool
    private var matcher: StopMatcher
    private var held: [UInt8] = []
    private var count = 0

    /// A checker of one sequence.
    ///
    /// `maxTokens` is the length that the scheduler granted.
    package init(_ params: SamplingParams, eosTokenIds: [Int], maxTokens: Int) {
        stops = params.stop
        stopTokens = params.stopTokenIds
        endTokens = params.ignoreEos ? [] : eosTokenIds
        minTokens = params.minTokens
        self.maxTokens = maxTokens
        includeStop = params.includeStopStrInOutput
        matcher = StopMatcher(params.stop)
    }

    /// Takes the next token and the text that it adds.
    ///
    /// - Returns: the text that may be sent, and whether the sequence ends. After the end nothing is held back.
    /// - Complexity: O(bytes of the text × stop texts).
    package mutating func accept(token: Int, text: String) -> StopUpdate {
        count += 1
        let isEnd = endTokens.contains(token)
        let isStopToken = count >= minTokens && (isEnd || stopTokens.contains(token))
        let piece = isStopToken && !includeStop ? [] : Array(text.utf8)
        let before = held.count
        held += piece
        // vLLM reads the text of the first `minTokens` tokens without stopping at it.
        if let match = matcher.read(piece, stopping: count > minTokens) {
            let end = before + match.end
            return release(
                includeStop ? end : end - match.length, finish: .stop, reason: .text(stops[match.stop]))
        }
        if isStopToken { return release(held.count, finish: .stop, reason: isEnd ? nil : .token(token)) }
        if count >= maxTokens { return release(held.count, finish: .length) }
        return release(includeStop ? held.count : held.count - matcher.pending)
    }

    /// Ends the sequence from outside: what was held back comes out.
    package mutating func abort() -> StopUpdate { release(held.count, finish: .abort) }

    /// Gives out the first bytes that are held; the end drops the rest.
    private mutating func release(_ bytes: Int, finish: FinishReason? = nil, reason: StopReason? = nil) -> StopUpdate {
        // Pieces are whole code points and stop texts too, so every cut falls between code points.
        let text = String(decoding: held[..<bytes], as: UTF8.self)
        held.removeSubrange(..<(finish == nil ? bytes : held.count))
        return StopUpdate(text: text, finish: finish, stopReason: reason)
    }
}
