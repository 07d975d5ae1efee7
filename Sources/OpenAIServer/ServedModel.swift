public import PagedEngine
public import Tokenizers
public import TransformerBlocks

/// What a server answers with: a decoder, an encoder, or both.
public struct ServedModel: Sendable {
    /// Continues texts.
    public struct Decoder: Sendable {
        let name: String
        let llm: LLM
        let template: ChatTemplate?
        let variables: [TemplateValue.Field]

        /// The operators in use, for prompts and for single tokens.
        var operators: (prefill: String, decode: String) {
            let snapshot = llm.snapshot
            return (snapshot.prefillOperator ?? "auto", snapshot.decodeOperator ?? "auto")
        }

        /// A decoder with what it needs to chat.
        /// - Parameters:
        ///   - name: what clients call it.
        ///   - template: writes conversations; without one, chats are refused.
        ///   - variables: what the template sees besides messages.
        public init(
            name: String, llm: LLM, template: ChatTemplate?, variables: [TemplateValue.Field]
        ) {
            self.name = name
            self.llm = llm
            self.template = template
            self.variables = variables
        }
    }

    /// Turns texts into vectors.
    public struct Encoder: Sendable {
        let name: String
        let encoder: TextEncoder

        /// An encoder, and what clients call it.
        public init(name: String, encoder: TextEncoder) {
            self.name = name
            self.encoder = encoder
        }
    }

    let decoder: Decoder?
    let encoder: Encoder?

    /// One of both, or both.
    public init(decoder: Decoder?, encoder: Encoder?) {
        self.decoder = decoder
        self.encoder = encoder
    }

    /// The names that clients may ask for.
    var names: [String] { [decoder?.name, encoder?.name].compactMap { $0 } }
}
