import Foundation

extension OperatorRegistry {
    /// Decodes an operator's own options; an unknown key is an error, never dropped.
    static func decode<Configuration: OperatorConfiguration>(
        _ type: Configuration.Type, from fields: [String: ConfigurationValue], owner: String
    ) throws(AttentionError) -> Configuration {
        let known = Configuration.options.map(\.name)
        for name in fields.keys.sorted() where !known.contains(name) {
            let candidates = known + AttentionSpecification.commonKeys
            throw .unknownOption(
                name: name, owner: owner, suggestions: NearestName.suggestions(for: name, among: candidates),
                known: candidates)
        }
        if fields.isEmpty { return Configuration() }
        do {
            let data = try JSONEncoder().encode(ConfigurationValue.object(fields))
            return try JSONDecoder().decode(Configuration.self, from: data)
        } catch DecodingError.typeMismatch(let expected, let context) {
            let name = context.codingPath.first?.stringValue ?? "configuration"
            throw .invalidOption(
                name: name, expected: "a value of type \(expected)", actual: fields[name]?.jsonText ?? "absent")
        } catch let DecodingError.dataCorrupted(context) {
            let name = context.codingPath.first?.stringValue ?? "configuration"
            throw .invalidOption(
                name: name, expected: "a value that fits (\(context.debugDescription))",
                actual: fields[name]?.jsonText ?? "absent")
        } catch let DecodingError.keyNotFound(key, _) {
            throw .invalidOption(name: key.stringValue, expected: "a value", actual: "absent")
        } catch {
            throw .invalidOption(name: "configuration", expected: "options of \(owner)", actual: "\(error)")
        }
    }
}
