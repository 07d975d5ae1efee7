/// Turns tokens into text one by one, as a model makes them.
///
/// What comes out, joined, is what ``Tokenizer/decode(_:skipSpecialTokens:)`` says of all tokens at once: both are
/// one machine. A character is never cut, and U+FFFD comes only when no later token can mend it. Bytes that a
/// vocabulary fell back on are held until their run ends, because one wrong byte spoils the run. A grapheme of
/// several scalars may come in parts.
public struct StreamingDecoder: Sendable {
    private let tokenizer: Tokenizer
    private let skipsSpecialTokens: Bool
    private var pipeline: DecodingPipeline

    /// A decoder at the beginning of a text.
    public init(_ tokenizer: Tokenizer, skipSpecialTokens: Bool = true) {
        self.tokenizer = tokenizer
        skipsSpecialTokens = skipSpecialTokens
        pipeline = DecodingPipeline(tokenizer.decoder)
    }

    /// The text that is settled by the next token; often empty.
    ///
    /// A number without a token adds nothing.
    ///
    /// Cost: O(bytes of the token) amortised.
    public mutating func append(_ id: Int) -> String { String(decoding: appendBytes(id), as: UTF8.self) }

    /// The text that was held back.
    ///
    /// The decoder is then at the beginning of another text.
    public mutating func finish() -> String { String(decoding: finishBytes(), as: UTF8.self) }

    mutating func appendBytes(_ id: Int) -> [UInt8] {
        guard let token = tokenizer.bytes(of: id, skipSpecialTokens: skipsSpecialTokens) else { return [] }
        return pipeline.take(token)
    }

    mutating func finishBytes() -> [UInt8] {
        let rest = pipeline.finish()
        pipeline = DecodingPipeline(tokenizer.decoder)
        return rest
    }
}
