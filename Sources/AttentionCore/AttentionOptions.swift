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
    /// The seed of the dropout pattern, and of whatever an operator draws at random.
    public var seed: UInt64
    /// A change of scores written in Swift; the last one before the mask.
    public var scoreFunction: ScoreFunction?

    /// Options; the defaults are plain attention.
    public init(
        scale: Float? = nil, mask: AttentionMask = .full, softcap: Float? = nil, dropout: Float = 0, seed: UInt64 = 0,
        scoreFunction: ScoreFunction? = nil
    ) {
        self.scale = scale
        self.mask = mask
        self.softcap = softcap
        self.dropout = dropout
        self.seed = seed
        self.scoreFunction = scoreFunction
    }
}

extension AttentionOptions {
    /// Checks that every option has a value it can take.
    ///
    /// Cost: O(size of the mask expression).
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)``.
    public func validate() throws(AttentionError) {
        if let scale, !scale.isFinite {
            throw .invalidOption(name: "scale", expected: "a finite number", actual: "\(scale)")
        }
        if let softcap, !(softcap.isFinite && softcap > 0) {
            throw .invalidOption(name: "softcap", expected: "a finite number above 0", actual: "\(softcap)")
        }
        guard dropout >= 0, dropout < 1 else {
            throw .invalidOption(name: "dropout", expected: "a probability from 0 to below 1", actual: "\(dropout)")
        }
        try mask.checkBounds()
    }
}

extension AttentionMask {
    fileprivate func checkBounds() throws(AttentionError) {
        switch self {
        case .full, .causal: break
        case .window(let left, let right, _):
            if let bad = [left, right].compactMap({ $0 }).first(where: { $0 < 0 || $0 > Self.maximumSide }) {
                throw .invalidOption(
                    name: "window", expected: "[left, right] from 0 up, or -1 for unlimited", actual: "\(bad)")
            }
        case .prefix(let length):
            if length < 0 { throw .invalidOption(name: "prefix", expected: "a length from 0 up", actual: "\(length)") }
        case .and(let parts), .or(let parts):
            for part in parts { try part.checkBounds() }
        case .not(let part): try part.checkBounds()
        case .documents(let documents): try documents.inner.checkBounds()
        case .shifted(let shifted): try shifted.mask.checkBounds()
        case .tree, .blocks, .function: break
        }
    }
}
