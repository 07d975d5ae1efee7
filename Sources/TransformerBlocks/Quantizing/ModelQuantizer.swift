public import AttentionCore
import Dispatch
public import Kernels
public import Quantization
package import TensorCore

/// Quantises a decoder from a Hugging Face directory into another such directory, block by block.
///
/// The rows of all calibration sequences go through the chain of blocks together: what comes out of a quantised block goes
/// into the next. Query, key and value, then the projection back, then gate and up, then down are quantised in this order,
/// since each sees what comes out of those before it. Embeddings, normalisations and biases stay as they are; so does the
/// head unless it is asked for.
///
/// Weights are mapped and written block by block: in memory are the weights of one block in Float, a few times over while
/// it is compared with what it was, and `[tokens, width]` in Float for the calibration text.
public struct ModelQuantizer {
    /// How far quantising has got.
    public struct Progress: Sendable, Hashable {
        /// Products that are done.
        public let done: Int
        /// Products to quantise.
        public let total: Int
        /// The product that begins.
        public let module: String
    }

    /// The model's directory.
    public let directory: String
    /// The method.
    public let method: QuantizationMethod
    /// Bits, groups and zeros.
    public let scheme: QuantizationScheme
    /// The form of the files.
    public let format: QuantizationConfiguration.Method
    /// Whether the head is quantised too.
    public let quantizesHead: Bool
    /// Tokens of the model.
    public var vocabulary: Int { blocks.configuration.vocabulary }
    /// The most tokens of a calibration sequence.
    public var maximumLength: Int { blocks.configuration.maximumLength }
    /// The products that will be quantised, by the checkpoint's names.
    public var modules: [String] { products.map(\.module) }
    let blocks: DecoderBlocks
    private let quantizer: ProductQuantizer

    /// Opens a model and checks that all of it can be quantised as asked.
    ///
    /// Cost: O(headers).
    /// - Parameters:
    ///   - quantizesHead: a head that shares the token table gets a weight of its own.
    ///   - registry: where the attention operators are found with which the calibration text runs.
    ///   - context: by default what the environment asks for.
    /// - Throws: ``ModelError/unquantizable(_:)`` with every product that does not fit the scheme or the format, and what
    ///   opening a model throws.
    public init(
        directory: String, method: QuantizationMethod, scheme: QuantizationScheme,
        format: QuantizationConfiguration.Method,
        quantizesHead: Bool = false, registry: OperatorRegistry, context: ComputeContext? = nil
    ) throws(ModelError) {
        let context = try ModelError.context(context)
        self.directory = directory
        self.method = method
        self.scheme = scheme
        self.format = format
        self.quantizesHead = quantizesHead
        blocks = try DecoderBlocks(directory: directory, registry: registry, context: context)
        quantizer = ProductQuantizer(
            method: method, scheme: scheme, storesZerosLessOne: format == .gptq(isVersion2: false), context: context)
        try check()
    }

    var products: [DecoderProduct] {
        blocks.blocks.joined().flatMap { $0.steps.joined() } + (quantizesHead ? [blocks.head] : [])
    }

    /// Quantises the model.
    ///
    /// Cost: some passes of the calibration text through the model, and for GPTQ O(outputs · inputs²) for each product.
    /// - Parameters:
    ///   - calibration: token sequences; may be empty for ``QuantizationMethod/roundToNearest`` alone.
    ///   - output: a directory that is not there yet, or empty; it is there afterwards, whole, or not at all.
    ///   - progress: is called before every product.
    /// - Throws: ``ModelError``.
    public func quantize(
        calibration: [[Int]], to output: String, progress: (Progress) -> Void = { _ in }
    ) throws(ModelError) -> QuantizationReport {
        try quantize(calibration: calibration, to: output, progress: progress) { _, _ in }
    }

