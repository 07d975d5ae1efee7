import AttentionCore
import Foundation
import TensorCore
import Testing
import Yams

@Suite struct AttentionSpecificationTests {
    private func message(_ json: String, in registry: OperatorRegistry? = nil) throws -> String? {
        let registry = try registry ?? .test()
        do throws(AttentionError) {
            _ = try AttentionSpecification(json: json).resolve(in: registry)
            return nil
        } catch {
            return error.description
        }
    }

    @Test(arguments: [
        (#"{"name": "flash"}"#, AttentionMask.full),
        (#"{"name": "flash", "causal": false, "window": [-1, -1]}"#, .full),
        (#"{"name": "flash", "causal": true}"#, .causal),
        (#"{"name": "flash", "causal": "top-left"}"#, .causal(.topLeft)),
        (#"{"name": "flash", "window": [255, 0]}"#, .window(left: 255, right: 0)),
        (#"{"name": "flash", "window": [-1, 7]}"#, .window(left: nil, right: 7)),
        (
            #"{"name": "flash", "window": [3, -1], "causal": "top-left"}"#,
            .and([.causal(.topLeft), .window(left: 3, right: nil, corner: .topLeft)])
        ),
        (
            #"{"name": "flash", "mask": {"or": [{"prefix": 10}, "causal"]}}"#,
            .or([.prefix(length: 10), .causal])
        ),
        (
            #"{"name": "flash", "mask": {"not": {"window": [1, 2], "corner": "top-left"}}, "causal": true}"#,
            .and([.not(.window(left: 1, right: 2, corner: .topLeft)), .causal])
        ),
    ])
    func readsMasks(_ json: String, _ mask: AttentionMask) throws {
        #expect(try AttentionSpecification(json: json).options == AttentionOptions(mask: mask))
    }

    @Test func readsEveryCommonKeyAndKeepsTheRest() throws {
        let specification = try AttentionSpecification(
            json: #"{"name": "tuned", "scale": 1, "softcap": 30.5, "dropout": 0.1, "seed": 7, "chunk": 8}"#)
        #expect(specification.options == AttentionOptions(scale: 1, softcap: 30.5, dropout: 0.1, seed: 7))
        #expect(specification.configuration == ["chunk": 8])
        #expect(try AttentionSpecification(json: "flash") == AttentionSpecification(name: "flash"))
        #expect(try AttentionSpecification(json: "\"flash\"") == AttentionSpecification(name: "flash"))
        #expect(try AttentionSpecification(json: #"{"causal": true}"#).name == "auto")
    }

    @Test func yamlReadsAsJSONDoes() throws {
        let yaml = """
            name: tuned
            causal: top-left
            window: [255, 0]
            softcap: 30
            chunk: 128
            """
        let json = #"{"name": "tuned", "causal": "top-left", "window": [255, 0], "softcap": 30, "chunk": 128}"#
        let decoded = try YAMLDecoder().decode(AttentionSpecification.self, from: yaml)
        #expect(try decoded == AttentionSpecification(json: json))
        #expect(try AttentionSpecification(json: decoded.jsonText) == decoded)
    }

    @Test func writesTheShortestKeys() {
        func text(_ mask: AttentionMask) -> String {
            AttentionSpecification(name: "flash", options: .init(mask: mask)).jsonText
        }
        #expect(text(.full) == #"{"name": "flash"}"#)
        #expect(text(.causal) == #"{"causal": true, "name": "flash"}"#)
        #expect(text(.causal(.topLeft)) == #"{"causal": "top-left", "name": "flash"}"#)
        #expect(text(.window(left: 255, right: nil)) == #"{"name": "flash", "window": [255, -1]}"#)
        #expect(
            text(.and([.causal, .window(left: 9, right: 0)])) == #"{"causal": true, "name": "flash", "window": [9, 0]}"#
        )
        #expect(
            text(.or([.prefix(length: 10), .causal]))
                == #"{"mask": {"or": [{"prefix": 10}, "causal"]}, "name": "flash"}"#)
    }

    @Test func randomSpecificationsSurviveARoundTrip() throws {
        var generator = CounterRandom(seed: 5)
        for _ in 0..<2000 {
            let options = AttentionOptions(
                scale: Bool.random(using: &generator) ? Float.random(in: -4...4, using: &generator) : nil,
                mask: .random(depth: Int.random(in: 0...3, using: &generator), using: &generator),
                softcap: Bool.random(using: &generator) ? Float.random(in: 0.1...60, using: &generator) : nil,
                dropout: Bool.random(using: &generator) ? Float.random(in: 0..<1, using: &generator) : 0,
                seed: Bool.random(using: &generator) ? generator.next() : 0)
            let chunk = ConfigurationValue.integer(Int.random(in: 1...512, using: &generator))
            let own: [String: ConfigurationValue] = Bool.random(using: &generator) ? ["chunk": chunk] : [:]
            let specification = AttentionSpecification(name: "tuned", options: options, configuration: own)
            #expect(try AttentionSpecification(json: specification.jsonText) == specification)
            let data = try JSONEncoder().encode(specification)
            #expect(try JSONDecoder().decode(AttentionSpecification.self, from: data) == specification)
            let yaml = try YAMLEncoder().encode(specification)
            #expect(try YAMLDecoder().decode(AttentionSpecification.self, from: yaml) == specification)
        }
    }

    @Test func misspeltNamesAreAnsweredWithNearOnes() throws {
        #expect(
            try message(#"{"name":"flahs"}"#) == "no operator is called 'flahs'; did you mean 'flash'?")
        #expect(try message("atuo") == "no operator is called 'atuo'; did you mean 'auto'?")
        #expect(
            try message("quantum")
                == "no operator is called 'quantum'; known: full, flash, tuned, narrow, auto")
        #expect(
            try message(#"{"name": "flash", "casual": true}"#) == "flash has no option 'casual'; did you mean 'causal'?"
        )
        #expect(
            try message(#"{"name": "tuned", "chnuk": 3}"#) == "tuned has no option 'chnuk'; did you mean 'chunk'?")
        #expect(
            try message(#"{"name": "auto", "wndow": [1, 1]}"#) == "auto has no option 'wndow'; did you mean 'window'?")
        #expect(
            try message(#"{"name": "flash", "temperature": 1}"#)
                == "flash has no option 'temperature'; known: scale, causal, window, mask, softcap, dropout, seed")
    }

    @Test(arguments: [
        (#"{"name": 3}"#, "option 'name' is 3; expected a string"),
        (#"{"scale": "big"}"#, #"option 'scale' is "big"; expected a number"#),
        (#"{"causal": 1}"#, #"option 'causal' is 1; expected true, false, "top-left" or "bottom-right""#),
        (
            #"{"causal": "left"}"#,
            #"option 'causal' is "left"; expected true, false, "top-left" or "bottom-right""#
        ),
        (#"{"window": 5}"#, "option 'window' is 5; expected [left, right] from 0 up, or -1 for unlimited"),
        (#"{"window": [1]}"#, "option 'window' is [1]; expected [left, right] from 0 up, or -1 for unlimited"),
        (#"{"window": [1, -2]}"#, "option 'window' is [1, -2]; expected [left, right] from 0 up, or -1 for unlimited"),
        (
            #"{"window": [9223372036854775807, 0]}"#,
            "option 'window' is [9223372036854775807, 0]; expected [left, right] from 0 up, or -1 for unlimited"
        ),
        (#"{"softcap": -1}"#, "option 'softcap' is -1.0; expected a finite number above 0"),
        (#"{"scale": 1e300}"#, "option 'scale' is inf; expected a finite number"),
        (#"{"dropout": 1.5}"#, "option 'dropout' is 1.5; expected a probability from 0 to below 1"),
        (#"{"seed": 1.5}"#, "option 'seed' is 1.5; expected a whole number"),
        (
            #"{"mask": {"xor": []}}"#,
            #"option 'mask' is {"xor": []}; expected "full", "causal", "causal-top-left", "#
                + "or an object with window, prefix, and, or, not, documents, tree, shift or blocks"
        ),
        (#"{"mask": {"or": [{"prefix": -3}]}}"#, "option 'prefix' is -3; expected a length from 0 up"),
        ("[1]", "option 'attention' is [1]; expected an operator's name or an object"),
        ("{", "option 'configuration' is '{'; expected JSON"),
    ])
    func wrongValuesAreNamed(_ json: String, _ expected: String) throws {
        #expect(try message(json) == expected)
    }

    @Test func wrongOptionsOfAnOperatorAreNamed() throws {
        #expect(
            try message(#"{"name": "tuned", "chunk": "ten"}"#)
                == #"option 'chunk' is "ten"; expected a value of type Int: keys of one step"#)
        #expect(
            try message(#"{"name": "tuned", "chunk": null}"#)
                == "option 'chunk' is null; expected a value of type Int: keys of one step")
        #expect(try message(#"{"name": "tuned", "chunk": 0}"#) == "option 'chunk' is 0; expected from 1 up")
        #expect(try message(#"{"name": "tuned", "mode": "fast", "ratio": 2}"#) == nil)
        #expect(
            try message(#"{"name": "tuned", "mode": "fast", "ratio": [2]}"#)
                == "option 'ratio' is [2]; expected a value of type Double: landmarks for each key")
        let fraction = try message(#"{"name": "tuned", "chunk": 1.5}"#)
        #expect(fraction == "option 'chunk' is 1.5; expected keys of one step")
    }
}
