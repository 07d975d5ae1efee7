import Testing
import Tokenizers

/// Whole tokenizers against Hugging Face's library.
@Suite struct TokenizerTests {
    private struct Case: Decodable {
        let text: String
        let ids: [Int]
        let tokens: [String]
        let typeIds: [Int]
        let truncated: [Int]
        let bare: [Int]
        let decoded: String
        let decodedAll: String
    }

    @Test func smallTokenizerMatchesTheLibrary() throws {
        let tokenizer = try Tokenizer(directory: Fixtures.path("tokenizers"))
        let cases: [Case] = try Fixtures.decode("tokenizers/cases.json")
        #expect(cases.count >= 30)
        for item in cases {
            let full = try tokenizer.encode(item.text, maximumLength: .max)
            #expect(full.ids == item.ids, "\(item.text)")
            #expect(full.tokens.map(scalars) == item.tokens.map(scalars), "\(item.text)")
            #expect(full.typeIds == item.typeIds, "\(item.text)")
            #expect(try tokenizer.encode(item.text).ids == item.truncated, "\(item.text)")
            let bare = try tokenizer.encode(item.text, addSpecialTokens: false, maximumLength: .max)
            #expect(bare.ids == item.bare, "\(item.text)")
            #expect(scalars(tokenizer.decode(full.ids)) == scalars(item.decoded), "\(item.text)")
            let all = tokenizer.decode(full.ids, skipSpecialTokens: false)
            #expect(scalars(all) == scalars(item.decodedAll), "\(item.text)")
        }
    }

    @Test func miniLMMatchesTheLibrary() throws {
        let folder = try Fixtures.miniLM()
        let sentences: [String] = try Fixtures.decode("minilm/sentences.json")
        let expected: [[Int]] = try Fixtures.decode("minilm/token_ids.json")
        #expect(sentences.count >= 20 && sentences.count == expected.count)
        let whole = try Tokenizer(directory: folder)
        let plain = try Tokenizer(
            vocabularyFile: folder + "/vocab.txt", configurationFile: folder + "/tokenizer_config.json")
        #expect(whole.vocabularySize == 30_522)
        #expect(whole.truncation == Truncation(maximumLength: 128))
        for (sentence, ids) in zip(sentences, expected) {
            #expect(try whole.encode(sentence, maximumLength: 256).ids == ids, "\(sentence)")
            #expect(try plain.encode(sentence, maximumLength: 256).ids == ids, "\(sentence)")
        }
    }

    @Test func lengthsAreKept() throws {
        let tokenizer = try Tokenizer(directory: Fixtures.path("tokenizers"))
        for limit in 2...6 {
            #expect(try tokenizer.encode("a b c d e f g", maximumLength: limit).count == limit)
        }
        #expect(throws: TokenizerError.lengthTooSmall(limit: 1, minimum: 2)) {
            _ = try tokenizer.encode("a", maximumLength: 1)
        }
        #expect(throws: TokenizerError.lengthTooSmall(limit: -1, minimum: 0)) {
            _ = try tokenizer.encode("a", addSpecialTokens: false, maximumLength: -1)
        }
    }

    /// Any scalars at all: no crash, numbers in range, the frame in place, the same answer twice.
    @Test func randomUnicode() throws {
        let tokenizer = try Tokenizer(directory: Fixtures.path("tokenizers"))
        var random = Seeded(state: 7)
        let spice = ["[SEP]", "[MASK]", "whole", "<a>", "<a><b>", " ", "\u{301}", "ﷺ", "hello"]
        for _ in 0..<3000 {
            var view = String.UnicodeScalarView()
            for _ in 0..<Int.random(in: 0..<24, using: &random) {
                let limit: UInt32 = [0x80, 0x800, 0x10000, 0x110000].randomElement(using: &random) ?? 0x80
                if Int.random(in: 0..<4, using: &random) == 0 {
                    view.append(contentsOf: (spice.randomElement(using: &random) ?? "").unicodeScalars)
                } else if let scalar = Unicode.Scalar(UInt32.random(in: 0..<limit, using: &random)) {
                    view.append(scalar)
                }
            }
            let text = String(view)
            let encoding = try tokenizer.encode(text, maximumLength: .max)
            #expect(encoding.ids.allSatisfy { (0..<tokenizer.vocabularySize).contains($0) })
            #expect(encoding.ids.first == 2 && encoding.ids.last == 3)
            #expect(encoding.tokens.count == encoding.count && encoding.typeIds.count == encoding.count)
            #expect(try tokenizer.encode(text, maximumLength: .max) == encoding)
            _ = tokenizer.decode(encoding.ids + [-1, 1 << 40])
        }
    }
}