    /// As ``quantize(calibration:to:progress:)``, and shows what comes out of every quantised block.
    package func quantize(
        calibration: [[Int]], to output: String, progress: (Progress) -> Void,
        blockOutputs: (_ block: Int, _ rows: [Tensor]) -> Void
    ) throws(ModelError) -> QuantizationReport {
        if method.needsCalibration, calibration.isEmpty {
            throw .invalidInput(
                operand: "the calibration text",
                expected: "token sequences: \(method.name) looks at what the model does",
                actual: "empty")
        }
        if let index = calibration.firstIndex(where: { $0.count > maximumLength }) {
            throw .invalidInput(
                operand: "calibration sequence \(index)", expected: "at most the \(maximumLength) tokens of the model",
                actual: "\(calibration[index].count) tokens long")
        }
        var draft = try CheckpointDraft(target: output)
        do throws(ModelError) {
            return try run(calibration, &draft, progress, blockOutputs)
        } catch {
            draft.abandon()
            throw error
        }
    }

    private func run(
        _ calibration: [[Int]], _ draft: inout CheckpointDraft, _ progress: (Progress) -> Void,
        _ blockOutputs: (Int, [Tensor]) -> Void
    ) throws(ModelError) -> QuantizationReport {
        let begin = DispatchTime.now().uptimeNanoseconds
        let total = products.count
        var ledger = QuantizationLedger()
        var states = try CalibrationStates(calibration, blocks)
        let stage = BlockQuantizer(blocks: blocks, quantizer: quantizer, isSequential: method.isSequential)
        let writer = BlockWriter(configuration: storedConfiguration, files: blocks.files)
        for (number, parts) in blocks.blocks.enumerated() {
            let before = ledger.layers.count
            let outcome = try stage(parts, number: number, states: &states) { product, done in
                progress(Progress(done: before + done, total: total, module: product.module))
            }
            let tensors = try writer.tensors(of: parts, outcome)
            ledger.add(outcome, number, tensors)
            try draft.add(tensors.all)
            blockOutputs(number, states.rows)
        }
        if quantizesHead {
            progress(Progress(done: total - 1, total: total, module: blocks.head.module))
            let outcome = try head(states)
            let tensors = try writer.tensors(of: [], outcome)
            ledger.add(outcome, nil, tensors)
            try draft.add(tensors.all)
        }
        // Everything that no block holds: the token table, the last normalisation, a head that stays.
        let rest = blocks.files.names.filter { !ledger.written.contains($0) && !ledger.replaced.contains($0) }
        if !rest.isEmpty { try draft.add(rest.compactMap { name in blocks.files[name].map { (name, $0) } }) }
        let bytes = try draft.finish(configuration: try configuration(), source: directory)
        return QuantizationReport(
            model: directory, family: blocks.configuration.family, method: method.name, format: format.name,
            bits: scheme.bits, groupSize: scheme.groupSize, isSymmetric: scheme.isSymmetric,
            sequences: calibration.count, tokens: states.tokens, layers: ledger.layers, blocks: ledger.blocks,
            bitsPerWeight: ledger.bitsPerWeight,
            bytesBefore: blocks.files.names.reduce(0) { $0 + (blocks.files[$1].map(\.byteCount) ?? 0) },
            bytesAfter: bytes, seconds: Double(DispatchTime.now().uptimeNanoseconds - begin) / 1e9)
    }

    private func head(_ states: CalibrationStates) throws(ModelError) -> BlockQuantizer.Outcome {
        var statistics: InputHessian?
        if !states.isEmpty {
            var collected = InputHessian(inputs: blocks.head.inputs)
            for (batch, rows) in zip(states.batches, states.rows) {
                try quantizer.add(try blocks.normed(rows, batch), to: &collected, blocks.head)
            }
            statistics = collected
        }
        let weight = try blocks.headWeight().converted(to: .float32)
        return BlockQuantizer.Outcome(products: [try quantizer(blocks.head, weight, block: nil, statistics)])
    }
}
