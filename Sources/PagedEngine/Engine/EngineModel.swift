package import AttentionCore
import Kernels
package import Tokenizers
package import TransformerBlocks

/// What an engine needs of a model.
package struct EngineModel: Sendable {
    /// The decoder.
    package let network: Network
    /// Where operators are found by name.
    package let registry: OperatorRegistry
    /// Tokens.
    package let vocabulary: Int
    /// The most tokens of a sequence.
    package let maximumLength: Int
    /// Tokens that end a text.
    package let eosTokenIds: [Int]
    /// Cuts texts into tokens; without one prompts are tokens, and results too.
    package let tokenizer: Tokenizer?

    /// A model.
    package init(
        network: Network, registry: OperatorRegistry, vocabulary: Int, maximumLength: Int, eosTokenIds: [Int],
        tokenizer: Tokenizer?
    ) {
        self.network = network
        self.registry = registry
        self.vocabulary = vocabulary
        self.maximumLength = maximumLength
        self.eosTokenIds = eosTokenIds
        self.tokenizer = tokenizer
    }

    /// A decoder of a checkpoint.
    package init(_ model: CausalLanguageModel, registry: OperatorRegistry, tokenizer: Tokenizer?) {
        self.init(
            network: model.network, registry: registry, vocabulary: model.vocabulary,
            maximumLength: model.maximumLength, eosTokenIds: model.eosTokenIds, tokenizer: tokenizer)
    }

    func requiredTokenizer() throws(EngineError) -> Tokenizer {
        guard let tokenizer else {
            throw .unsupported(what: "text", reason: "the model has no tokenizer; give tokens, and no stop texts")
        }
        return tokenizer
    }

    /// Bytes that a step takes beside weights and pages: rows of the widest layers, and logits.
    ///
    /// An estimate from above.
    func stepBytes(_ options: EngineOptions) -> Int {
        let widest = network.attentionLayers.map { ($0.heads + 2 * $0.kvHeads) * $0.headDim }.max() ?? 0
        return 4 * (16 * options.maxNumBatchedTokens * widest + 2 * options.maxNumSeqs * vocabulary)
    }

    /// The operators that attend to the cache.
    func operators(_ options: EngineOptions) throws(EngineError) -> CacheOperators {
        func resolved(_ specification: AttentionSpecification?) throws(EngineError) -> ResolvedAttention? {
            guard let specification else { return nil }
            return try EngineError.model { () throws(ModelError) in
                try ModelError.attention(at: "the engine") { () throws(AttentionError) in
                    try specification.resolve(in: registry)
                }
            }
        }
        return CacheOperators(
            prefill: try resolved(options.prefillAttention), decode: try resolved(options.decodeAttention))
    }

    /// The token sequences that words become: as they are, and behind a blank where that is another token of the same
    /// length (as vLLM has it).
    func tokens(ofBadWords words: [String]) throws(EngineError) -> [[Int]] {
        guard !words.isEmpty else { return [] }
        let tokenizer = try requiredTokenizer()
        var result: [[Int]] = []
        for word in words {
            let bare = String(word.drop { $0 == " " })
            let (plain, spaced) = try EngineError.tokenizer { () throws(TokenizerError) in
                (
                    try tokenizer.ids(of: bare, addSpecialTokens: false),
                    try tokenizer.ids(of: " " + bare, addSpecialTokens: false)
                )
            }
            guard let first = plain.first else {
                throw .invalidOption(name: "badWords", expected: "words of at least one token", actual: "'\(word)'")
            }
            result.append(plain)
            if spaced.first != first, spaced.count == plain.count { result.append(spaced) }
        }
        return result
    }
}
