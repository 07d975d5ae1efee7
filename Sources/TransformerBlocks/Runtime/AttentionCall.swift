public import AttentionCore

/// One call of attention within a pass of a model, as an observer sees it: the operands, before the operator runs.
public struct AttentionCall: Sendable {
    /// The layer's place, for example `layers[4][0]`.
    public let place: String
    /// The sequence's number in the batch.
    public let sequence: Int
    /// Queries, keys and values, and the operator's own tensors: views, nothing is copied.
    public let inputs: AttentionInputs
    /// Scale, mask and the like.
    public let options: AttentionOptions
    /// The operator that is about to run.
    public let configured: ConfiguredOperator
}

/// Sees every attention call of a pass, in order.
public typealias AttentionObserver = (AttentionCall) -> Void
