import HTTPTypes
import OpenAIServer
import PagedEngine
import Testing
import Tokenizers

/// JSON, keys and metrics as they go over the wire.
@Suite struct WireTests {
    @Test func jsonIsReadBackAsItWas() throws {
        let value: JSON = [
            "text": "a \"quoted\" \\ line\nand\ttab \u{1}\u{7F} é 😀 \u{2028}",
            "numbers": [1, .number(-0.5), .number(1e-9)],
            "nothing": nil, "flags": [true, false], "empty": .object([]), "list": [],
        ]
        let text = value.jsonText
        #expect(!text.contains("\n"))
        #expect(try JSON(json: Array(text.utf8), name: "it") == value)
        #expect(JSON.number(-.infinity).jsonText == "null")
    }

    @Test(arguments: ["01", "+1", "1.", ".5", "-", "1e", "1.e5", "--1", "1-2", "0x1", "NaN", "-.5", "1e+"])
    func numbersThatAreNotJSONAreRefused(text: String) {
        #expect(throws: TokenizerError.self) { try JSON(json: Array(text.utf8), name: "it") }
    }

    @Test(arguments: ["0", "-0", "10", "0.5", "-0.5e+10", "1E5", "1e-5"])
    func numbersOfJSONAreRead(text: String) throws {
        #expect(try JSON(json: Array(text.utf8), name: "it").double == Double(text))
    }

    @Test func keysAreComparedWhole() {
        let keys = APIKeys(["secret-1", "secret-22"])
        #expect(keys.holder("Bearer secret-1") == 0)
        #expect(keys.holder("bearer secret-22") == 1)
        for wrong in [
            nil, "", "secret-1", "Bearer", "Bearer ", "Bearer secret-", "Bearer secret-2", "Bearer secret-11",
            "Bearer secret-1secret-1", "Basic secret-1", "Bearer secret-222",
        ] {
            #expect(keys.holder(wrong) == nil, "\(wrong ?? "nothing")")
        }
        #expect(APIKeys([]).holder(nil) == 0)
    }

    @Test func histogramsCountUpToTheirBounds() {
        var histogram = Histogram([1, 2])
        for value in [0.5, 1, 1.5, 7] { histogram.add(value) }
        var text = MetricsText(model: "a\"b")
        text.histogram("h", "Help.", histogram)
        #expect(
            text.result == """
                # HELP h Help.
                # TYPE h histogram
                h_bucket{model_name="a\\"b",le="1.0"} 2
                h_bucket{model_name="a\\"b",le="2.0"} 3
                h_bucket{model_name="a\\"b",le="+Inf"} 4
                h_sum{model_name="a\\"b"} 10.0
                h_count{model_name="a\\"b"} 4

                """)
    }

    @Test func engineErrorsNameTheFieldsOfTheRequest() {
        func param(_ error: EngineError) -> String? { APIError(error, prompt: "messages", retryAfter: 7).param }
        #expect(param(.sampling(.invalidParameter(name: "topP", expected: "", actual: ""))) == "top_p")
        #expect(param(.sampling(.invalidParameter(name: "logitBias[3]", expected: "", actual: ""))) == "logit_bias")
        #expect(param(.scheduling(.promptTooLong(request: 0, tokens: 9, maxModelLen: 8))) == "messages")
        let busy = APIError(.scheduling(.queueFull(limit: 3)), prompt: "prompt", retryAfter: 7)
        #expect(busy.status == .tooManyRequests)
        #expect(busy.headers.contains { $0.0 == .retryAfter && $0.1 == "7" })
        #expect(APIError(.closed, prompt: "prompt", retryAfter: 7).status == .serviceUnavailable)
    }
}

extension TemplateValue {
    /// A number, whole or not.
    fileprivate var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }
}
