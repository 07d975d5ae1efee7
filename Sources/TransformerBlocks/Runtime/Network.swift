public import AttentionCore
public import Kernels
public import TensorCore

/// A checked model with its weights, ready to run.
///
/// Tokens of all sequences are rows of one matrix, without padding. Layers that treat rows one by one see all of them;
/// attention is called once for each sequence, on views. So a sequence's result has the same bits in any company.
public struct Network: Sendable {
    /// The model.
    public let model: ModelDescription
    /// Threads and kernels.
    public let context: ComputeContext
    /// Tensors of attention operators that the weights do not hold, so that they begin by the operators' rules.
    public let initialised: [String]
    private let layers: [any RunnableLayer]

    /// Checks a model and takes its weights.
    ///
    /// Cost: O(parameters), for packing.
    /// - Parameters:
    ///   - weights: files, memory or a seed.
    ///   - registry: where operators are found by name.
    ///   - context: by default what the environment asks for.
    /// - Throws: ``ModelError`` with every layer, or every weight, that does not fit.
    public init(
        _ model: ModelDescription, weights: any WeightSource, registry: OperatorRegistry,
        context: ComputeContext? = nil
    ) throws(ModelError) {
        let context = try ModelError.context(context)
        let inspector = ModelInspector(model, registry: registry, context: context)
        guard inspector.mismatches.isEmpty else { throw .mismatches(inspector.mismatches) }
        let tensors = try WeightLoader.load(inspector.parameters, from: weights)
        // The token embedding is the first layer of every model that passes inspection.
        let builder = NetworkBuilder(
            tensors: tensors, registry: registry, context: context, tokenTable: "layers.0.weight")
        initialised = inspector.parameters.map(\.name).filter { tensors[$0] == nil }
        self.model = model
        self.context = context
        layers = try builder.build(model.layers)
    }

    /// Runs the model: `[tokens, width]`, or `[sequences, width]` after pooling, or `[tokens, vocabulary]` after a head.
    /// - Parameter observer: sees the operands of every attention call, layer by layer; costs nothing when absent.
    /// - Throws: ``ModelError``: token numbers or lengths beyond the tables, or attention that an operator cannot run.
    public func forward(_ batch: RaggedBatch, observer: AttentionObserver? = nil) throws(ModelError) -> Tensor {
        let run = ForwardRun(batch: batch, context: context, observer: observer)
        var rows = Tensor(zeros: [batch.ids.count, 0])
        for layer in layers { rows = try layer.run(rows, run) }
        return rows
    }
}

/// What layers of one pass share.
struct ForwardRun {
    let batch: RaggedBatch
    let context: ComputeContext
    let observer: AttentionObserver?
}

/// A layer with its weights.
protocol RunnableLayer: Sendable {
    /// Rows in, rows out.
    func run(_ rows: Tensor, _ run: ForwardRun) throws(ModelError) -> Tensor
}
