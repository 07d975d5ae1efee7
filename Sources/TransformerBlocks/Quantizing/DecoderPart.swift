import AttentionCore
import Kernels
import TensorCore

/// A product of a decoder's block, and where its weight lies.
struct DecoderProduct: Sendable, Hashable {
    /// The parameter of the model, for example `layers.1.1.query.weight`.
    let parameter: String
    /// The layer's own name of the product, for example `query`.
    let name: String
    /// The checkpoint's name of the product, for example `model.layers.0.self_attn.q_proj`.
    let module: String
    /// Features that come out.
    let outputs: Int
    /// Features that go in.
    let inputs: Int

    /// The parameter of the product's bias.
    var biasParameter: String { String(parameter.dropLast("weight".count)) + "bias" }
}

/// Half a block of a decoder: a residual connection around a normalisation and a layer with products in two steps.
///
/// Attention has query, key and value, then output; a gated feed-forward layer has gate and up, then down. Products of a
/// step share their input.
struct DecoderPart: Sendable {
    /// The place among the model's layers.
    let index: Int
    /// The residual connection.
    let residual: Residual
    /// The place of the layer with the products within it.
    let inner: Int
    /// The products in the order in which they run.
    let steps: [[DecoderProduct]]
    /// The parameter of the normalisation before the layer.
    let gainParameter: String
    /// What that normalisation adds to its weight.
    let gainOffset: Float
    /// Every parameter of the part, by the model's name, with the tensor of the checkpoint.
    let parameters: [String: String]

    /// Whether something before a step's products can take the inverse of factors on their inputs.
    ///
    /// Query heads that share a value head would each ask for another factor of its rows.
    func canFold(_ step: Int) -> Bool {
        guard step > 0, case .selfAttention(let layer) = residual.layers[inner] else { return true }
        return layer.kvHeads ?? layer.heads == layer.heads
    }

    /// The part that a residual connection is; `nil` when it has another form.
    init?(
        _ residual: Residual, at index: Int, layout: [String: StoredTensor], shapes: [String: Shape]
    ) {
        let names: [[String]]
        guard residual.layers.count >= 2, case .rmsNorm(let norm) = residual.layers[0] else { return nil }
        switch residual.layers[1] {
        case .selfAttention: names = [["query", "key", "value"], ["output"]]
        case .gatedFeedForward: names = [["gate", "up"], ["down"]]
        default: return nil
        }
        inner = 1
        self.index = index
        self.residual = residual
        gainParameter = "layers.\(index).0.weight"
        gainOffset = norm.offset
        var steps: [[DecoderProduct]] = []
        for step in names {
            var products: [DecoderProduct] = []
            for name in step {
                let parameter = "layers.\(index).1.\(name).weight"
                // A product must be a tensor of its own: neither turned nor part of another.
                guard let stored = layout[parameter], !stored.isTransposed, stored.part == nil,
                    let module = stored.module, let shape = shapes[parameter], shape.rank == 2
                else { return nil }
                products.append(
                    DecoderProduct(
                        parameter: parameter, name: name, module: module,
                        outputs: shape[0], inputs: shape[1]))
            }
            steps.append(products)
        }
        self.steps = steps
        let prefix = "layers.\(index)."
        parameters = layout.filter { $0.key.hasPrefix(prefix) }.mapValues(\.name)
    }

    /// The whole part, ready to run with the given weights.
    func runner(
        _ weights: [String: Tensor], registry: OperatorRegistry, context: ComputeContext
    ) throws(ModelError) -> PartRunner {
        try PartRunner(residual, path: [index], weights, registry: registry, context: context)
    }

    /// The normalisation alone: what comes out goes into the first step's products.
    func normRunner(
        _ weights: [String: Tensor], registry: OperatorRegistry, context: ComputeContext
    ) throws(ModelError) -> PartRunner {
        try PartRunner(
            residual.layers[0].definition, path: [index, 0], weights, registry: registry, context: context)
    }

    /// The layer with the products alone, without normalisation and sum.
    func innerRunner(
        _ weights: [String: Tensor], registry: OperatorRegistry, context: ComputeContext
    ) throws(ModelError) -> PartRunner {
        try PartRunner(
            residual.layers[inner].definition, path: [index, inner], weights, registry: registry, context: context)
    }
}

/// A layer of a model, alone, with weights.
struct PartRunner {
    private let layer: any RunnableLayer
    private let rotaries: [(rotary: RotaryEmbedding, headDim: Int)]
    private let context: ComputeContext

    /// Builds the layer.
    ///
    /// Cost: O(parameters), for packing.
    /// - Parameters:
    ///   - path: the layer's place in the model.
    ///   - weights: by the model's parameter names.
    init(
        _ definition: any LayerDefinition, path: [Int], _ weights: [String: Tensor], registry: OperatorRegistry,
        context: ComputeContext
    ) throws(ModelError) {
        var builder = NetworkBuilder(
            tensors: weights, weights: TensorWeights(weights),
            parameters: weights.map { ParameterDescription(name: $0.key, shape: $0.value.shape, role: .matrix) },
            registry: registry, context: context, tokenTable: "layers.0.weight")
        builder.path = path
        layer = try definition.build(builder)
        rotaries = builder.ledger.rotaries
        self.context = context
    }

    /// Rows in, rows out.
    /// - Parameter productInputs: sees what goes into the layer's products, in their order.
    func callAsFunction(
        _ rows: Tensor, _ batch: RaggedBatch, productInputs: ProductObserver? = nil
    ) throws(ModelError) -> Tensor {
        let run = ForwardRun(
            batch: batch, context: context, observer: nil, store: nil, rotary: RotaryTables(rotaries, batch),
            productInputs: productInputs)
        return try layer.run(rows, run)
    }
}
