import AttentionCore
import Quantization

/// How a checkpoint says that its weights are kept.
public enum CheckpointQuantization {
    /// The method by which weights became whole numbers, or else their element type.
    ///
    /// What rounding and GPTQ make lies in files alike; which of them it was only files of ``ModelQuantizer`` tell.
    /// - Throws: ``ModelError`` that names the file and field.
    public static func describe(directory: String) throws(ModelError) -> String {
        let file = try JSONFile(path: directory + "/config.json")
        guard let configuration = try CheckpointFiles.quantization(directory) else {
            for key in ["dtype", "torch_dtype"] {
                if let name = try file.string(key) { return name }
            }
            return "float"
        }
        if case .object(let fields)? = file["quantization_config"], case .object(let meta)? = fields["meta"],
            case .string(let method)? = meta[methodField]
        {
            return method
        }
        switch configuration.method {
        case .gptq: return "gptq"
        case .awqGEMM, .awqGEMV: return "awq"
        case .compressedTensors: return "compressed-tensors"
        }
    }

    /// The field of `quantization_config.meta` that names the method.
    static let methodField = "method"
}
