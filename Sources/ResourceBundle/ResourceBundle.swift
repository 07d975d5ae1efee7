import Foundation

/// Files that come with a program, in the bundle of the module that they belong to.
package enum ResourceBundle {
    /// Where a module's bundle is looked for first: the folder of the executable.
    package static var folder: String { folders[0].path }

    /// The path of a file in a module's bundle, or `nil` where it is not there.
    ///
    /// The bundle is looked for beside the executable, so that an installed copy works wherever it was built, and beside
    /// the bundles that are loaded, as a test's is; the accessor that the build makes would end the process when it is
    /// missing.
    package static func path(of file: String, module: String) -> String? {
        let bundle = "AttentionZoo_\(module)"
        for folder in folders {
            for name in ["\(bundle).resources", "\(bundle).bundle", "\(bundle).bundle/Contents/Resources"] {
                let path = folder.appendingPathComponent(name).appendingPathComponent(file).path
                if FileManager.default.fileExists(atPath: path) { return path }
            }
        }
        return nil
    }

    private static var folders: [URL] {
        let executable = (Bundle.main.executableURL ?? URL(fileURLWithPath: CommandLine.arguments[0]))
            .resolvingSymlinksInPath()
        return ([executable] + Bundle.allBundles.map(\.bundleURL)).map { $0.deletingLastPathComponent() }
    }
}
