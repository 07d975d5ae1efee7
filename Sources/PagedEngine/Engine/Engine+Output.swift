import Tokenizers

extension Engine {
    /// A request's result.
    func output(of active: ActiveRequest, _ finished: FinishedRequest) -> RequestOutput {
        RequestOutput(
            requestId: active.request.id, prompt: active.promptText, promptTokenIds: active.promptTokens,
            promptLogprobs: active.promptLogprobs, outputs: completions(of: active, finished),
            cachedTokens: active.cachedTokens ?? 0)
    }

    private func completions(of active: ActiveRequest, _ finished: FinishedRequest) -> [CompletionOutput] {
        guard let params = active.params else {
            return finished.sequences.enumerated().map { place, sequence in
                CompletionOutput(
                    index: place, text: model.tokenizer?.decode(sequence.tokens) ?? "", tokenIds: sequence.tokens,
                    cumulativeLogprob: sequence.cumulativeLogprob, logprobs: nil, finishReason: sequence.finish,
                    stopReason: nil)
            }
        }
        let ranked = params.candidateCount > params.n
        let chosen = ranked ? finished.best(params.n) : finished.sequences
        return chosen.enumerated().compactMap { place, sequence in
            guard active.candidates.indices.contains(sequence.index) else { return nil }
            let candidate = active.candidates[sequence.index]
            return CompletionOutput(
                index: ranked ? place : sequence.index, text: candidate.text, tokenIds: candidate.tokens,
                cumulativeLogprob: params.needsChosenLogprob ? candidate.cumulative : nil,
                logprobs: params.logprobs == nil ? nil : candidate.logprobs,
                finishReason: candidate.finish ?? sequence.finish, stopReason: candidate.stopReason)
        }
    }
}
