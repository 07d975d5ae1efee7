import Foundation
import Testing
import Tokenizers

/// Files that are not what they should be: refused or read, never a crash.
@Suite struct BrokenFilesTests {
    private static let text = "Hello  世界 'S naïve\n\t123 😀 <s>▁<|im_end|> word"

    /// Uses a tokenizer, when the document makes one.
    private static func exercise(_ document: [UInt8]) throws {
        do {
            let tokenizer = try Tokenizer(json: document)
            let ids = try tokenizer.ids(of: text)
            _ = tokenizer.decode(ids + [0, 1, 5, 1 << 40, -1], skipSpecialTokens: false)
            _ = try tokenizer.encode(text, maximumLength: 3)
        } catch {
            // Typed throws: it is a TokenizerError.
            #expect(!error.description.isEmpty)
        }
    }

    private static func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: Fixtures.directory.appendingPathComponent("bpe/\(name).json")))
    }

    @Test(arguments: FamilyTests.names) func cutShort(name: String) throws {
        let document = try Self.bytes(name)
        var random = Seeded(state: 1)
        for _ in 0..<40 {
            let length = Int.random(in: 0..<document.count - 2, using: &random)
            #expect(throws: TokenizerError.self) { _ = try Tokenizer(json: Array(document[..<length])) }
        }
    }

    @Test(arguments: FamilyTests.names) func bytesChanged(name: String) throws {
        let document = try Self.bytes(name)
        var random = Seeded(state: 2)
        // What is not vocabulary stands at the ends; it is hit more often.
        let model = document.firstRange(of: Array(#""model""#.utf8))?.lowerBound ?? document.count
        for round in 0..<80 {
            var broken = document
            for _ in 0...Int.random(in: 0..<3, using: &random) {
                let place = Int.random(in: 0..<(round % 2 == 0 ? model : document.count), using: &random)
                broken[place] = UInt8.random(in: round % 3 == 0 ? 0...255 : 0x20...0x7E, using: &random)
            }
            try Self.exercise(broken)
        }
    }

    @Test(arguments: FamilyTests.names) func wrongTypes(name: String) throws {
        let document = try JSONSerialization.jsonObject(with: Data(Self.bytes(name)))
        var random = Seeded(state: 3)
        for _ in 0..<80 {
            let broken = Self.mutated(document, &random)
            try Self.exercise([UInt8](JSONSerialization.data(withJSONObject: broken, options: .fragmentsAllowed)))
        }
    }

    /// A document with one value, at random, of another kind; of long lists and tables, one of the first few.
    private static func mutated(_ value: Any, _ random: inout Seeded) -> Any {
        let stops = Int.random(in: 0..<4, using: &random) == 0
        if !stops, var fields = value as? [String: Any],
            let key = fields.keys.sorted().prefix(20).randomElement(using: &random)
        {
            fields[key] = Int.random(in: 0..<8, using: &random) == 0 ? nil : fields[key].map { mutated($0, &random) }
            return fields
        }
        if !stops, var items = value as? [Any], !items.isEmpty {
            let index = Int.random(in: 0..<min(20, items.count), using: &random)
            items[index] = mutated(items[index], &random)
            return items
        }
        let others: [Any] = [
            NSNull(), true, -1, 0, 7, 2_147_483_647, 4_294_967_296, 1e300, 0.5, "", "x", "\u{FFFF}", "Sequence",
            "Regex",
            [Any](), ["a"], [[1, 2]], [String: Any](), ["type": "ByteLevel"], ["String": ""], ["Regex": "("],
            ["Regex": "(?:a|aa)+b"], ["Regex": "$"],
        ]
        return others.randomElement(using: &random) ?? 0
    }

    /// Patterns that backtrack for ever, replacements that grow for ever, and nesting.
    @Test func hostileStages() throws {
        let model = #""model":{"type":"BPE","vocab":{},"merges":[]}"#
        let many = Array(repeating: #"{"type":"Replace","pattern":{"String":"a"},"content":"aaaaaaaa"}"#, count: 60)
        let long = String(repeating: "a", count: 50_000)
        let stages = [
            #""pre_tokenizer":{"type":"Split","pattern":{"Regex":"(?:a|a?a)+b"},"behavior":"Isolated"}"#,
            #""pre_tokenizer":{"type":"Split","pattern":{"Regex":"a*a*a*a*b"},"behavior":"Isolated"}"#,
            #""normalizer":{"type":"Sequence","normalizers":["# + many.joined(separator: ",") + "]}",
            #""normalizer":{"type":"Replace","pattern":{"String":"a"},"content":""# + long + #""}"#,
        ]
        for stage in stages {
            let tokenizer = try? Tokenizer(json: Array("{\(stage),\(model)}".utf8))
            #expect(throws: TokenizerError.self, "\(stage.prefix(90))") { _ = try tokenizer?.ids(of: long) }
        }
        let patterns = [
            "(?:(?:(?:a{1000}){1000}){1000}){1000}", String(repeating: "(", count: 99_999),
            String(repeating: "(?i)", count: 9999),
            "(?<=(?:(?:(?:(?:(?:(?:(?:\\s{999}){999}){999}){999}){999}){999}){999})x",
            "a{2,1}", "[z-a]", "\\p{Han}", "(a)\\1", "(?<n>a)", "a**", "[[:alpha:]]", "\\x{110000}", "\\", "[a",
            "a{9999}",
        ]
        for pattern in patterns {
            #expect(throws: TokenizerError.self, "\(pattern.prefix(40))") { _ = try TextPattern(regex: pattern) }
        }
    }

    @Test(arguments: [
        (
            #"{"Regex":"a(?<n>b)"}"#,
            "pre_tokenizer.pattern.Regex is 'a(?<n>b)'; expected a pattern without, at 1, a group that begins (?<n"
        ),
        (
            #"{"Regex":"\\p{Greek}"}"#,
            "pre_tokenizer.pattern.Regex is '\\p{Greek}'; expected a pattern without, at 0, the property 'Greek'"
        ),
        (#"{"Other":1}"#, "pre_tokenizer.pattern is an object of 1 fields; expected {\"String\": …} or {\"Regex\": …}"),
    ])
    func patternsAreRefusedByName(pattern: String, expected: String) throws {
        let json =
            #"{"pre_tokenizer":{"type":"Split","pattern":\#(pattern),"behavior":"Isolated"},"#
            + #""model":{"type":"BPE","vocab":{},"merges":[]}}"#
        let error = #expect(throws: TokenizerError.self) { _ = try Tokenizer(json: Array(json.utf8)) }
        #expect(try #require(error).description == "tokenizer.json: " + expected)
    }

    @Test(arguments: [
        (
            #""dropout":0.1"#,
            "tokenizer.json: model.dropout is 0.1; expected null or 0: merges are not left out at random"
        ),
        (#""unk_token":"?""#, "tokenizer.json: the vocabulary has no token '?', which is needed as the unknown token"),
        (
            #""merges":["a b"]"#,
            "tokenizer.json: the vocabulary has no token 'ab', which is needed as the result of merge 0"
        ),
        (
            #""merges":["a  b"]"#,
            "tokenizer.json: model.merges[0] is 'a  b'; expected two tokens with a blank between them"
        ),
        (#""merges":[["a"]]"#, "tokenizer.json: model.merges[0] is an array of 1; expected two tokens"),
    ])
    func modelsAreRefusedByName(field: String, expected: String) throws {
        let merges = field.contains("merges") ? "" : #","merges":[]"#
        let json = #"{"model":{"type":"BPE","vocab":{"a":0,"b":1},\#(field)\#(merges)}}"#
        let error = #expect(throws: TokenizerError.self) { _ = try Tokenizer(json: Array(json.utf8)) }
        #expect(try #require(error).description == expected)
    }
}
