public import AttentionCore
import Foundation
public import Kernels
import TensorCore

/// A decoder from a Hugging Face directory, with any attention operator: token numbers to scores of the next token.
public struct CausalLanguageModel: Sendable {
    /// The family, by its `model_type`.
    public var family: String { configuration.family }
    /// What `config.json` says.
    public let configuration: DecoderConfiguration
    /// The model with its weights.
    public let network: Network
    /// Tokens.
    public var vocabulary: Int { configuration.vocabulary }
    /// The most tokens of a sequence.
    public var maximumLength: Int { configuration.maximumLength }
    /// Tokens that end a text, ascending: those of `config.json` and of `generation_config.json`.
    public let eosTokenIds: [Int]
    /// The token that begins a text, when the files name one.
    public let bosTokenId: Int?

    /// Opens a directory: `config.json`, `model.safetensors` or its shards and their index, and
    /// `generation_config.json` when it is there.
    ///
    /// Files are mapped, and weights packed one layer after the other. Cost: O(weights).
    /// - Parameters:
    ///   - attention: the operators of the layers, in turn and again from the first; by default the dispatcher's choice.
    ///     Scale, softcap and mask are the model's; a mask given here is joined to it.
    ///   - registry: where operators are found by name.
    ///   - context: by default what the environment asks for.
    /// - Throws: ``ModelError`` that names the file and field, tensor or layer.
    public init(
        directory: String, attention: [AttentionSpecification] = [], registry: OperatorRegistry,
        context: ComputeContext? = nil
    ) throws(ModelError) {
        for (index, specification) in attention.enumerated() {
            for (field, value) in [("scale", specification.options.scale), ("softcap", specification.options.softcap)] {
                guard let value else { continue }
                throw .invalidField(
                    place: "attention[\(index)]", field: field, expected: "left out: it is the model's",
                    actual: "\(value)")
            }
        }
        let checkpoint = try DecoderCheckpoint(directory: directory, attention: attention)
        let weights = try checkpoint.weights()
        let configuration = checkpoint.configuration
        let tokens = try SpecialTokens(directory: directory, vocabulary: configuration.vocabulary)
        eosTokenIds = tokens.ends
        bosTokenId = tokens.beginning
        network = try Network(
            checkpoint.assembly.model, weights: weights, registry: registry, context: context)
        self.configuration = configuration
    }

    /// A model of a directory's `config.json` with weights from a seed: for measuring, without a checkpoint.
    ///
    /// Cost: O(weights).
    /// - Throws: ``ModelError`` that names the file and field, or the layer.
    public init(
        configurationOf directory: String, randomWeights seed: UInt64, attention: [AttentionSpecification] = [],
        registry: OperatorRegistry, context: ComputeContext? = nil
    ) throws(ModelError) {
        let configuration = try DecoderConfiguration(directory: directory)
        let tokens = try SpecialTokens(directory: directory, vocabulary: configuration.vocabulary)
        eosTokenIds = tokens.ends
        bosTokenId = tokens.beginning
        network = try Network(
            configuration.model(attention: attention), weights: SeededWeights(seed: seed), registry: registry,
            context: context)
        self.configuration = configuration
    }
}

/// The tokens at which texts begin and end.
private struct SpecialTokens {
    let ends: [Int]
    let beginning: Int?

    init(directory: String, vocabulary: Int) throws(ModelError) {
        var ends: Set<Int> = []
        var beginning: Int?
        var sources = [try CheckpointFields(path: directory + "/config.json")]
        // Models for texts and images say it outside or inside.
        if let text = try sources[0].object("text_config") { sources.append(text) }
        let generation = directory + "/generation_config.json"
        if FileManager.default.fileExists(atPath: generation) {
            sources.append(try CheckpointFields(path: generation))
        }
        for var source in sources {
            let found = try source.tokens("eos_token_id") ?? []
            if let bad = found.first(where: { $0 >= vocabulary }) {
                throw source.failure("eos_token_id", "below the \(vocabulary) tokens of the model, not \(bad)")
            }
            ends.formUnion(found)
            beginning = try source.tokens("bos_token_id")?.first ?? beginning
        }
        self.ends = ends.sorted()
        self.beginning = beginning
    }
}
