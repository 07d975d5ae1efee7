public import TensorCore

/// A tensor that a model needs.
public struct ParameterDescription: Sendable, Hashable {
    /// What a parameter is for; decides how it begins when nothing is loaded.
    public enum Role: Sendable, Hashable {
        /// A table of rows.
        case embedding
        /// A weight of a product.
        case matrix
        /// A factor for each feature.
        case gain
        /// A summand for each feature.
        case bias
        /// A tensor that the layer's attention operator owns; begins by the operator's rule when no weights hold it.
        case attention
    }

    /// The name: the places of its layer and of those around it, then its own, for example `layers.4.0.query.weight`.
    ///
    /// What an attention operator owns follows `attention.`: `layers.4.0.attention.key-projection`.
    public let name: String
    /// The extents.
    public let shape: Shape
    /// What it is for.
    public let role: Role

    /// A description.
    public init(name: String, shape: Shape, role: Role) {
        self.name = name
        self.shape = shape
        self.role = role
    }
}
