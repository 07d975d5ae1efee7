import AttentionCore
import Kernels
import TensorCore

/// A decoder's checkpoint as a chain of blocks, of which one at a time is held in memory.
struct DecoderBlocks {
    let configuration: DecoderConfiguration
    let files: CheckpointFiles
    let names: CheckpointNames
    let context: ComputeContext
    /// The halves of every block.
    let blocks: [[DecoderPart]]
    /// The head, when it has products of its own form.
    let head: DecoderProduct
    private let registry: OperatorRegistry
    private let model: ModelDescription
    private let layout: [String: StoredTensor]

    /// Opens a directory and checks that its weights fit its configuration.
    ///
    /// Cost: O(headers); weights are mapped.
    /// - Throws: ``ModelError``; for families whose products lie fused or turned in the files too.
    init(directory: String, registry: OperatorRegistry, context: ComputeContext) throws(ModelError) {
        let checkpoint = try DecoderCheckpoint(directory: directory)
        let (configuration, names, assembly) = (checkpoint.configuration, checkpoint.names, checkpoint.assembly)
        let source = try checkpoint.weights()
        if source.quantization != nil {
            throw .invalidField(
                place: directory, field: "quantization_config",
                expected: "none: what is quantised are weights in F32, F16 or BF16", actual: "there")
        }
        let inspector = ModelInspector(assembly.model, registry: registry, context: context)
        guard inspector.mismatches.isEmpty else { throw .mismatches(inspector.mismatches) }
        _ = try WeightLoader.load(inspector.parameters, from: source)
        let shapes = Dictionary(
            inspector.parameters.map { ($0.name, $0.shape) }, uniquingKeysWith: { first, _ in first })
        var parts: [DecoderPart] = []
        for (index, layer) in assembly.model.layers.enumerated() {
            guard case .residual(let residual) = layer else { continue }
            guard let part = DecoderPart(residual, at: index, layout: assembly.layout, shapes: shapes) else {
                throw .invalidField(
                    place: directory + "/config.json", field: "model_type",
                    expected: "a family whose blocks have an RMS norm, attention and a gated feed-forward layer, with "
                        + "products that lie one by one in the files: "
                        + DecoderConfiguration.families.filter { !["gpt2", "opt"].contains($0) }.joined(separator: ", "),
                    actual: "\"\(configuration.family)\"")
            }
            parts.append(part)
        }
        blocks = stride(from: 0, to: parts.count, by: 2).map { Array(parts[$0..<min($0 + 2, parts.count)]) }
        let last = assembly.model.layers.count - 1
        head = DecoderProduct(
            parameter: "layers.\(last).weight", name: "head", module: String(names.head.dropLast(".weight".count)),
            outputs: configuration.vocabulary, inputs: configuration.width)
        self.configuration = configuration
        files = checkpoint.files
        self.names = names
        self.context = context
        self.registry = registry
        model = assembly.model
        layout = assembly.layout
    }

    /// The tensors of a part as the files hold them, by the model's parameter names: views of the mapped files.
    func weights(of part: DecoderPart) -> [String: Tensor] {
        part.parameters.compactMapValues { files[$0] }
    }

    /// The head's weight; the token table's when the two are tied.
    func headWeight() throws(ModelError) -> Tensor {
        let name = configuration.tied ? names.tokenTable : names.head
        guard let tensor = files[name] else {
            throw .weights(
                origin: files.directory, [WeightMismatch(tensor: name, expected: "a tensor", actual: "missing")])
        }
        return tensor
    }

    /// The part, ready to run with the given weights.
    func runner(_ part: DecoderPart, _ weights: [String: Tensor]) throws(ModelError) -> PartRunner {
        try part.runner(weights, registry: registry, context: context)
    }

    /// The normalisation before the part's products, ready to run with the given weights.
    func normRunner(_ part: DecoderPart, _ weights: [String: Tensor]) throws(ModelError) -> PartRunner {
        try part.normRunner(weights, registry: registry, context: context)
    }

    /// The layer of the part that has the products, ready to run with the given weights.
    func innerRunner(_ part: DecoderPart, _ weights: [String: Tensor]) throws(ModelError) -> PartRunner {
        try part.innerRunner(weights, registry: registry, context: context)
    }

    /// What goes into the first block.
    func embedded(_ batch: RaggedBatch) throws(ModelError) -> Tensor {
        try single(0)(Tensor(zeros: [batch.ids.count, 0]), batch)
    }

    /// What goes into the head, from what comes out of the last block.
    func normed(_ rows: Tensor, _ batch: RaggedBatch) throws(ModelError) -> Tensor {
        try single(model.layers.count - 2)(rows, batch)
    }

    /// A layer outside of the blocks, with the files' weights.
    private func single(_ index: Int) throws(ModelError) -> PartRunner {
        var weights: [String: Tensor] = [:]
        for (parameter, stored) in layout where parameter.hasPrefix("layers.\(index).") {
            weights[parameter] = files[stored.name].map(stored.view)
        }
        return try PartRunner(
            model.layers[index].definition, path: [index], weights, registry: registry, context: context)
    }
}
