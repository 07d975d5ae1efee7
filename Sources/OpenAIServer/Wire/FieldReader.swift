import PagedEngine
import Tokenizers

/// The fields of a request's object; a field that is null is not there.
package struct FieldReader {
    private let values: [String: JSON]

    /// - Throws: `APIError` when the document is no object.
    init(_ value: JSON, name: String? = nil) throws(APIError) {
        guard case .object(let fields) = value else {
            throw .invalid(
                name, "\(name ?? "the body") is \(value.kind); expected an object", code: "invalid_value")
        }
        values = Dictionary(fields.map { ($0.name, $0.value) }) { $1 }
    }

    /// A request's body.
    package init(body: [UInt8]) throws(APIError) {
        guard String(validating: body, as: UTF8.self) != nil else {
            throw .invalid(nil, "the body is not UTF-8", code: "invalid_json")
        }
        let value: JSON
        do {
            value = try JSON(json: body, name: "the body")
        } catch {
            throw .invalid(nil, error.description, code: "invalid_json")
        }
        try self.init(value)
    }

    subscript(name: String) -> JSON? {
        guard let value = values[name], value != .null else { return nil }
        return value
    }

    func bool(_ name: String) throws(APIError) -> Bool? {
        guard let value = self[name] else { return nil }
        guard case .bool(let result) = value else { throw .invalid(name, expected: "true or false", actual: value) }
        return result
    }

    func string(_ name: String) throws(APIError) -> String? {
        guard let value = self[name] else { return nil }
        guard case .string(let result) = value else { throw .invalid(name, expected: "a text", actual: value) }
        return result
    }

    func integer(_ name: String, in range: ClosedRange<Int>) throws(APIError) -> Int? {
        guard let value = self[name] else { return nil }
        guard let result = value.wholeNumber, range.contains(result) else {
            let expected =
                range.upperBound == .max
                ? "a whole number from \(range.lowerBound) up"
                : "a whole number from \(range.lowerBound) to \(range.upperBound)"
            throw .invalid(name, expected: expected, actual: value)
        }
        return result
    }

    func number(_ name: String, in range: ClosedRange<Double>) throws(APIError) -> Double? {
        guard let value = self[name] else { return nil }
        guard let result = value.anyNumber, range.contains(result) else {
            throw .invalid(name, expected: "a number from \(range.lowerBound) to \(range.upperBound)", actual: value)
        }
        return result
    }

    func integers(_ name: String) throws(APIError) -> [Int]? {
        guard let value = self[name] else { return nil }
        guard let result = value.wholeNumbers else {
            throw .invalid(name, expected: "a list of whole numbers", actual: value)
        }
        return result
    }

    /// A list of texts; with `single`, one text too.
    func strings(_ name: String, single: Bool = false) throws(APIError) -> [String]? {
        guard let value = self[name] else { return nil }
        if single, case .string(let text) = value { return [text] }
        guard let result = value.texts else {
            throw .invalid(name, expected: (single ? "a text or " : "") + "a list of texts", actual: value)
        }
        return result
    }

    /// What a model is to read: one text, several, one list of tokens, or several.
    func prompts(_ name: String) throws(APIError) -> [Prompt] {
        let expected = "a text, a list of texts, a list of tokens or a list of lists of tokens"
        guard let value = self[name] else {
            throw .invalid(name, "\(name) is missing; expected \(expected)", code: "missing_required_parameter")
        }
        if case .string(let text) = value { return [.text(text)] }
        guard case .array(let items) = value, !items.isEmpty else {
            throw .invalid(name, expected: expected, actual: value)
        }
        if let texts = value.texts { return texts.map(Prompt.text) }
        if let tokens = value.wholeNumbers { return [.tokens(tokens)] }
        let lists = items.compactMap(\.wholeNumbers)
        guard lists.count == items.count else { throw .invalid(name, expected: expected, actual: value) }
        return lists.map(Prompt.tokens)
    }

    /// Refuses fields that ask for what is not built.
    func refuse(_ names: [String: String]) throws(APIError) {
        for (name, reason) in names.sorted(by: { $0.key < $1.key }) {
            guard let value = self[name] else { continue }
            if case .array(let items) = value, items.isEmpty { continue }
            throw .invalid(name, "\(name) is not supported: \(reason)", code: "unsupported")
        }
    }
}

extension TemplateValue {
    /// A whole number, also one written with a point.
    var wholeNumber: Int? {
        switch self {
        case .integer(let value): value
        // Beyond 2^53 a Double stands for several whole numbers.
        case .number(let value): value.magnitude <= 9_007_199_254_740_992 ? Int(exactly: value) : nil
        default: nil
        }
    }

    var anyNumber: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    /// A list of whole numbers.
    var wholeNumbers: [Int]? {
        guard case .array(let items) = self else { return nil }
        let result = items.compactMap(\.wholeNumber)
        return result.count == items.count ? result : nil
    }

    /// A list of texts.
    var texts: [String]? {
        guard case .array(let items) = self else { return nil }
        let result = items.compactMap { if case .string(let text) = $0 { text } else { nil } }
        return result.count == items.count ? result : nil
    }
}
