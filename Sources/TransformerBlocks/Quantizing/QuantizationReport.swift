/// What quantising a model gave, layer by layer.
public struct QuantizationReport: Sendable, Codable, Hashable {
    /// One product of the model.
    public struct Layer: Sendable, Codable, Hashable {
        /// The checkpoint's name of it, for example `model.layers.0.self_attn.q_proj`.
        public let module: String
        /// The block's number; `nil` for the head.
        public let block: Int?
        /// Features that come out.
        public let outputs: Int
        /// Features that go in.
        public let inputs: Int
        /// Inputs that share a scale.
        public let groupSize: Int
        /// ‖Q − W‖² / ‖W‖².
        public let weightError: Double
        /// ‖(Q − W)X‖² / ‖WX‖² over the calibration text; `nil` without one.
        public let outputError: Double?
        /// tr((Q − W) H (Q − W)ᵀ), H the mean of 2xxᵀ over the inputs x; `nil` without a calibration text.
        public let objective: Double?
        /// What was added to the diagonal of H; `nil` for methods that do not invert it.
        public let damping: Double?
        /// Seconds for this product alone.
        public let seconds: Double
    }

    /// One block of the model.
    public struct Block: Sendable, Codable, Hashable {
        /// The number.
        public let index: Int
        /// ‖ŷ − y‖² / ‖y‖², y what the Float block and ŷ what the quantised block makes of the same rows.
        public let outputError: Double
    }

    /// The model's directory.
    public let model: String
    /// Its `model_type`.
    public let family: String
    /// gptq, awq or rtn.
    public let method: String
    /// The form of the files: gptq, gptq_v2 or awq.
    public let format: String
    /// Bits of a code.
    public let bits: Int
    /// Inputs that share a scale; `nil` for a whole row.
    public let groupSize: Int?
    /// Whether zeros are in the middle.
    public let isSymmetric: Bool
    /// Sequences of calibration.
    public let sequences: Int
    /// Tokens of calibration.
    public let tokens: Int
    /// Every quantised product, in the order in which they were quantised.
    public let layers: [Layer]
    /// Every block; empty without a calibration text.
    public let blocks: [Block]
    /// Bytes of the tensors of the quantised products, divided by their weights, in bits.
    public let bitsPerWeight: Double
    /// Bytes of all tensors before.
    public let bytesBefore: Int
    /// Bytes of all tensors written.
    public let bytesAfter: Int
    /// Seconds from the first block to the last file.
    public let seconds: Double
}
