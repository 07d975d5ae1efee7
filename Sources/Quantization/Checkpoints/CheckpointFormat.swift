public import Kernels
public import TensorCore

/// Reading and writing the quantised weights of linear layers as checkpoints hold them.
///
/// The layouts are in `docs/checkpoint-formats.md`.
public enum CheckpointFormat {
    /// Reads the weight of a linear layer.
    ///
    /// `module` is the name before `.qweight`, such as `model.layers.0.self_attn.q_proj`; `tensor` gives the file's
    /// tensors by name. Whether a module is quantised is seen from its tensors: `nil` when it has a plain
    /// `<module>.weight` or none at all. A group index that is the inputs' order, and zeros that are all 2^(bits − 1),
    /// come as `nil` in the weight.
    ///
    /// Cost: O(outputs · inputs).
    /// - Throws: ``CheckpointFormatError`` that names the tensor and what of it is wrong: a missing tensor, an element
    ///   type, a shape (also against `outputs` and `inputs`, where given), a group size that does not divide the inputs,
    ///   a group index out of range, zeros that the configuration or the layout forbids, scales that are not finite,
    ///   and packed codes of a module that the configuration leaves out.
    public static func read(
        module: String, outputs: Int? = nil, inputs: Int? = nil, configuration: QuantizationConfiguration,
        tensor: (String) -> Tensor?
    ) throws(CheckpointFormatError) -> QuantizedWeight? {
        // The closure is kept no longer than this call.
        try withoutActuallyEscaping(tensor) { tensor throws(CheckpointFormatError) in
            let stored = StoredModule(module, tensor)
            let quantization = try configuration.quantization(of: module)
            guard let marker = marker(stored, configuration) else {
                guard quantization != nil, stored.optional("weight") == nil else { return nil }
                let names = suffixes(configuration.method).filter { stored.optional($0) != nil }
                guard let first = names.first else { return nil }
                let missing = configuration.method == .compressedTensors ? "weight_packed" : "qweight"
                throw stored.failure(missing, "tensor", "the codes to \(stored.name(first))", "none")
            }
            guard let quantization else {
                throw stored.failure(
                    marker, "tensor", "none, as the configuration leaves this module out", "quantised codes")
            }
            let extents = (outputs: outputs, inputs: inputs)
            switch configuration.method {
            case .gptq(let isVersion2):
                return try GPTQFormat.read(stored, quantization, isVersion2: isVersion2, extents: extents)
            case .awqGEMM: return try AWQFormat.readGEMM(stored, quantization, extents: extents)
            case .awqGEMV: return try AWQFormat.readGEMV(stored, quantization, extents: extents)
            case .compressedTensors: return try CompressedTensorsFormat.read(stored, quantization, extents: extents)
            }
        }
    }

    /// The tensor that shows that a module is quantised.
    private static func marker(_ stored: StoredModule, _ configuration: QuantizationConfiguration) -> String? {
        guard configuration.method == .compressedTensors else {
            return stored.optional("qweight") == nil ? nil : "qweight"
        }
        if stored.optional("weight_packed") != nil { return "weight_packed" }
        return stored.optional("weight")?.dtype == .int8 ? "weight" : nil
    }

    private static func suffixes(_ method: QuantizationConfiguration.Method) -> [String] {
        switch method {
        case .gptq: ["qweight", "qzeros", "scales", "g_idx"]
        case .awqGEMM, .awqGEMV: ["qweight", "qzeros", "scales"]
        case .compressedTensors:
            ["weight_packed", "weight_scale", "weight_zero_point", "weight_shape", "weight_g_idx"]
        }
    }

    /// Names of the tensors that a quantised module may take from a file, so that others can be told apart.
    ///
    /// With compressed-tensors `<module>.weight` may be one too.
    public static func tensorNames(module: String, configuration: QuantizationConfiguration) -> [String] {
        let plain = configuration.method == .compressedTensors ? ["weight"] : []
        return (suffixes(configuration.method) + plain).map { "\(module).\($0)" }
    }

    /// The tensors of a weight by name, for `SafetensorsFile.write`.
    ///
    /// Cost: O(outputs · inputs).
    /// - Throws: ``CheckpointFormatError`` when the configuration says otherwise than the weight is, or leaves the
    ///   module out, and for what a layout cannot hold: extents that do not fill words, zeros out of its range, inputs
    ///   in another order where there is no place for it.
    public static func write(
        _ weight: QuantizedWeight, module: String, configuration: QuantizationConfiguration
    ) throws(CheckpointFormatError) -> [String: Tensor] {
        guard let quantization = try configuration.quantization(of: module) else {
            throw CheckpointFormatError(
                place: module, field: "tensor", expected: "a plain weight, as the configuration leaves this module out",
                actual: "a quantised weight")
        }
        let writer = WeightWriter(weight: weight, module: module, quantization: quantization)
        try writer.checkAgreement()
        let tensors: [String: Tensor] =
            switch configuration.method {
            case .gptq(let isVersion2): try GPTQFormat.write(writer, isVersion2: isVersion2)
            case .awqGEMM: try AWQFormat.write(writer)
            case .awqGEMV: throw writer.failure("version", "gemm to write", "gemv")
            case .compressedTensors: try CompressedTensorsFormat.write(writer)
            }
        return Dictionary(uniqueKeysWithValues: tensors.map { ("\(module).\($0.key)", $0.value) })
    }
}
