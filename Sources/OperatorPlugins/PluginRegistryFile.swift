import AttentionCore
import Foundation

/// A user's registry file: JSON that names plugins.
///
///     {"plugins": ["libmine.so", "/opt/zoo/libtheirs.so"]}
public struct PluginRegistryFile: Sendable, Hashable {
    /// Paths of the libraries; relative ones are resolved against the file's folder.
    public let plugins: [String]

    /// Reads a registry file.
    /// - Throws: ``PluginError`` when the file cannot be read, is not such an object or has another key.
    public init(path: String) throws(PluginError) {
        func invalid(_ reason: String) -> PluginError { PluginError(file: path, .invalidRegistryFile(reason: reason)) }
        guard let data = FileManager.default.contents(atPath: path) else { throw invalid("it cannot be read") }
        guard let value = try? JSONDecoder().decode(ConfigurationValue.self, from: data) else {
            throw invalid("it is not JSON")
        }
        guard case .object(let fields) = value else { throw invalid("it is not an object") }
        if let stray = fields.keys.sorted().first(where: { $0 != "plugins" }) {
            throw invalid("it has the unknown key '\(stray)'; expected 'plugins'")
        }
        guard case .array(let items)? = fields["plugins"] else { throw invalid("it has no array 'plugins'") }
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
        var plugins: [String] = []
        for item in items {
            guard case .string(let text) = item, !text.isEmpty else {
                throw invalid("'plugins' holds \(item.jsonText); expected paths")
            }
            plugins.append(URL(fileURLWithPath: text, relativeTo: folder).standardizedFileURL.path)
        }
        self.plugins = plugins
    }
}
