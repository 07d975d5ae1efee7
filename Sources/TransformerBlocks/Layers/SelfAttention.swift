public import AttentionCore

/// Attention of a sequence to itself: projections to queries, keys and values, an operator, a projection back.
///
/// The operator is a specification, found in a registry when the model is checked, or a configured operator as it is.
///
/// An operator that owns tensors takes them from the weights under `<layer>.attention.<parameter>`, for example
/// `layers.4.0.attention.key-projection`, with the extents that the longest sequence of the model needs: shorter sequences
/// use their beginnings. Those that the weights do not hold begin by the operator's rule, for each length anew;
/// ``Network/initialised`` names them.
public struct SelfAttention: Block {
    /// Query heads.
    public var heads: Int
    /// Key and value heads; `nil` means as many as query heads.
    public var kvHeads: Int?
    /// The extent of a head; `nil` means the width divided by the heads.
    public var headDim: Int?
    /// The operator with its options; the layer's mask is among them.
    public var attention: AttentionSpecification {
        didSet { if attention != oldValue { configured = nil } }
    }
    /// Whether the projections to queries, keys and values have biases.
    public var bias: Bool
    /// Whether the projection back has a bias; `nil` means as the others.
    public var outputBias: Bool?
    /// Positions as rotations of queries and keys; `nil` means that the layer does not know places.
    public var rotary: RotaryEmbedding?
    /// The normalisation of each query and key head, before they are turned; `nil` means none.
    public var queryKeyNorm: RMSNorm?
    /// The operator, when it was given itself and not by name.
    private(set) var configured: ConfiguredOperator?

    /// Attention by a specification.
    /// - Parameter mask: what each token sees, besides the mask of the specification.
    public init(
        heads: Int, kvHeads: Int? = nil, headDim: Int? = nil,
        using attention: AttentionSpecification = AttentionSpecification(), mask: AttentionMask = .full,
        bias: Bool = true, outputBias: Bool? = nil, rotary: RotaryEmbedding? = nil, queryKeyNorm: RMSNorm? = nil
    ) {
        self.outputBias = outputBias
        self.rotary = rotary
        self.queryKeyNorm = queryKeyNorm
        self.heads = heads
        self.kvHeads = kvHeads
        self.headDim = headDim
        self.attention = attention
        self.bias = bias
        if mask != .full {
            let own = attention.options.mask
            self.attention.options.mask = own == .full ? mask : .and([own, mask])
        }
    }

    /// Attention by an operator.
    /// - Parameters:
    ///   - mask: what each token sees.
    ///   - options: scale, softcap and the like; a mask in it is joined to `mask`.
    public init(
        heads: Int, kvHeads: Int? = nil, headDim: Int? = nil, using configured: ConfiguredOperator,
        mask: AttentionMask = .full, options: AttentionOptions = .init(), bias: Bool = true, outputBias: Bool? = nil,
        rotary: RotaryEmbedding? = nil, queryKeyNorm: RMSNorm? = nil
    ) {
        let specification = AttentionSpecification(
            name: configured.id, options: options, configuration: configured.configuration)
        self.init(
            heads: heads, kvHeads: kvHeads, headDim: headDim, using: specification, mask: mask, bias: bias,
            outputBias: outputBias, rotary: rotary, queryKeyNorm: queryKeyNorm)
        self.configured = configured
    }

    /// The operator as it will run.
    /// - Throws: ``AttentionCore/AttentionError`` with the nearest names for an unknown operator or option.
    func resolve(in registry: OperatorRegistry) throws(AttentionError) -> ResolvedAttention {
        if let configured { return ResolvedAttention(configured, options: attention.options) }
        return try attention.resolve(in: registry)
    }
}

extension SelfAttention: Hashable {
    /// Whether two layers are the same as data; an operator given itself counts by its name and options.
    public static func == (left: SelfAttention, right: SelfAttention) -> Bool {
        left.heads == right.heads && left.kvHeads == right.kvHeads && left.headDim == right.headDim
            && left.bias == right.bias && left.outputBias == right.outputBias && left.rotary == right.rotary
            && left.queryKeyNorm == right.queryKeyNorm && left.attention == right.attention
    }

    /// Feeds what ``==(_:_:)`` compares.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(heads)
        hasher.combine(kvHeads)
        hasher.combine(headDim)
        hasher.combine(bias)
        hasher.combine(outputBias)
        hasher.combine(rotary)
        hasher.combine(queryKeyNorm)
        hasher.combine(attention)
    }
}

extension SelfAttention: LayerDefinition {
    static var kind: String { "self-attention" }
    var node: LayerNode { .selfAttention(self) }

