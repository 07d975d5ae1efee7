import AttentionCore

/// Takes the fields out of an object one by one, and refuses what is left.
struct FieldReader {
    let place: String
    private var rest: [String: ConfigurationValue]
    private var known: [String] = []

    /// A reader of an object; `null` is an empty one.
    init(_ value: ConfigurationValue, place: String) throws(ModelError) {
        self.place = place
        switch value {
        case .object(let fields): rest = fields
        case .null: rest = [:]
        default:
            throw .invalidField(place: place, field: "the value", expected: "an object", actual: value.jsonText)
        }
    }

    mutating func value(_ key: String) -> ConfigurationValue? {
        known.append(key)
        guard let value = rest.removeValue(forKey: key), value != .null else { return nil }
        return value
    }

    func failure(_ key: String, _ expected: String, _ actual: ConfigurationValue?) -> ModelError {
        .invalidField(place: place, field: key, expected: expected, actual: actual?.jsonText ?? "missing")
    }

    mutating func integer(_ key: String) throws(ModelError) -> Int? {
        guard let value = value(key) else { return nil }
        guard let number = value.asInteger else { throw failure(key, "a whole number", value) }
        return number
    }

    mutating func requiredInteger(_ key: String) throws(ModelError) -> Int {
        guard let number = try integer(key) else { throw failure(key, "a whole number", nil) }
        return number
    }

    mutating func float(_ key: String) throws(ModelError) -> Float? {
        guard let value = value(key) else { return nil }
        guard let number = value.asDouble else { throw failure(key, "a number", value) }
        return Float(number)
    }

    mutating func double(_ key: String) throws(ModelError) -> Double? {
        guard let value = value(key) else { return nil }
        guard let number = value.asDouble else { throw failure(key, "a number", value) }
        return number
    }

    mutating func requiredDouble(_ key: String) throws(ModelError) -> Double {
        guard let number = try double(key) else { throw failure(key, "a number", nil) }
        return number
    }

    mutating func bool(_ key: String) throws(ModelError) -> Bool? {
        guard let value = value(key) else { return nil }
        guard case .bool(let flag) = value else { throw failure(key, "true or false", value) }
        return flag
    }

    mutating func string(_ key: String) throws(ModelError) -> String? {
        guard let value = value(key) else { return nil }
        guard case .string(let text) = value else { throw failure(key, "a string", value) }
        return text
    }

    /// One of the raw values of an enumeration.
    mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ key: String, _ type: Choice.Type = Choice.self
    ) throws(ModelError) -> Choice? {
        guard let value = value(key) else { return nil }
        guard case .string(let text) = value, let choice = Choice(rawValue: text) else {
            throw failure(key, "one of " + Choice.allCases.map(\.rawValue).joined(separator: ", "), value)
        }
        return choice
    }

    /// Refuses fields that nobody asked for.
    func finish() throws(ModelError) {
        guard let field = rest.keys.sorted().first else { return }
        throw .unknownField(
            place: place, field: field, suggestions: NearestName.suggestions(for: field, among: known), known: known)
    }
}
