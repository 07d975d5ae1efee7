import Foundation

extension OperatorRegistry {
    /// Decodes an operator's own options over its defaults; an unknown key is an error, never dropped.
    static func decode<Configuration: OperatorConfiguration>(
        _ type: Configuration.Type, from fields: [String: ConfigurationValue], owner: String
    ) throws(AttentionError) -> Configuration {
        try checkNames(fields, known: Configuration.options.map(\.name), owner: owner)
        if fields.isEmpty { return Configuration() }
        do {
            // Defaults first, so that a synthesised `init(from:)` finds every key.
            let defaults = try JSONDecoder().decode(
                [String: ConfigurationValue].self, from: JSONEncoder().encode(Configuration()))
            let data = try JSONEncoder().encode(defaults.merging(fields) { $1 })
            return try JSONDecoder().decode(Configuration.self, from: data)
        } catch let error as AttentionError {
            throw error
        } catch let error as DecodingError {
            throw optionError(error, fields: fields, owner: owner)
        } catch {
            throw .invalidOption(
                name: fields.keys.sorted().joined(separator: ", "), expected: "options of \(owner)", actual: "\(error)")
        }
    }

    private static func checkNames(
        _ fields: [String: ConfigurationValue], known: [String], owner: String
    ) throws(AttentionError) {
        for (name, value) in fields.sorted(by: { $0.key < $1.key }) where !known.contains(name) {
            if AttentionSpecification.commonKeys.contains(name) {
                throw .invalidOption(
                    name: name, expected: "a place among the common options, not among those of \(owner)",
                    actual: value.jsonText)
            }
            let candidates = known + AttentionSpecification.commonKeys
            throw .unknownOption(
                name: name, owner: owner, suggestions: NearestName.suggestions(for: name, among: candidates),
                known: candidates)
        }
    }

    private static func optionError(
        _ error: DecodingError, fields: [String: ConfigurationValue], owner: String
    ) -> AttentionError {
        let expected: String
        let path: [any CodingKey]
        switch error {
        case .typeMismatch(let type, let context):
            (expected, path) = ("a value of type \(type)", context.codingPath)
        case .valueNotFound(let type, let context):
            (expected, path) = ("a value of type \(type)", context.codingPath)
        case .keyNotFound(let key, let context):
            (expected, path) = ("a value for '\(key.stringValue)'", context.codingPath + [key])
        case .dataCorrupted(let context):
            (expected, path) = ("a value that fits (\(context.debugDescription))", context.codingPath)
        @unknown default:
            (expected, path) = ("options of \(owner)", [])
        }
        guard let name = path.first?.stringValue else {
            return .invalidOption(
                name: fields.keys.sorted().joined(separator: ", "), expected: expected,
                actual: ConfigurationValue.object(fields).jsonText)
        }
        return .invalidOption(name: name, expected: expected, actual: fields[name]?.jsonText ?? "absent")
    }
}
