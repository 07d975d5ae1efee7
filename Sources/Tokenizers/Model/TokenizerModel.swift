/// Turns one word into tokens: ``WordPieceModel`` or ``BPEModel``.
public protocol TokenizerModel: Sendable {
    /// Tokens and numbers.
    var vocabulary: Vocabulary { get }

    /// Appends the numbers of the tokens of one word, given as UTF-8.
    func tokenize(_ word: ArraySlice<UInt8>, into ids: inout [Int])
}
