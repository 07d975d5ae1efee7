/// The options that every operator understands, apart from its own configuration.
public struct AttentionOptions: Sendable, Hashable {
    /// The factor on query · key; `nil` means `1 / sqrt(headDim)`.
    public var scale: Float?
    /// Which keys each query sees.
    public var mask: AttentionMask
    /// Scores become `softcap · tanh(score / softcap)`; `nil` leaves them alone.
    public var softcap: Float?
    /// The probability of dropping an attention weight.
    public var dropout: Float
    /// The seed of the dropout pattern.
    public var seed: UInt64

    /// Options; the defaults are plain attention.
    public init(
        scale: Float? = nil, mask: AttentionMask = .full, softcap: Float? = nil, dropout: Float = 0, seed: UInt64 = 0
    ) {
        self.scale = scale
        self.mask = mask
        self.softcap = softcap
        self.dropout = dropout
        self.seed = seed
    }
}
