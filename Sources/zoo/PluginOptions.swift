import ArgumentParser
import AttentionCore
import AttentionOperators
import Foundation
import OperatorPlugins

/// Where operators come from, beside those of this program: the only place that makes the registry.
struct PluginOptions: ParsableArguments {
    @Option(
        name: .customLong("plugin"),
        help: ArgumentHelp("Load operators of a shared library; may be repeated.", valueName: "file"))
    var plugins: [String] = []

    @Option(
        help: ArgumentHelp(
            "Load the plugins of a JSON file {\"plugins\": [\"lib.so\"]}; by default ZOO_REGISTRY.", valueName: "file"))
    var registry: String?

    /// The built-in operators and those of every plugin.
    func makeRegistry() throws -> OperatorRegistry {
        try reporting {
            var paths: [String] = []
            if let file = registry ?? Self.environment { paths += try PluginRegistryFile(path: file).plugins }
            var result = OperatorRegistry.builtIn
            try result.loadPlugins(paths + plugins)
            return result
        }
    }

    /// The options that may stand before the command.
    static let names = ["--plugin", "--registry"]

    private static var environment: String? {
        ProcessInfo.processInfo.environment["ZOO_REGISTRY"].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// The arguments with `--plugin` and `--registry` that stand before the command moved behind it.
    ///
    /// The parser knows options of commands only; `zoo --plugin lib.so list` reads better.
    static func movingBehindCommand(_ arguments: [String]) -> [String] {
        var moved: [String] = []
        var rest = arguments[...]
        while let first = rest.first {
            if names.contains(first), rest.count >= 2 {
                moved += rest.prefix(2)
                rest = rest.dropFirst(2)
            } else if names.contains(where: { first.hasPrefix("\($0)=") }) {
                moved.append(first)
                rest = rest.dropFirst()
            } else {
                break
            }
        }
        guard let command = rest.first else { return arguments }
        return [command] + moved + rest.dropFirst()
    }
}
