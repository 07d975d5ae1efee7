public import AttentionCore
public import Kernels

/// A model built in Swift.
///
///     let model = try Transformer(width: 384) {
///         TokenEmbedding(vocabulary: 30_522)
///         for _ in 0..<6 {
///             Residual {
///                 LayerNorm()
///                 SelfAttention(heads: 12, using: try registry["flash"], mask: .causal)
///             }
///             Residual { LayerNorm(); FeedForward(hidden: 1536, activation: .gelu) }
///         }
///         LanguageModelHead(tied: true)
///     }
///
/// Nothing is checked while it is built: ``ModelDescription/validate(in:context:)`` and
/// ``network(weights:registry:context:)`` report everything that does not fit at once.
public struct Transformer: Sendable, Hashable, CustomStringConvertible {
    /// The model as data.
    public var model: ModelDescription

    /// A model of the given width and layers.
    public init(width: Int, @BlockBuilder _ layers: () throws -> [LayerNode]) rethrows {
        model = ModelDescription(width: width, layers: try layers())
    }

    /// A model that comes as data.
    public init(_ model: ModelDescription) { self.model = model }

    /// Checks the model and takes its weights, ready to run.
    /// - Throws: ``ModelError`` with every layer, or every weight, that does not fit.
    public func network(
        weights: any WeightSource, registry: OperatorRegistry, context: ComputeContext? = nil
    ) throws(ModelError) -> Network {
        try Network(model, weights: weights, registry: registry, context: context)
    }

    /// The stack with shapes and parameter counts.
    public var description: String { model.description }
}
