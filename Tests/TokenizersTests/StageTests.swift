import Testing
import Tokenizers

/// Single normalizers and pre-tokenizers against Hugging Face's library.
@Suite struct StageTests {
    private struct Stage: Decodable {
        let kind: String
        let json: String
        let texts: [String]
        let results: [String]
        let everyScalar: String?

        /// A tokenizer that has this stage.
        func tokenizer() throws -> Tokenizer {
            try Tokenizer(
                json: Array(#"{"\#(kind)":\#(json),"model":{"type":"BPE","vocab":{},"merges":[]}}"#.utf8))
        }
    }

    @Test func stagesGiveTheSame() throws {
        let stages: [Stage] = try Fixtures.decode("bpe/stages.json")
        #expect(stages.count >= 50)
        for stage in stages {
            let tokenizer = try stage.tokenizer()
            for (text, expected) in zip(stage.texts, stage.results) {
                let result =
                    try tokenizer.normalizer?.normalize(text)
                    ?? tokenizer.preTokenizer?.split(text).joined(separator: "\u{1F}")
                #expect(
                    scalars(result ?? "") == scalars(expected),
                    "\(stage.json): \(text.debugDescription) gave \(result.debugDescription), not \(expected)")
            }
        }
    }

    /// Every scalar alone through every normalizer.
    @Test func normalizersOfEveryScalar() throws {
        let stages: [Stage] = try Fixtures.decode("bpe/stages.json")
        var count = 0
        for stage in stages {
            guard let expected = stage.everyScalar, let normalizer = try stage.tokenizer().normalizer else { continue }
            count += 1
            var bytes: [UInt8] = []
            for scalar in (UInt32(1)..<0x32000).compactMap(Unicode.Scalar.init) {
                bytes += try normalizer.normalize(String(scalar)).utf8
                bytes.append(0)
            }
            #expect(String(fnv(bytes.dropLast())) == expected, "\(stage.json)")
        }
        #expect(count >= 10)
    }
}
