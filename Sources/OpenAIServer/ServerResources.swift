import Foundation

/// Files that the server hands out.
enum ServerResources {
    /// A file's bytes.
    ///
    /// The bundle is looked for beside the executable, so that an installed copy works wherever it was built; the
    /// accessor that the build makes would end the process when it is missing.
    static func data(_ name: String) -> Data? {
        let executable = (Bundle.main.executableURL ?? URL(fileURLWithPath: CommandLine.arguments[0]))
            .resolvingSymlinksInPath()
        let folders = ([executable] + Bundle.allBundles.map(\.bundleURL)).map { $0.deletingLastPathComponent() }
        for folder in folders {
            for bundle in [
                "AttentionZoo_OpenAIServer.resources", "AttentionZoo_OpenAIServer.bundle",
                "AttentionZoo_OpenAIServer.bundle/Contents/Resources",
            ] {
                let file = folder.appendingPathComponent(bundle).appendingPathComponent("Resources/" + name)
                if let data = try? Data(contentsOf: file) { return data }
            }
        }
        return nil
    }
}
