/// Turns text into the numbers that a model reads, and back, as Hugging Face's fast tokenizers do.
///
/// The stages: added tokens are cut out of the raw text; what is left is normalised, cut into words, and each word into
/// tokens; the result is cut to a length and framed.
public struct Tokenizer: Sendable {
    /// Cleans the text.
    public let normalizer: BertNormalizer?
    /// Cuts text into words; `nil` takes it as one word.
    public let preTokenizer: BertPreTokenizer?
    /// Cuts words into tokens.
    public let model: any TokenizerModel
    /// Frames the tokens.
    public let postProcessor: PostProcessor
    /// Joins tokens to text; `nil` puts blanks between them.
    public let decoder: WordPieceDecoder?
    /// Tokens found before anything else.
    public let addedTokens: [AddedToken]
    /// The files' own rule for long texts.
    public let truncation: Truncation?

    private let rawMatcher: AddedTokenMatcher
    private let normalizedMatcher: AddedTokenMatcher
    private let addedTexts: [Int: String]
    private let specialIds: Set<Int>

    /// A tokenizer from its parts.
    public init(
        model: any TokenizerModel, normalizer: BertNormalizer? = BertNormalizer(),
        preTokenizer: BertPreTokenizer? = BertPreTokenizer(), postProcessor: PostProcessor = .none,
        decoder: WordPieceDecoder? = WordPieceDecoder(), addedTokens: [AddedToken] = [], truncation: Truncation? = nil
    ) {
        self.normalizer = normalizer
        self.preTokenizer = preTokenizer
        self.model = model
        self.postProcessor = postProcessor
        self.decoder = decoder
        self.addedTokens = addedTokens
        self.truncation = truncation
        rawMatcher = AddedTokenMatcher(addedTokens.filter { !$0.isNormalized }) { $0 }
        normalizedMatcher = AddedTokenMatcher(addedTokens.filter(\.isNormalized)) { normalizer?.normalize($0) ?? $0 }
        addedTexts = Dictionary(addedTokens.map { ($0.id, $0.content) }) { $1 }
        specialIds = Set(addedTokens.filter(\.isSpecial).map(\.id))
    }

    /// One more than the largest number that ``encode(_:addSpecialTokens:maximumLength:)`` can give.
    public var vocabularySize: Int { max(model.vocabulary.size, (addedTokens.map(\.id).max() ?? -1) + 1) }

    /// The number of a token, or `nil`.
    public func id(of token: String) -> Int? {
        addedTokens.first { $0.content.utf8.elementsEqual(token.utf8) }?.id ?? model.vocabulary.id(of: token)
    }

    /// The token of a number, or `nil`.
    public func token(of id: Int) -> String? { addedTexts[id] ?? model.vocabulary.token(of: id) }

    /// The tokens of a text.
    ///
    /// Cost: O(length).
    /// - Parameters:
    ///   - addSpecialTokens: whether the post-processor frames the tokens.
    ///   - maximumLength: the most tokens, frame included; `nil` leaves it to ``truncation``.
    /// - Throws: ``TokenizerError/lengthTooSmall(limit:minimum:)`` when the frame alone is longer.
    public func encode(
        _ text: String, addSpecialTokens: Bool = true, maximumLength: Int? = nil
    ) throws(TokenizerError) -> Encoding {
        let processor = addSpecialTokens ? postProcessor : .none
        var content: [Int] = []
        let scalars = Array(text.unicodeScalars)
        for piece in rawMatcher.split(scalars) {
            switch piece {
            case .token(let id): content.append(id)
            case .text(let range): encode(piece: Array(scalars[range]), into: &content)
            }
        }
        if let limit = maximumLength ?? truncation?.maximumLength {
            let room = limit - processor.addedCount
            guard room >= 0 else { throw .lengthTooSmall(limit: limit, minimum: processor.addedCount) }
            content = truncation?.direction == .left ? content.suffix(room) : Array(content.prefix(room))
        }
        return frame(content, processor)
    }

    private func encode(piece: [Unicode.Scalar], into ids: inout [Int]) {
        let text = normalizer?.normalize(piece) ?? piece
        for part in normalizedMatcher.split(text) {
            switch part {
            case .token(let id): ids.append(id)
            case .text(let range):
                let scalars = Array(text[range])
                for word in preTokenizer?.words(scalars) ?? [0..<scalars.count] {
                    model.tokenize(scalars[word].flatMap { UTF8.encode($0)! }, into: &ids)
                }
            }
        }
    }

    private func frame(_ content: [Int], _ processor: PostProcessor) -> Encoding {
        var ids: [Int] = []
        var typeIds: [Int] = []
        for part in processor.parts {
            switch part {
            case .special(let added, let typeId):
                ids += added
                typeIds += Array(repeating: typeId, count: added.count)
            case .sequence(let typeId):
                ids += content
                typeIds += Array(repeating: typeId, count: content.count)
            }
        }
        return Encoding(ids: ids, tokens: ids.map { token(of: $0) ?? "" }, typeIds: typeIds)
    }

    /// The text of tokens; numbers without a token are left out.
    ///
    /// Cost: O(length).
    /// - Parameter skipSpecialTokens: whether special tokens are left out.
    public func decode(_ ids: [Int], skipSpecialTokens: Bool = true) -> String {
        let tokens = ids.filter { !(skipSpecialTokens && specialIds.contains($0)) }.compactMap(token(of:))
        return decoder?.decode(tokens) ?? tokens.joined(separator: " ")
    }
}