    var summary: String {
        var text = "\(heads) heads"
        if let kvHeads, kvHeads != heads { text += ", \(kvHeads) kv heads" }
        if let headDim { text += " of \(headDim)" }
        if let queryKeyNorm { text += ", normed (\(queryKeyNorm.summary))" }
        if let rotary { text += ", \(rotary.summary)" }
        let options = attention.fields.filter { $0.key != "name" }
        text += ", \(attention.name)"
        return options.isEmpty ? text : text + " " + ConfigurationValue.object(options).jsonText
    }

    var configuration: ConfigurationValue {
        var fields: [String: ConfigurationValue] = ["heads": .integer(heads)]
        if let kvHeads { fields["kvHeads"] = .integer(kvHeads) }
        if let headDim { fields["headDim"] = .integer(headDim) }
        if !bias { fields["bias"] = false }
        if let outputBias { fields["outputBias"] = .bool(outputBias) }
        if let rotary { fields["rotary"] = rotary.configuration }
        if let queryKeyNorm { fields["queryKeyNorm"] = queryKeyNorm.configuration }
        let own = attention.fields
        fields["attention"] = own.count == 1 ? .string(attention.name) : .object(own)
        return .object(fields)
    }

    init(_ value: ConfigurationValue, place: String, attention: inout AttentionPattern) throws(ModelError) {
        var reader = try FieldReader(value, place: place)
        let own = reader.value("attention")
        let specification: AttentionSpecification
        if let own {
            specification = try ModelError.attention(at: place) { () throws(AttentionError) in
                try AttentionSpecification(own)
            }
        } else {
            specification = attention.next()
        }
        self.init(
            heads: try reader.requiredInteger("heads"), kvHeads: try reader.integer("kvHeads"),
            headDim: try reader.integer("headDim"), using: specification, bias: try reader.bool("bias") ?? true,
            outputBias: try reader.bool("outputBias"))
        if let value = reader.value("rotary") { rotary = try RotaryEmbedding(value, place: place + " rotary") }
        if let value = reader.value("queryKeyNorm") {
            queryKeyNorm = try RMSNorm(value, place: place + " queryKeyNorm")
        }
        try reader.finish()
    }

    func inspect(_ inspector: inout ModelInspector) {
        inspector.requireTokens()
        let width = inspector.stream.width
        inspector.requirePositive("heads", heads)
        if let kvHeads { inspector.requirePositive("kvHeads", kvHeads) }
        if let headDim { inspector.requirePositive("headDim", headDim) }
        guard heads > 0, kvHeads ?? 1 > 0, headDim ?? 1 > 0, width >= heads || headDim != nil else { return }
        if headDim == nil, width % heads != 0 {
            inspector.mismatch("heads", expected: "a divisor of the width \(width), or a headDim", actual: "\(heads)")
            return
        }
        let extents = Extents(self, width: width)
        guard extents.heads <= ModelInspector.maximumProjection / extents.headDim else {
            inspector.mismatch(
                "heads times headDim", expected: "at most \(ModelInspector.maximumProjection)",
                actual: "\(heads) times \(extents.headDim)")
            return
        }
        if heads % extents.kvHeads != 0 {
            inspector.mismatch("kvHeads", expected: "a divisor of the \(heads) heads", actual: "\(extents.kvHeads)")
            return
        }
        for (name, rows) in [("query", extents.query), ("key", extents.key), ("value", extents.key)] {
            inspector.parameter("\(name).weight", [rows, width], .matrix)
            if bias { inspector.parameter("\(name).bias", [rows], .bias) }
        }
        inspector.parameter("output.weight", [width, extents.query], .matrix)
        if outputBias ?? bias { inspector.parameter("output.bias", [width], .bias) }
        if let queryKeyNorm {
            queryKeyNorm.check(&inspector, subject: "queryKeyNorm ")
            inspector.parameter("queryNorm.weight", [extents.headDim], .gain)
            inspector.parameter("keyNorm.weight", [extents.headDim], .gain)
        }
        rotary?.check(&inspector, headDim: extents.headDim)
        inspector.checkOperator(self, extents)
    }

    /// The numbers that follow from the layer's settings and the width.
    struct Extents {
        let heads: Int
        let kvHeads: Int
        let headDim: Int

        init(_ layer: SelfAttention, width: Int) {
            heads = layer.heads
            kvHeads = layer.kvHeads ?? layer.heads
            headDim = layer.headDim ?? width / max(1, layer.heads)
        }

        /// Rows of the query projection.
        var query: Int { heads * headDim }
        /// Rows of the key and of the value projection.
        var key: Int { kvHeads * headDim }
    }
}
