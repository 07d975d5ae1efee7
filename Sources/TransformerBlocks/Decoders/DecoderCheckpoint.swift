import AttentionCore
import TensorCore

/// A decoder's directory, opened: its configuration, its files, and where the parameters of its layers lie in them.
struct DecoderCheckpoint {
    let configuration: DecoderConfiguration
    let files: CheckpointFiles
    let names: CheckpointNames
    let assembly: DecoderAssembly

    /// Opens a Hugging Face directory.
    ///
    /// Cost: O(headers).
    /// - Parameter attention: specifications that blocks take in turn.
    /// - Throws: ``ModelError`` that names the file and field.
    init(directory: String, attention: [AttentionSpecification] = []) throws(ModelError) {
        configuration = try DecoderConfiguration(directory: directory)
        files = try CheckpointFiles(directory: directory)
        names = CheckpointNames(configuration, files)
        assembly = DecoderAssembly(
            configuration, prefix: names.prefix, head: names.head,
            embeddingScale: configuration.embeddingScale(for: files[names.tokenTable]?.dtype ?? .float32),
            attention: attention)
    }

    /// The weights, once it is sure that the layers take every tensor of the decoder.
    /// - Throws: ``ModelError`` for a broken `quantization_config`, and with every tensor that no layer takes.
    func weights() throws(ModelError) -> CheckpointWeights {
        let weights = CheckpointWeights(
            files: files, layout: assembly.layout, quantization: try CheckpointFiles.quantization(files.directory))
        try names.refuseSpare(weights)
        return weights
    }
}
