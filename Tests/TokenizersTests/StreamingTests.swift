import Testing
import Tokenizers

/// Text that comes token by token.
@Suite struct StreamingTests {
    private static func tokenizer(_ name: String) throws -> Tokenizer {
        try Tokenizer(tokenizerFile: Fixtures.path("bpe/\(name).json"))
    }

    /// The pieces of ids, the last from `finish`.
    private static func pieces(_ ids: [Int], _ tokenizer: Tokenizer, skips: Bool = true) -> [String] {
        var decoder = StreamingDecoder(tokenizer, skipSpecialTokens: skips)
        return ids.map { decoder.append($0) } + [decoder.finish()]
    }

    /// Pieces joined are the whole, for random ids, of which most sequences are no text, and for text.
    @Test(arguments: FamilyTests.names) func piecesMakeTheWhole(name: String) throws {
        let tokenizer = try Self.tokenizer(name)
        let lines: [String] = try Fixtures.decode("bpe/lines.json")
        var random = Seeded(state: 11)
        var sequences = try lines.prefix(300).map { try tokenizer.ids(of: $0) }
        for _ in 0..<500 {
            sequences.append(
                (0..<Int.random(in: 0..<40, using: &random)).map { _ in
                    Int.random(in: -1...tokenizer.vocabularySize, using: &random)
                })
        }
        for ids in sequences {
            for skips in [true, false] {
                let joined = Self.pieces(ids, tokenizer, skips: skips).joined()
                #expect(scalars(joined) == scalars(tokenizer.decode(ids, skipSpecialTokens: skips)), "\(ids)")
            }
        }
    }

    /// Text without broken characters never shows U+FFFD, and every piece but the last few is on its way at once.
    @Test(arguments: ["gpt2", "llama3", "llama2", "gemma"]) func charactersAreNeverCut(name: String) throws {
        let tokenizer = try Self.tokenizer(name)
        for text in ["naïve 世界 😀👩‍👩‍👧 𠮷野家 ñ שָׁלוֹם नमस्ते", "🏳️‍🌈🇩🇪 a", "€"] {
            let pieces = Self.pieces(try tokenizer.ids(of: text, addSpecialTokens: false), tokenizer)
            #expect(!pieces.joined().unicodeScalars.contains("\u{FFFD}"), "\(pieces)")
            #expect(pieces.joined() == text)
        }
    }

    /// After each token, what is not shown yet is one unfinished character, which the whole shows as U+FFFD.
    @Test func byteLevelLagsAtMostOneCharacter() throws {
        let tokenizer = try Self.tokenizer("gpt2")
        var random = Seeded(state: 5)
        let drawn = (0..<2000).map { _ in Int.random(in: 0..<300, using: &random) }
        for ids in [try tokenizer.ids(of: "a世😀b é"), drawn] {
            var decoder = StreamingDecoder(tokenizer)
            var shown: [UInt8] = []
            for (index, id) in ids.enumerated() {
                shown += decoder.append(id).utf8
                let whole = Array(tokenizer.decode(Array(ids[...index])).utf8)
                try #require(whole.starts(with: shown))
                #expect(whole.count == shown.count || whole[shown.count...] == [0xEF, 0xBF, 0xBD])
            }
        }
    }

    @Test func brokenBytesWaitForTheirEnd() throws {
        let tokenizer = try Self.tokenizer("llama2")
        func byte(_ value: String) throws -> Int { try #require(tokenizer.id(of: "<0x\(value)>")) }
        let letter = try #require(tokenizer.id(of: "a"))
        let good = try [byte("E4"), byte("B8"), byte("96"), letter]
        #expect(Self.pieces(good, tokenizer) == ["", "", "", "世a", ""])
        // A whole character spoilt by the byte after it: the library shows four of U+FFFD.
        let bad = try [byte("E4"), byte("B8"), byte("96"), byte("FF"), letter]
        #expect(Self.pieces(bad, tokenizer) == ["", "", "", "", "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}a", ""])
        #expect(Self.pieces([try byte("E4")], tokenizer) == ["", "\u{FFFD}"])
    }

    @Test func leadingSpaceGoesOnceOnly() throws {
        let tokenizer = try Self.tokenizer("llama2")
        let word = try #require(tokenizer.id(of: "▁the"))
        #expect(Self.pieces([word, word], tokenizer) == ["the", " the", ""])
        // A special token before it, skipped, does not count; shown, it takes the place at the front.
        let start = try #require(tokenizer.id(of: "<s>"))
        #expect(Self.pieces([start, word], tokenizer) == ["", "the", ""])
        #expect(Self.pieces([start, word], tokenizer, skips: false) == ["<s>", " the", ""])
    }

    @Test func aFinishedDecoderBeginsAnew() throws {
        let tokenizer = try Self.tokenizer("llama2")
        let word = try #require(tokenizer.id(of: "▁the"))
        var decoder = StreamingDecoder(tokenizer)
        #expect(decoder.append(word) == "the")
        #expect(decoder.finish() == "")
        #expect(decoder.append(word) == "the")
    }

    /// 2·10⁵ tokens: work for each that grew with the text would take minutes.
    @Test(arguments: ["gpt2", "llama2", "metaspace"]) func longTextsAreFast(name: String) throws {
        let tokenizer = try Self.tokenizer(name)
        var random = Seeded(state: 3)
        let ids = (0..<200_000).map { _ in Int.random(in: 0..<tokenizer.vocabularySize, using: &random) }
        let time = ContinuousClock().measure { #expect(Self.pieces(ids, tokenizer).count == ids.count + 1) }
        #expect(time < .seconds(10), "\(time)")
    }
}
