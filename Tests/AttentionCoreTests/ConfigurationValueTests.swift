import AttentionCore
import Foundation
import TensorCore
import Testing
import Yams

@Suite struct ConfigurationValueTests {
    static let sample: ConfigurationValue = [
        "name": "local", "window": [255, 0], "ratio": 0.5, "fast": true, "nothing": .null, "nested": ["a": ["b": [1]]],
    ]

    @Test func decodesJSON() throws {
        let text = """
            {"nested": {"a": {"b": [1]}}, "nothing": null, "fast": true, "ratio": 0.5, "window": [255, 0], "name": "local"}
            """
        #expect(try ConfigurationValue(json: text) == Self.sample)
    }

    @Test func decodesYAMLToTheSameValue() throws {
        let text = """
            name: local
            window: [255, 0]
            ratio: 0.5
            fast: true
            nothing: ~
            nested:
              a:
                b:
                  - 1
            """
        #expect(try YAMLDecoder().decode(ConfigurationValue.self, from: text) == Self.sample)
    }

    @Test func quotedYAMLScalarsAreText() throws {
        let text = #"["1", "true", "", "null", '2.5', 1, true, 2.5]"#
        let expected: ConfigurationValue = ["1", "true", "", "null", "2.5", 1, true, 2.5]
        #expect(try YAMLDecoder().decode(ConfigurationValue.self, from: text) == expected)
    }

    @Test func wholeNumbersAreIntegers() throws {
        guard case .array(let values) = try ConfigurationValue(json: "[3, 0.25, -7, 1e3, 1e30]")
        else {
            Issue.record("no array")
            return
        }
        guard case .integer(3) = values[0], case .number(0.25) = values[1], case .integer(-7) = values[2] else {
            Issue.record("\(values)")
            return
        }
        #expect(values.map(\.asInteger) == [3, nil, -7, 1000, nil])
        #expect(values.map(\.asDouble) == [3, 0.25, -7, 1000, 1e30])
        #expect(ConfigurationValue.integer(2) == .number(2))
        #expect(Set<ConfigurationValue>([.integer(2), .number(2), .number(2.5)]).count == 2)
        #expect(ConfigurationValue.bool(true) != .integer(1))
        #expect(ConfigurationValue.string("2").asInteger == nil)
    }

    @Test func jsonTextIsSortedAndReadsBack() throws {
        #expect(
            Self.sample.jsonText == """
                {"fast": true, "name": "local", "nested": {"a": {"b": [1]}}, "nothing": null, "ratio": 0.5, "window": [255, 0]}
                """)
        let awkward: ConfigurationValue = [
            "quote\"back\\slash": "line\nfeed\ttab\u{1}\u{7f} é 你 😀 / \u{2028}", "small": 1e-12, "large": 1e300,
            "edge": .integer(.min), "empty": [[], [:], ""],
        ]
        #expect(try ConfigurationValue(json: awkward.jsonText) == awkward)
        #expect(awkward.jsonText.contains(#"line\nfeed\ttab\u0001"#))
        #expect(ConfigurationValue.number(.infinity).jsonText == "\"inf\"")
    }

    @Test func encodesThroughFoundationToo() throws {
        let data = try JSONEncoder().encode(Self.sample)
        #expect(try JSONDecoder().decode(ConfigurationValue.self, from: data) == Self.sample)
    }

    @Test func floatsAreWrittenShortAndReadBack() {
        #expect(ConfigurationValue(Float(0.1)).jsonText == "0.1")
        #expect(ConfigurationValue(Float(30)).jsonText == "30")
        var generator = CounterRandom(seed: 3)
        for _ in 0..<100_000 {
            let value = Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &generator))
            guard value.isFinite else { continue }
            let back = ConfigurationValue(value).asDouble.map { Float($0) }
            if back != value { Issue.record("\(value) came back as \(String(describing: back))") }
        }
    }

    @Test func faultyJSONNamesItself() {
        let error = #expect(throws: AttentionError.self) { try ConfigurationValue(json: "{oops") }
        #expect(error?.description == "option 'configuration' is '{oops'; expected JSON")
    }
}
