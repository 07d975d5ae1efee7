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
    /// Every self-attention layer, in the order in which a pass calls them.
    public let attentionLayers: [AttentionLayerShape]
    /// Bytes of the weights as products and tables read them; tables of embeddings may lie in a mapped file.
    public let weightBytes: Int
    private let layers: [any RunnableLayer]
    private let rotaries: [(rotary: RotaryEmbedding, headDim: Int)]
    /// Layers from here on treat every row by itself.
    private let rowwiseStart: Int

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
            tensors: tensors, weights: weights, parameters: inspector.parameters, registry: registry, context: context,
            tokenTable: "layers.0.weight")
        initialised = inspector.parameters.filter { $0.role == .attention && tensors[$0.name] == nil }.map(\.name)
        self.model = model
        self.context = context
        let layers = try builder.build(model.layers)
        self.layers = layers
        rowwiseStart = layers.lastIndex { !$0.isRowwise }.map { $0 + 1 } ?? 0
        attentionLayers = builder.ledger.attentionLayers
        weightBytes = builder.ledger.weightBytes
        rotaries = builder.ledger.rotaries
    }

    /// Runs the model: `[tokens, width]`, or `[sequences, width]` after pooling, or `[tokens, vocabulary]` after a head.
    ///
    /// A row has the same bits whatever rows stand beside it, and however many.
    /// - Parameters:
    ///   - store: keeps keys and values from pass to pass; without one a sequence sees the tokens of this pass alone.
    ///   - outputRows: the rows of the batch that are wanted, in the order wanted; `nil` means all. The others are left
    ///     out as soon as no layer needs them any more: before the feed-forward layer of the last block.
    ///   - observer: sees the operands of every attention call that has no store, layer by layer; costs nothing when
    ///     absent.
    /// - Throws: ``ModelError``: token numbers or lengths beyond the tables, rows that there are not, or attention that an
    ///   operator cannot run.
    public func forward(
        _ batch: RaggedBatch, store: (any KeyValueStore)? = nil, outputRows: [Int]? = nil,
        observer: AttentionObserver? = nil
    ) throws(ModelError) -> Tensor {
        let run = ForwardRun(
            batch: batch, context: context, observer: observer, store: store, rotary: RotaryTables(rotaries, batch))
        var rows = Tensor(zeros: [batch.ids.count, 0])
        for (index, layer) in layers.enumerated() {
            if index == rowwiseStart, let outputRows { rows = try Self.gather(outputRows, of: rows, batch) }
            rows = try layer.run(rows, run)
        }
        if rowwiseStart == layers.count, let outputRows { rows = try Self.gather(outputRows, of: rows, batch) }
        return rows
    }

    private static func gather(_ wanted: [Int], of rows: Tensor, _ batch: RaggedBatch) throws(ModelError) -> Tensor {
        let count = batch.ids.count
        guard rows.shape[0] == count, rows.shape.rank == 2 else {
            throw .invalidInput(
                operand: "outputRows", expected: "nil for a model that makes one row of each sequence",
                actual: "a list")
        }
        if let bad = wanted.first(where: { !(0..<count).contains($0) }) {
            throw .invalidInput(
                operand: "outputRows", expected: "numbers of the \(count) rows of the batch", actual: "\(bad)")
        }
        if wanted.elementsEqual(0..<count) { return rows }
        let width = rows.shape[1]
        let result = Tensor(unwritten: [wanted.count, width])
        let target = result.freshMutableAddress.assumingMemoryBound(to: Float.self)
        withExtendedLifetime(rows) {
            let source = rows.baseAddress.assumingMemoryBound(to: Float.self)
            for (place, row) in wanted.enumerated() {
                (target + place * width).update(from: source + row * width, count: width)
            }
        }
        return result
    }
}

/// What layers of one pass share.
struct ForwardRun {
    let batch: RaggedBatch
    let context: ComputeContext
    let observer: AttentionObserver?
    let store: (any KeyValueStore)?
    let rotary: RotaryTables
    /// Sees the rows that go into every product, before it runs.
    var productInputs: ProductObserver?
}

/// Sees the rows `[tokens, inputs]` that go into a product, and the product's place.
typealias ProductObserver = (_ rows: Tensor, _ place: String) -> Void

/// A layer with its weights.
protocol RunnableLayer: Sendable {
    /// Whether a row that comes out depends on that row that comes in alone, and not on its place in the batch.
    var isRowwise: Bool { get }
    /// Rows in, rows out.
    func run(_ rows: Tensor, _ run: ForwardRun) throws(ModelError) -> Tensor
}

extension RunnableLayer {
    var isRowwise: Bool { true }
}
