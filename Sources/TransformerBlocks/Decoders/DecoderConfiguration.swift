public import AttentionCore
public import Kernels
import TensorCore

/// A decoder's `config.json`, as far as it shapes the computation, in one form for all families.
public struct DecoderConfiguration: Sendable, Hashable {
    /// Families that can be read, by their `model_type`.
    public static let families = [
        "gemma2", "gemma3", "gemma3_text", "gpt2", "llama", "mistral", "opt", "qwen2", "qwen3",
    ]

    /// The `model_type`.
    public internal(set) var family: String
    /// Features of a token's row.
    public internal(set) var width: Int
    /// Features of a row of the token table; apart from ``width`` in some OPT models.
    public internal(set) var embeddingWidth: Int
    /// Features inside the feed-forward layers.
    public internal(set) var hidden: Int
    /// Query heads.
    public internal(set) var heads: Int
    /// Key and value heads.
    public internal(set) var kvHeads: Int
    /// The extent of a head.
    public internal(set) var headDim: Int
    /// Tokens.
    public internal(set) var vocabulary: Int
    /// The most tokens of a sequence.
    public internal(set) var maximumLength: Int
    /// The non-linearity of the feed-forward layers.
    public internal(set) var activation: Activation
    /// What normalisations add under the root.
    public internal(set) var epsilon: Float
    /// Whether the head's weight is the token table.
    public internal(set) var tied: Bool
    /// Whether query, key and value have biases.
    public internal(set) var attentionBias = false
    /// Whether the projection back has one.
    public internal(set) var outputBias = false
    /// Whether the feed-forward layers have biases.
    public internal(set) var hiddenBias = false
    /// Scores become `softcap · tanh(score / softcap)` at the head.
    public internal(set) var finalSoftcap: Float?
    /// OPT's older models norm after the sum and not before the layers.
    public internal(set) var normsFirst = true
    /// The blocks, as far as they differ.
    public internal(set) var blocks: [Block]

    /// What is apart from block to block.
    public struct Block: Sendable, Hashable {
        /// The factor on query · key; `nil` means `1 / sqrt(headDim)`.
        public internal(set) var scale: Float?
        /// Attention scores become `softcap · tanh(score / softcap)`.
        public internal(set) var softcap: Float?
        /// The last keys that a query sees, its own among them; `nil` means all.
        public internal(set) var window: Int?
        /// How queries and keys are turned; `nil` where positions are learned rows.
        public internal(set) var rotary: RotaryEmbedding?
    }
}

extension DecoderConfiguration {
    /// Reads the `config.json` of a directory.
    /// - Throws: ``ModelError`` that names the file, the field, what was expected and what is there.
    public init(directory: String) throws(ModelError) {
        var fields = try CheckpointFields(path: directory + "/config.json")
        let expected = "one of " + Self.families.joined(separator: ", ")
        guard let family = try fields.string("model_type"), Self.families.contains(family) else {
            throw fields.failure("model_type", expected)
        }
        switch family {
        case "gpt2": self = try Self.gpt2(&fields)
        case "opt": self = try Self.opt(&fields)
        case "gemma3":
            guard var text = try fields.object("text_config") else {
                throw fields.failure("text_config", "an object: the part for texts")
            }
            if let type = try text.string("model_type"), type != "gemma3_text" {
                throw text.failure("model_type", "\"gemma3_text\"")
            }
            self = try Self.llama(&text, family: "gemma3_text")
            try text.finish(family: family)
            self.family = family
            return
        default: self = try Self.llama(&fields, family: family)
        }
        try fields.finish(family: family)
    }

    /// The decoder as data.
    /// - Parameter attention: specifications that blocks take in turn; scale, softcap and mask of the model are added.
    public func model(attention: [AttentionSpecification] = []) -> ModelDescription {
        DecoderAssembly(
            self, prefix: "", head: "", embeddingScale: embeddingScale(for: .float32), attention: attention
        ).model
    }

    /// Gemma's factor on token rows: the root of the width, rounded to the element type in which the table was trained.
    func embeddingScale(for dtype: DType) -> Float {
        guard family.hasPrefix("gemma") else { return 1 }
        let root = Float(Double(width).squareRoot())
        guard dtype.isFloatingPoint, let exact = try? Tensor([root], shape: [1]) else { return root }
        return exact.converted(to: dtype).floats().first ?? root
    }

    private static let activations: [String: Activation] = [
        "gelu": .gelu, "gelu_new": .geluTanh, "gelu_pytorch_tanh": .geluTanh, "relu": .relu, "silu": .silu,
        "swish": .silu,
    ]

    static func activation(
        _ fields: inout CheckpointFields, _ keys: [String], default standard: Activation
    ) throws(ModelError) -> Activation {
        for key in keys {
            guard let name = try fields.string(key) else { continue }
            guard let activation = activations[name] else {
                throw fields.failure(key, "one of " + activations.keys.sorted().joined(separator: ", "))
            }
            return activation
        }
        return standard
    }

    /// The number of blocks; a few bytes must not ask for all the memory there is.
    static func blockCount(_ fields: inout CheckpointFields, _ key: String) throws(ModelError) -> Int {
        let count = try fields.required(key)
        guard count <= 1000 else { throw fields.failure(key, "at most 1000") }
        return count
    }

    /// The extent of a head of a width that heads share.
    static func sharedHeadDim(
        _ fields: CheckpointFields, width: Int, heads: Int, key: String
    ) throws(ModelError) -> Int {
        guard width.isMultiple(of: heads) else { throw fields.failure(key, "a divisor of the width \(width)") }
        return width / heads
    }
}
