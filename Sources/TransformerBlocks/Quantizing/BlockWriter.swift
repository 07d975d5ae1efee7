import Quantization
import TensorCore

/// Puts what a block has become into the tensors of a checkpoint.
struct BlockWriter {
    let configuration: QuantizationConfiguration
    let files: CheckpointFiles

    /// The tensors of a block.
    struct Tensors {
        var all: [(name: String, tensor: Tensor)] = []
        /// Bytes of those that hold quantised weights.
        var quantizedBytes = 0
        /// Names of the source that they stand for.
        var replaced: Set<String> = []
    }

    /// The quantised products, and the other tensors of the parts as they are by now.
    /// - Throws: ``ModelError`` when the format cannot hold a weight.
    func tensors(of parts: [DecoderPart], _ outcome: BlockQuantizer.Outcome) throws(ModelError) -> Tensors {
        var result = Tensors()
        for quantized in outcome.products {
            let module = quantized.product.module
            let tensors = try ModelError.checkpoint(at: module) { () throws(CheckpointFormatError) in
                try CheckpointFormat.write(quantized.weight, module: module, configuration: configuration)
            }
            for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
                result.all.append((name, tensor))
                result.quantizedBytes += tensor.byteCount
            }
            result.replaced.insert(module + ".weight")
        }
        for part in parts {
            for (parameter, stored) in part.parameters.sorted(by: { $0.value < $1.value })
            where !result.replaced.contains(stored) {
                guard let tensor = outcome.changed[parameter] ?? files[stored] else { continue }
                result.all.append((stored, tensor))
            }
        }
        return result
    }
}

/// What is known of a model while its blocks are quantised.
struct QuantizationLedger {
    private(set) var layers: [QuantizationReport.Layer] = []
    private(set) var blocks: [QuantizationReport.Block] = []
    /// Names of tensors that are written.
    private(set) var written: Set<String> = []
    /// Names of the source's tensors that quantised ones stand for.
    private(set) var replaced: Set<String> = []
    private var quantizedBytes = 0

    /// Adds a block, or the head when there is no number.
    mutating func add(_ outcome: BlockQuantizer.Outcome, _ number: Int?, _ tensors: BlockWriter.Tensors) {
        layers += outcome.products.map(\.report)
        if let number, let error = outcome.outputError {
            blocks.append(QuantizationReport.Block(index: number, outputError: error))
        }
        written.formUnion(tensors.all.map(\.name))
        replaced.formUnion(tensors.replaced)
        quantizedBytes += tensors.quantizedBytes
    }

    /// Bits of the files for each quantised weight: codes, scales, zeros and groups.
    var bitsPerWeight: Double {
        let weights = layers.reduce(0) { $0 + $1.outputs * $1.inputs }
        return weights == 0 ? 0 : Double(8 * quantizedBytes) / Double(weights)
    }
}
