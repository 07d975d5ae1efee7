import Foundation
import Testing
import Tokenizers

/// Tokenizers of the families of decoders against Hugging Face's library, on 2 200 lines in many scripts.
@Suite struct FamilyTests {
    static let names = [
        "gpt2", "opt", "roberta", "llama3", "qwen2", "nemo", "deepseek", "llama2", "mistral", "gemma", "metaspace",
        "suffixed",
    ]
    private static let draws = 300

    /// The hashes of one family: three for each line, two for each sequence of random ids.
    private struct Expected {
        let words: [UInt64]
        let lines: Int

        init(_ name: String, lines: Int) throws {
            let bytes = [UInt8](try Data(contentsOf: Fixtures.directory.appendingPathComponent("bpe/ids.bin")))
            let size = 3 * lines + 2 * FamilyTests.draws
            try #require(bytes.count == 8 * size * FamilyTests.names.count)
            let first = try #require(FamilyTests.names.firstIndex(of: name)) * size
            words = (first..<first + size).map { word in
                (0..<8).reduce(0) { $0 | UInt64(bytes[8 * word + $1]) << UInt64(8 * $1) }
            }
            self.lines = lines
        }

        func ids(_ line: Int) -> UInt64 { words[line] }

        /// Lines first, then random ids.
        func text(_ index: Int, skips: Bool) -> UInt64 { words[lines + 2 * index + (skips ? 0 : 1)] }
    }

    private static func randomIds(_ size: Int) -> [[Int]] {
        var state = 42
        return (0..<draws).map { _ in
            (0..<24).map { _ in
                state = state * 48271 % 0x7FFF_FFFF
                return state % size
            }
        }
    }

    private static func tokenizer(_ name: String) throws -> Tokenizer {
        try Tokenizer(tokenizerFile: Fixtures.path("bpe/\(name).json"))
    }

    @Test(arguments: names) func everyLineIsEqual(name: String) throws {
        let lines: [String] = try Fixtures.decode("bpe/lines.json")
        #expect(lines.count >= 2200)
        let tokenizer = try Self.tokenizer(name)
        let expected = try Expected(name, lines: lines.count)
        var encoded: [[Int]] = []
        for (index, line) in lines.enumerated() {
            let ids = try tokenizer.ids(of: line)
            encoded.append(ids)
            let hash = fnv(ids.flatMap { id in (0..<4).map { UInt8(truncatingIfNeeded: id >> (8 * $0)) } })
            #expect(hash == expected.ids(index), "line \(index): \(line.debugDescription) gave \(ids)")
        }
        encoded += Self.randomIds(tokenizer.vocabularySize)
        for (index, ids) in encoded.enumerated() {
            for skips in [true, false] {
                let text = tokenizer.decode(ids, skipSpecialTokens: skips)
                #expect(fnv(text.utf8) == expected.text(index, skips: skips), "\(index): \(ids) gave \(text)")
            }
        }
        #expect(try tokenizer.encode(lines[20], maximumLength: .max).ids == encoded[20])
    }

    /// What a failure of ``everyLineIsEqual(name:)`` is found with, and a check that the hashes hash the right thing.
    @Test(arguments: names) func samplesAreEqual(name: String) throws {
        let lines: [String] = try Fixtures.decode("bpe/lines.json")
        let samples: [String: [[Int]]] = try Fixtures.decode("bpe/samples.json")
        let tokenizer = try Self.tokenizer(name)
        for (index, ids) in try #require(samples[name]).enumerated() {
            #expect(try tokenizer.ids(of: lines[50 * index]) == ids, "line \(50 * index): \(lines[50 * index])")
        }
    }

    @Test func secondTimeComesFromTheCacheAndIsEqual() throws {
        let lines: [String] = try Fixtures.decode("bpe/lines.json")
        let tokenizer = try Self.tokenizer("llama3")
        for line in lines.prefix(200) {
            #expect(try tokenizer.ids(of: line) == tokenizer.ids(of: line))
        }
    }

    /// Words of 10⁵ letters: quadratic merging would take minutes.
    @Test(arguments: ["gpt2", "llama2", "suffixed"]) func longWordsAreFast(name: String) throws {
        let tokenizer = try Self.tokenizer(name)
        let clock = ContinuousClock()
        for unit in ["a", "ab", "the", " ", "\n", "é", "世", "'", "1"] {
            let text = String(repeating: unit, count: 100_000 / unit.utf8.count)
            var ids: [Int] = []
            let time = try clock.measure { ids = try tokenizer.ids(of: text, addSpecialTokens: false) }
            #expect(time < .seconds(10), "\(unit.debugDescription): \(time)")
            if name == "gpt2" { #expect(tokenizer.decode(ids) == text) }
        }
    }
}

/// FNV-1a in 64 bits, as the script computes it.
func fnv(_ bytes: some Sequence<UInt8>) -> UInt64 {
    bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
}
