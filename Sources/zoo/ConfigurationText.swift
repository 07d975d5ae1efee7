import AttentionCore
import Foundation
import Yams

/// Reads what follows `--config` or `--attention`: JSON text, or the path of a JSON or YAML file.
enum ConfigurationText {
    /// The fields of an object; none when nothing was given.
    static func fields(_ argument: String?, option: String) throws -> [String: ConfigurationValue] {
        guard let argument else { return [:] }
        let value = try self.value(argument, option: option)
        guard case .object(let fields) = value else {
            throw CommandFailure(
                .usage, "\(option) is \(value.jsonText); expected an object of options",
                advice: "write for example \(option) '{\"causal\": true}'")
        }
        return fields
    }

    /// Any value.
    /// - Parameter acceptsNames: whether an argument that is no file may be a name.
    static func value(
        _ argument: String, option: String, acceptsNames: Bool = false
    ) throws -> ConfigurationValue {
        let text = argument.trimmingSpaces()
        if text.hasPrefix("{") || text.hasPrefix("\"") {
            return try json(text, from: "\(option) \(text)", option: option)
        }
        let looksLikeName = text.allSatisfy { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" }
        if acceptsNames, looksLikeName, !FileManager.default.fileExists(atPath: text) {
            return .string(text)
        }
        guard let content = try? String(contentsOfFile: argument, encoding: .utf8) else {
            throw CommandFailure(
                .usage, "\(option) '\(argument)' is neither a JSON object nor a file that can be read",
                advice: "write JSON in single quotes, for example \(option) '{\"causal\": true}', or the path of a file"
            )
        }
        let isYAML = argument.hasSuffix(".yaml") || argument.hasSuffix(".yml")
        return isYAML
            ? try yaml(content, path: argument, option: option)
            : try json(content, from: "'\(argument)'", option: option)
    }

    private static func json(_ text: String, from place: String, option: String) throws -> ConfigurationValue {
        do {
            return try JSONDecoder().decode(ConfigurationValue.self, from: Data(text.utf8))
        } catch {
            throw CommandFailure(
                .usage, "\(place) is not JSON\(detail(error))", advice: "names and text stand in double quotes")
        }
    }

    private static func yaml(_ text: String, path: String, option: String) throws -> ConfigurationValue {
        do {
            return try YAMLDecoder().decode(ConfigurationValue.self, from: text)
        } catch {
            throw CommandFailure(.usage, "'\(path)' is not YAML: \(error)")
        }
    }

    private static func detail(_ error: any Error) -> String {
        guard case DecodingError.dataCorrupted(let context) = error else { return "" }
        let inner = (context.underlyingError as NSError?)?.userInfo["NSDebugDescription"] as? String
        return ": \(inner ?? context.debugDescription)"
    }
}
