import Testing
import Tokenizers

/// The longest token first, and what counts as unknown.
@Suite struct WordPieceTests {
    private func tokens(_ word: String, _ vocabulary: [String], limit: Int = 100) throws -> [String] {
        let model = try WordPieceModel(Vocabulary(["[UNK]"] + vocabulary), maximumWordLength: limit)
        var ids: [Int] = []
        model.tokenize(Array(word.utf8)[...], into: &ids)
        return ids.map { model.vocabulary.token(of: $0) ?? "?" }
    }

    @Test func longestFirst() throws {
        #expect(try tokens("unaffable", ["un", "##a", "##aff", "##able", "##ff"]) == ["un", "##aff", "##able"])
        #expect(try tokens("ab", ["a", "ab", "##b"]) == ["ab"])
    }

    @Test func unspeltWordsAreUnknownAsAWhole() throws {
        #expect(try tokens("abz", ["ab", "##b"]) == ["[UNK]"])
        #expect(try tokens("ba", ["a", "##b"]) == ["[UNK]"])
        #expect(try tokens("ab", ["ab"], limit: 1) == ["[UNK]"])
    }

    @Test func lengthCountsScalarsNotBytes() throws {
        #expect(try tokens("éé", ["é", "##é"], limit: 2) == ["é", "##é"])
        #expect(try tokens("ééé", ["é", "##é"], limit: 2) == ["[UNK]"])
    }

    @Test func tokensAreToldApartByBytes() throws {
        let vocabulary = Vocabulary(["\u{E9}", "e\u{301}"])
        #expect(vocabulary.id(of: "\u{E9}") == 0)
        #expect(vocabulary.id(of: "e\u{301}") == 1)
        #expect(vocabulary.size == 2)
    }

    @Test func aVocabularyWithoutTheUnknownTokenIsRefused() {
        #expect(throws: TokenizerError.missingToken(file: "WordPiece", role: "the unknown token", token: "[UNK]")) {
            _ = try WordPieceModel(Vocabulary(["a"]))
        }
    }
}
