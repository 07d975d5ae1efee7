/// A part of a model: a layer, or several that are named together.
///
/// A block of one's own is a struct whose ``body`` lists layers:
///
///     struct EncoderBlock: Block {
///         let hidden: Int
///         var body: [LayerNode] {
///             Residual { SelfAttention(heads: 12) }
///             LayerNorm()
///             Residual { FeedForward(hidden: hidden) }
///             LayerNorm()
///         }
///     }
public protocol Block: Sendable {
    /// The layers this block stands for, in order.
    @BlockBuilder var body: [LayerNode] { get }
}

/// Collects blocks into a list of layers: sequences, loops, conditions.
@resultBuilder
public enum BlockBuilder {
    /// The layers of one block.
    public static func buildExpression(_ block: some Block) -> [LayerNode] { block.body }
    /// Layers that are already a list.
    public static func buildExpression(_ layers: [LayerNode]) -> [LayerNode] { layers }
    /// One block after the other.
    public static func buildBlock(_ parts: [LayerNode]...) -> [LayerNode] { parts.flatMap { $0 } }
    /// A condition without an alternative.
    public static func buildOptional(_ part: [LayerNode]?) -> [LayerNode] { part ?? [] }
    /// A condition that holds.
    public static func buildEither(first part: [LayerNode]) -> [LayerNode] { part }
    /// The alternative.
    public static func buildEither(second part: [LayerNode]) -> [LayerNode] { part }
    /// A loop.
    public static func buildArray(_ parts: [[LayerNode]]) -> [LayerNode] { parts.flatMap { $0 } }
    /// Layers behind an availability check.
    public static func buildLimitedAvailability(_ part: [LayerNode]) -> [LayerNode] { part }
}
