import Testing
import Tokenizers

/// The character classes against those of Hugging Face's library.
@Suite struct UnicodeRulesTests {
    /// Every scalar, every class.
    @Test func classesOfEveryScalar() throws {
        let ranges: [String: [[UInt32]]] = try Fixtures.decode("tokenizers/unicode.json")
        let rules: [(String, (Unicode.Scalar) -> Bool)] = [
            ("removed", UnicodeRules.isRemoved), ("space", UnicodeRules.isWhitespace),
            ("punctuation", UnicodeRules.isPunctuation), ("ideograph", UnicodeRules.isIdeograph),
            ("mark", UnicodeRules.isNonspacingMark),
        ]
        #expect(Set(ranges.keys) == Set(rules.map(\.0)))
        for (name, rule) in rules {
            var expected = Set<UInt32>()
            for range in try #require(ranges[name]) { expected.formUnion(range[0]...range[1]) }
            let wrong = (UInt32(0)..<0x110000).compactMap(Unicode.Scalar.init).filter {
                rule($0) != expected.contains($0.value)
            }
            #expect(wrong.isEmpty, "\(name): \(wrong.prefix(5).map { String($0.value, radix: 16) })")
        }
    }

    private struct Sample: Decodable {
        let setting: Int
        let text: String
        let normalized: String
        let words: [String]
    }

    /// Random text, with marks out of order, under four settings.
    @Test func randomTexts() throws {
        let settings = [
            BertNormalizer(), BertNormalizer(lowercase: false),
            BertNormalizer(cleanText: false, handleChineseCharacters: false, stripAccents: true, lowercase: false),
            BertNormalizer(handleChineseCharacters: false, stripAccents: false),
        ]
        let samples: [Sample] = try Fixtures.decode("tokenizers/texts.json")
        #expect(samples.count >= 200)
        for sample in samples {
            let normalized = settings[sample.setting].normalize(sample.text)
            #expect(scalars(normalized) == scalars(sample.normalized), "text \(scalars(sample.text))")
            let words = BertPreTokenizer().split(normalized)
            #expect(words.map(scalars) == sample.words.map(scalars), "text \(scalars(sample.text))")
        }
    }

    @Test func eachStageAlone() {
        let off = BertNormalizer(
            cleanText: false, handleChineseCharacters: false, stripAccents: false, lowercase: false)
        let text = "A\u{0}\t\u{200B}中É\u{301}"
        #expect(scalars(off.normalize(text)) == scalars(text))
        var clean = off
        clean.cleanText = true
        #expect(scalars(clean.normalize(text)) == scalars("A 中É\u{301}"))
        var apart = off
        apart.handleChineseCharacters = true
        #expect(scalars(apart.normalize("a中文b")) == scalars("a 中  文 b"))
        var strip = off
        strip.stripAccents = true
        #expect(scalars(strip.normalize("É\u{301}")) == scalars("E"))
        var lower = off
        lower.lowercase = true
        #expect(scalars(lower.normalize("ΣΑΣ İ")) == scalars("σασ i\u{307}"))
        #expect(scalars(BertNormalizer(lowercase: false).normalize("É")) == scalars("É"))
        #expect(scalars(BertNormalizer(stripAccents: false).normalize("É")) == scalars("é"))
    }

    @Test func marksAreOrderedByClass() {
        let text: [Unicode.Scalar] = ["a", "\u{301}", "\u{323}", "\u{334}", "b"]
        #expect(UnicodeRules.decomposed(text) == ["a", "\u{334}", "\u{323}", "\u{301}", "b"])
    }
}
