/// Turns text into the numbers that a model reads, and back, as Hugging Face's fast tokenizers do.
///
/// The stages: added tokens are cut out of the raw text; what is left is normalised, cut into words, and each word into
/// tokens; the result is cut to a length and framed.
public struct Tokenizer: Sendable {
    /// Cleans the text.
    public let normalizer: Normalizer?
    /// Cuts text into words; `nil` takes it as one word.
    public let preTokenizer: PreTokenizer?
    /// Cuts words into tokens.
    public let model: any TokenizerModel
    /// Frames the tokens.
    public let postProcessor: PostProcessor
    /// Joins tokens to text; `nil` puts blanks between them.
    public let decoder: TokenDecoder?
    /// Tokens found before anything else.
    public let addedTokens: [AddedToken]
    /// The files' own rule for long texts.
    public let truncation: Truncation?

    private let rawMatcher: AddedTokenMatcher
    private let normalizedMatcher: AddedTokenMatcher
    private let addedTexts: [Int: String]
    private let specialIds: Set<Int>

    /// A tokenizer from its parts.
    ///
    /// - Throws: ``TokenizerError/tooCostly(pattern:steps:)``, ``TokenizerError/tooLong(stage:limit:)``: an added token
    ///   cannot be normalised.
    public init(
        model: any TokenizerModel, normalizer: Normalizer? = .bert(BertNormalizer()),
        preTokenizer: PreTokenizer? = .bert(BertPreTokenizer()), postProcessor: PostProcessor = .none,
        decoder: TokenDecoder? = .wordPiece(WordPieceDecoder()), addedTokens: [AddedToken] = [],
        truncation: Truncation? = nil
    ) throws(TokenizerError) {
        self.normalizer = normalizer
        self.preTokenizer = preTokenizer
        self.model = model
        self.postProcessor = postProcessor
        self.decoder = decoder
        self.addedTokens = addedTokens
        self.truncation = truncation
        rawMatcher = try AddedTokenMatcher(addedTokens.filter { !$0.isNormalized }, normalizer: nil)
        normalizedMatcher = try AddedTokenMatcher(addedTokens.filter(\.isNormalized), normalizer: normalizer)
        addedTexts = Dictionary(addedTokens.map { ($0.id, $0.content) }) { $1 }
        let special = Set(addedTokens.filter(\.isSpecial).map { Array($0.content.utf8) })
        specialIds = Set(addedTokens.filter { special.contains(Array($0.content.utf8)) }.map(\.id))
    }

    /// One more than the largest number that ``encode(_:addSpecialTokens:maximumLength:)`` can give.
    public var vocabularySize: Int { max(model.vocabulary.size, (addedTokens.map(\.id).max() ?? -1) + 1) }

    /// Whether uppercase letters are lost.
    public var lowercases: Bool { normalizer?.lowercases ?? false }

    /// The number of a token, or `nil`.
    public func id(of token: String) -> Int? {
        addedTokens.first { $0.content.utf8.elementsEqual(token.utf8) }?.id ?? model.vocabulary.id(of: token)
    }

    /// The token of a number, or `nil`.
    public func token(of id: Int) -> String? { addedTexts[id] ?? model.vocabulary.token(of: id) }

    /// Whether decoding may leave a token out.
    public func isSpecial(_ id: Int) -> Bool { specialIds.contains(id) }

    /// The tokens of a text.
    ///
    /// Cost: O(length · log longest word).
    /// - Parameters:
    ///   - addSpecialTokens: whether the post-processor frames the tokens.
    ///   - maximumLength: the most tokens, frame included; `nil` leaves it to ``truncation``.
    /// - Throws: ``TokenizerError/lengthTooSmall(limit:minimum:)`` when the frame alone is longer,
    ///   ``TokenizerError/tooCostly(pattern:steps:)`` when a pattern of the file gets lost in the text,
    ///   ``TokenizerError/tooLong(stage:limit:)`` when a stage makes too much of it.
    public func encode(
        _ text: String, addSpecialTokens: Bool = true, maximumLength: Int? = nil
    ) throws(TokenizerError) -> Encoding {
        let processor = addSpecialTokens ? postProcessor : .none
        var content = try contentIds(text)
        if let limit = maximumLength ?? truncation?.maximumLength {
            let room = limit - processor.addedCount
            guard room >= 0 else { throw .lengthTooSmall(limit: limit, minimum: processor.addedCount) }
            content = truncation?.direction == .left ? content.suffix(room) : Array(content.prefix(room))
        }
        let (ids, typeIds) = processor.frame(content)
        return Encoding(ids: ids, tokens: ids.map { token(of: $0) ?? "" }, typeIds: typeIds)
    }

    /// The numbers of the tokens of a text, however long: what a decoder reads.
    ///
    /// Cost: O(length · log longest word).
    /// - Parameter addSpecialTokens: whether the post-processor frames the tokens.
    /// - Throws: ``TokenizerError/tooCostly(pattern:steps:)``, ``TokenizerError/tooLong(stage:limit:)``.
    public func ids(of text: String, addSpecialTokens: Bool = true) throws(TokenizerError) -> [Int] {
        let content = try contentIds(text)
        return addSpecialTokens ? postProcessor.frame(content).ids : content
    }

    private func contentIds(_ text: String) throws(TokenizerError) -> [Int] {
        var ids: [Int] = []
        let scalars = Array(text.unicodeScalars)
        for piece in rawMatcher.split(scalars) {
            switch piece {
            case .token(let id): ids.append(id)
            case .text(let range):
                try encode(piece: Array(scalars[range]), startsText: range.lowerBound == 0, into: &ids)
            }
        }
        return ids
    }

    private func encode(
        piece: [Unicode.Scalar], startsText: Bool, into ids: inout [Int]
    ) throws(TokenizerError) {
        let text = try normalizer?.normalize(piece) ?? piece
        for part in normalizedMatcher.split(text) {
            switch part {
            case .token(let id): ids.append(id)
            case .text(let range):
                var list = WordList(Array(text[range]), startsText: startsText && range.lowerBound == 0)
                try preTokenizer?.apply(&list)
                tokenize(list, into: &ids)
            }
        }
    }

    private func tokenize(_ list: WordList, into ids: inout [Int]) {
        var bytes: [UInt8] = []
        for word in list.words {
            bytes.removeAll(keepingCapacity: true)
            for scalar in list.scalars[word] {
                if scalar.value < 0x80 {
                    bytes.append(UInt8(scalar.value))
                } else {
                    bytes.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
                }
            }
            model.tokenize(bytes[...], into: &ids)
        }
    }

    /// The text of tokens; numbers without a token are left out.
    ///
    /// Cost: O(length).
    /// - Parameter skipSpecialTokens: whether special tokens are left out.
    public func decode(_ ids: [Int], skipSpecialTokens: Bool = true) -> String {
        var decoder = StreamingDecoder(self, skipSpecialTokens: skipSpecialTokens)
        var text: [UInt8] = []
        for id in ids { text += decoder.appendBytes(id) }
        text += decoder.finishBytes()
        return String(decoding: text, as: UTF8.self)
    }

    /// The UTF-8 of a token, or `nil` when there is none or it is to be skipped.
    func bytes(of id: Int, skipSpecialTokens: Bool) -> [UInt8]? {
        if skipSpecialTokens, specialIds.contains(id) { return nil }
        if let text = addedTexts[id] { return Array(text.utf8) }
        return model.vocabulary.bytes(of: id).map(Array.init)
    }
}
