public import AttentionCore
public import Kernels
public import TensorCore

/// Where self-attention keeps keys and values from one pass of a model to the next.
///
/// A pass hands every attention layer's new queries, keys and values over, layer by layer, after everything that is done
/// to them by row (projection, normalisation, rotation by place). A store adds the new keys and values to what it holds
/// of each sequence and attends to all of it.
public protocol KeyValueStore: Sendable {
    /// Keeps the new keys and values of one layer, and attends to everything that the sequences hold by then.
    ///
    /// The mask counts from the ends of queries and keys: the last row of a sequence sees the last key.
    /// - Returns: `[rows, heads · headDim]`, dense F32, a row for each row of the call.
    /// - Throws: ``ModelError``: no room, or attention that an operator cannot run.
    func attend(_ call: StoredAttentionCall) throws(ModelError) -> Tensor
}

/// One layer's new rows within a pass, for a ``KeyValueStore``.
public struct StoredAttentionCall: Sendable {
    /// The layer's number among ``Network/attentionLayers``.
    public let layer: Int
    /// The layer's place, for example `layers[4][0]`.
    public let place: String
    /// `[rows, heads, headDim]`, F32: a view of one product, rows of all sequences in the batch's order.
    public let query: Tensor
    /// `[rows, kvHeads, headDim]`, likewise.
    public let key: Tensor
    /// `[rows, kvHeads, headDim]`, likewise.
    public let value: Tensor
    /// Which rows belong to which sequence, and their places.
    public let batch: RaggedBatch
    /// The operator, or how it is chosen; its options are ``options``.
    public let attention: ResolvedAttention
    /// Scale, mask and the like.
    public let options: AttentionOptions
    /// Threads and kernels.
    public let context: ComputeContext
}

/// What a cache of keys and values must know about an attention layer.
public struct AttentionLayerShape: Sendable, Hashable {
    /// The layer's place, for example `layers[4][0]`.
    public let place: String
    /// Query heads.
    public let heads: Int
    /// Key and value heads.
    public let kvHeads: Int
    /// The extent of a head.
    public let headDim: Int
    /// The operator by name, with its options and the layer's scale, mask and softcap.
    public let attention: AttentionSpecification
    /// The last keys that a query can see, its own among them; `nil` when nothing limits them.
    ///
    /// Keys further back are never read again.
    public let window: Int?

    /// Scale, mask and the like.
    public var options: AttentionOptions { attention.options }

    init(place: String, extents: SelfAttention.Extents, attention: AttentionSpecification) {
        self.place = place
        heads = extents.heads
        kvHeads = extents.kvHeads
        headDim = extents.headDim
        self.attention = attention
        window = attention.options.mask.reach.map { $0 + 1 }
    }
}

extension AttentionMask {
    /// How many keys before its own a query can see at most, when the mask says so plainly; `nil` when not.
    ///
    /// Cost: O(parts).
    fileprivate var reach: Int? {
        switch self {
        case .window(let left, _, .bottomRight): left
        case .and(let parts): parts.compactMap(\.reach).min()
        default: nil
        }
    }
}
