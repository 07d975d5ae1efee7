public import AttentionCore
public import Kernels
import TensorCore

/// A model as data: its width and its layers.
///
/// The same value whether it was built in Swift, JSON or YAML.
///
/// As JSON (`repeat`, and an `attention` for all layers without one of their own, are optional):
///
///     {
///       "width": 384,
///       "attention": { "pattern": [{ "name": "local", "window": [255, 0] }, "full"] },
///       "layers": [
///         { "token-embedding": { "vocabulary": 30522 } },
///         { "repeat": 6, "layers": [
///           { "residual": ["layer-norm", { "self-attention": { "heads": 12 } }] },
///           { "residual": ["layer-norm", { "feed-forward": { "hidden": 1536 } }] }
///         ] },
///         "language-model-head"
///       ]
///     }
public struct ModelDescription: Sendable, Hashable {
    /// Features of a token's row.
    public var width: Int
    /// The layers in order.
    public var layers: [LayerNode]

    /// A model of layers.
    public init(width: Int, layers: [LayerNode]) {
        self.width = width
        self.layers = layers
    }

    /// Every parameter, in the order of the layers.
    ///
    /// Cost: O(layers).
    public var parameters: [ParameterDescription] {
        ModelInspector(self, registry: nil, context: nil).parameters
    }

    /// Every parameter, those that attention operators own among them, for the longest sequence that the model takes.
    ///
    /// Cost: O(layers), and one question to the operator for each self-attention.
    public func parameters(in registry: OperatorRegistry) -> [ParameterDescription] {
        ModelInspector(self, registry: registry, context: nil).parameters
    }

    /// Elements of all parameters.
    public var parameterCount: Int { parameters.map(\.shape.count).saturatingSum }

    /// Features of a row that comes out of the last layer.
    public var outputWidth: Int { ModelInspector(self, registry: nil, context: nil).stream.width }

    /// Everything that does not fit, in the order of the layers; empty when the model can run.
    ///
    /// Cost: O(layers), and one question to the operator for each self-attention.
    /// - Parameters:
    ///   - registry: where operators are found by name.
    ///   - context: what operators are asked about; by default what the environment asks for.
    public func mismatches(in registry: OperatorRegistry, context: ComputeContext? = nil) -> [LayerMismatch] {
        ModelInspector(self, registry: registry, context: context).mismatches
    }

    /// Checks that the model can run.
    /// - Throws: ``ModelError/mismatches(_:)`` with everything that does not fit.
    public func validate(in registry: OperatorRegistry, context: ComputeContext? = nil) throws(ModelError) {
        let found = mismatches(in: registry, context: context)
        guard found.isEmpty else { throw .mismatches(found) }
    }

    /// The same model with specifications given to its self-attention layers in turn, again and again.
    ///
    /// For example five local layers, then one full: `pattern` holds six specifications.
    public func settingAttention(_ pattern: [AttentionSpecification]) -> ModelDescription {
        guard !pattern.isEmpty else { return self }
        var result = self
        var index = 0
        result.layers = Self.mapAttention(layers) { layer in
            layer.attention = pattern[index % pattern.count]
            index += 1
        }
        return result
    }

    private static func mapAttention(
        _ layers: [LayerNode], _ change: (inout SelfAttention) -> Void
    ) -> [LayerNode] {
        layers.map { layer in
            switch layer {
            case .selfAttention(var attention):
                change(&attention)
                return .selfAttention(attention)
            case .residual(let residual):
                return .residual(Residual(layers: mapAttention(residual.layers, change)))
            default: return layer
            }
        }
    }
}
