import AttentionCore

/// A layer of any kind, as a value that can be compared, stored and taken apart.
public indirect enum LayerNode: Sendable, Hashable, Block {
    /// Token numbers to rows.
    case tokenEmbedding(TokenEmbedding)
    /// A learned row for each place, added.
    case positionEmbedding(PositionEmbedding)
    /// A learned row for each segment, added.
    case tokenTypeEmbedding(TokenTypeEmbedding)
    /// The input plus what the inner layers make of it.
    case residual(Residual)
    /// Layer normalisation.
    case layerNorm(LayerNorm)
    /// Root-mean-square normalisation.
    case rmsNorm(RMSNorm)
    /// Attention of a sequence to itself.
    case selfAttention(SelfAttention)
    /// Two linear layers with a non-linearity between.
    case feedForward(FeedForward)
    /// A feed-forward block with a gate.
    case gatedFeedForward(GatedFeedForward)
    /// One linear layer.
    case linear(Linear)
    /// One row for each sequence.
    case pooling(Pooling)
    /// Rows of length one.
    case normalize(Normalize)
    /// Scores for every token of the vocabulary.
    case languageModelHead(LanguageModelHead)

    /// The layer itself.
    public var body: [LayerNode] { [self] }

    /// The layer's name in configurations, for example `self-attention`.
    public var kind: String { type(of: definition).kind }

    var definition: any LayerDefinition {
        switch self {
        case .tokenEmbedding(let layer): layer
        case .positionEmbedding(let layer): layer
        case .tokenTypeEmbedding(let layer): layer
        case .residual(let layer): layer
        case .layerNorm(let layer): layer
        case .rmsNorm(let layer): layer
        case .selfAttention(let layer): layer
        case .feedForward(let layer): layer
        case .gatedFeedForward(let layer): layer
        case .linear(let layer): layer
        case .pooling(let layer): layer
        case .normalize(let layer): layer
        case .languageModelHead(let layer): layer
        }
    }

    static let definitions: [any LayerDefinition.Type] = [
        TokenEmbedding.self, PositionEmbedding.self, TokenTypeEmbedding.self, Residual.self, LayerNorm.self,
        RMSNorm.self, SelfAttention.self, FeedForward.self, GatedFeedForward.self, Linear.self, Pooling.self,
        Normalize.self, LanguageModelHead.self,
    ]
}

/// What every kind of layer says about itself: its data form, its rules, and how it runs.
protocol LayerDefinition: Block {
    /// The name in configurations.
    static var kind: String { get }
    /// The layer as a case.
    var node: LayerNode { get }
    /// Reads a configuration value.
    init(_ value: ConfigurationValue, place: String, attention: inout AttentionPattern) throws(ModelError)
    /// The layer as a configuration value.
    var configuration: ConfigurationValue { get }
    /// Its settings in a few words.
    var summary: String { get }
    /// Checks the layer against what comes in and says what goes out.
    func inspect(_ inspector: inout ModelInspector)
    /// Takes the layer's weights, ready to run.
    func build(_ builder: NetworkBuilder) throws(ModelError) -> any RunnableLayer
}

extension LayerDefinition {
    /// The layer itself.
    public var body: [LayerNode] { [node] }
}
