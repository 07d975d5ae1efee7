import TensorCore

/// How large the weights of a decoder's checkpoint are.
public struct CheckpointSize: Sendable, Hashable {
    /// Weights of the blocks' products.
    public let weights: Int
    /// Bytes of the tensors that hold them: codes, scales, zeros and groups where they are quantised.
    public let weightBytes: Int
    /// Bytes of all tensors.
    public let bytes: Int

    /// Bits of the files for each weight of the blocks' products.
    public var bitsPerWeight: Double { weights == 0 ? 0 : Double(8 * weightBytes) / Double(weights) }

    /// Looks at a Hugging Face directory.
    ///
    /// Cost: O(headers).
    /// - Throws: ``ModelError`` that names the file and field.
    public init(directory: String) throws(ModelError) {
        let checkpoint = try DecoderCheckpoint(directory: directory)
        let (files, assembly) = (checkpoint.files, checkpoint.assembly)
        let inspector = ModelInspector(assembly.model, registry: nil, context: nil)
        let head = "layers.\(assembly.model.layers.count - 1).weight"
        var weights = 0
        var modules: Set<String> = []
        for parameter in inspector.parameters where parameter.role == .matrix && parameter.name != head {
            guard let module = assembly.layout[parameter.name]?.module else { continue }
            weights += parameter.shape.count
            modules.insert(module)
        }
        var weightBytes = 0
        var bytes = 0
        for name in files.names {
            let size = files[name]?.byteCount ?? 0
            bytes += size
            guard let dot = name.lastIndex(of: "."), !name.hasSuffix(".bias") else { continue }
            if modules.contains(String(name[..<dot])) { weightBytes += size }
        }
        self.weights = weights
        self.weightBytes = weightBytes
        self.bytes = bytes
    }
}
