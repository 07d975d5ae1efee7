import TensorCore

/// How a checkpoint calls its tensors: files differ in what stands before the names.
struct CheckpointNames {
    /// What stands before the names of the decoder's tensors.
    let prefix: String
    /// The name of an untied head's weight.
    let head: String
    /// The name of the token table.
    let tokenTable: String
    private let isTied: Bool

    /// Finds the names by the token table; without one, the usual names, so that messages name those.
    init(_ configuration: DecoderConfiguration, _ files: CheckpointFiles) {
        let prefixes: [String]
        switch configuration.family {
        case "gpt2": prefixes = ["transformer.", ""]
        case "opt": prefixes = ["model.decoder.", "decoder."]
        case "gemma3": prefixes = ["language_model.model.", "model.language_model.", "model."]
        default: prefixes = ["model.", "", "language_model.model.", "model.language_model."]
        }
        let table = configuration.family == "gpt2" ? "wte.weight" : "embed_tokens.weight"
        let found = prefixes.first { files[$0 + table] != nil } ?? prefixes[0]
        prefix = found
        tokenTable = found + table
        head = found == "language_model.model." ? "language_model.lm_head.weight" : "lm_head.weight"
        isTied = configuration.tied
    }

    /// Refuses tensors of the decoder that no layer takes: the configuration has left something out.
    /// - Throws: ``ModelError/weights(origin:_:)``.
    func refuseSpare(_ weights: CheckpointWeights) throws(ModelError) {
        let files = weights.files
        let taken = weights.taken
        let spare = files.names.filter { name in
            guard name.hasPrefix(prefix) || name.hasPrefix("lm_head.") else { return false }
            // Tables that follow from the configuration, which some releases have written out.
            if name.hasSuffix(".rotary_emb.inv_freq") { return false }
            if name.hasSuffix(".attn.bias") || name.hasSuffix(".attn.masked_bias") { return false }
            if isTied, name == head { return false }
            // Quantisers have written a bias of zeros for every product.
            if weights.quantization != nil, name.hasSuffix(".bias"), let bias = files[name],
                bias.dtype.isFloatingPoint, bias.converted(to: .float32).floats().allSatisfy({ $0 == 0 })
            {
                return false
            }
            return !taken.contains(name)
        }
        guard spare.isEmpty else {
            throw .weights(
                origin: files.directory,
                spare.map { name in
                    WeightMismatch(
                        tensor: name, expected: "no such tensor: the configuration has no layer for it",
                        actual: files[name].map { "\($0.shape) \($0.dtype.rawValue)" } ?? "there")
                })
        }
    }
}
