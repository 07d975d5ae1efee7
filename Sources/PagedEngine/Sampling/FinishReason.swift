/// Why a continuation ended.
public enum FinishReason: String, Sendable, Hashable, CaseIterable {
    /// The end-of-sequence token, a stop token or a stop text came.
    case stop
    /// `maxTokens` or the model's length is reached.
    case length
    /// The request was cancelled.
    case abort
}

/// What stopped a continuation; nil beside `FinishReason.stop` means the end-of-sequence token, as in vLLM.
public enum StopReason: Sendable, Hashable {
    /// A token of `stopTokenIds`.
    case token(Int)
    /// A text of `stop`.
    case text(String)
}
