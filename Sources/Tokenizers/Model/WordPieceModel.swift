/// WordPiece: the longest token that fits, again and again (Wu et al., 2016; BERT's greedy longest-match-first).
public struct WordPieceModel: TokenizerModel {
    /// Tokens and numbers.
    public let vocabulary: Vocabulary
    /// The number of the token for words that cannot be spelt.
    public let unknownId: Int
    /// What tokens inside a word begin with.
    public let continuingPrefix: String
    /// Words of more scalars are unknown.
    public let maximumWordLength: Int
    private let trie: ByteTrie
    private let continuation: Int?

    /// A model.
    ///
    /// Cost: O(bytes of all tokens).
    /// - Throws: ``TokenizerError/missingToken(file:role:token:)`` when the vocabulary lacks the unknown token.
    public init(
        _ vocabulary: Vocabulary, unknownToken: String = "[UNK]", continuingPrefix: String = "##",
        maximumWordLength: Int = 100, file: String = "WordPiece"
    ) throws(TokenizerError) {
        guard let unknownId = vocabulary.id(of: unknownToken) else {
            throw .missingToken(file: file, role: "the unknown token", token: unknownToken)
        }
        self.vocabulary = vocabulary
        self.unknownId = unknownId
        self.continuingPrefix = continuingPrefix
        self.maximumWordLength = maximumWordLength
        var trie = ByteTrie()
        for (bytes, id) in vocabulary.entries { trie.insert(bytes, value: id) }
        self.trie = trie
        continuation = trie.node(after: continuingPrefix.utf8)
    }

    /// Appends the numbers of the tokens of one word.
    ///
    /// Cost: O(length · longest token).
    public func tokenize(_ word: ArraySlice<UInt8>, into ids: inout [Int]) {
        // Scalars are counted by the bytes that do not continue one.
        guard word.count(where: { $0 & 0xC0 != 0x80 }) <= maximumWordLength else {
            ids.append(unknownId)
            return
        }
        let start = ids.count
        var rest = word
        var node: Int? = ByteTrie.root
        while !rest.isEmpty {
            guard let from = node, let match = trie.longestMatch(rest, from: from), match.length > 0 else {
                ids.removeSubrange(start...)
                ids.append(unknownId)
                return
            }
            ids.append(match.id)
            rest = rest.dropFirst(match.length)
            node = continuation
        }
    }
}
