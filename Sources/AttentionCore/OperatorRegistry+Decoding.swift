import Foundation

extension OperatorRegistry {
    /// Decodes an operator's own options over its defaults; an unknown key is an error, never dropped.
    static func decode<Configuration: OperatorConfiguration>(
        _ type: Configuration.Type, from fields: [String: ConfigurationValue], owner: String
    ) throws(AttentionError) -> Configuration {
        try checkNames(fields, known: Configuration.options.map(\.name), owner: owner)
        if fields.isEmpty { return Configuration() }
        do {
            return try overlay(fields, on: Configuration())
        } catch let error as AttentionError {
            throw error
        } catch {
            // The decoder does not always say which key is at fault; each key alone does.
            for (name, value) in fields.sorted(by: { $0.key < $1.key }) {
                do {
                    _ = try overlay([name: value], on: Configuration())
                } catch let error {
                    let summary = Configuration.options.first { $0.name == name }?.summary ?? ""
                    throw .invalidOption(
                        name: name, expected: expectation(error, summary: summary), actual: value.jsonText)
                }
            }
            throw .invalidOption(
                name: fields.keys.sorted().joined(separator: ", "), expected: "options of \(owner) that go together",
                actual: ConfigurationValue.object(fields).jsonText)
        }
    }

    /// Decodes fields over defaults, so that a synthesised `init(from:)` finds every key.
    private static func overlay<Configuration: OperatorConfiguration>(
        _ fields: [String: ConfigurationValue], on defaults: Configuration
    ) throws -> Configuration {
        let values = try JSONDecoder().decode(
            [String: ConfigurationValue].self, from: JSONEncoder().encode(defaults))
        return try JSONDecoder().decode(
            Configuration.self, from: JSONEncoder().encode(values.merging(fields) { $1 }))
    }

    private static func expectation(_ error: any Error, summary: String) -> String {
        switch error {
        case DecodingError.typeMismatch(let type, _), DecodingError.valueNotFound(let type, _):
            "a value of type \(type): \(summary)"
        case DecodingError.dataCorrupted(let context) where !context.codingPath.isEmpty:
            "\(summary) (\(context.debugDescription))"
        default:
            summary
        }
    }

    /// Refuses options that an operator does not have.
    static func checkNames(
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
}
