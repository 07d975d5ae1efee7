import Foundation

/// The model that comes with the project: a very small Llama, trained on little stories and on what the project says of
/// itself.
///
/// `Training/default-model` holds how it was made.
public enum DefaultModel {
    /// The model's directory, in Hugging Face's layout: `config.json`, `model.safetensors`, `tokenizer.json`.
    ///
    /// The bundle is looked for beside the executable, and beside the bundles that are loaded, as a test's is; the accessor
    /// that the build makes would end the process when it is missing.
    /// - Throws: ``DefaultModelError`` when the bundle is not there.
    public static func directory() throws(DefaultModelError) -> String {
        let executable = (Bundle.main.executableURL ?? URL(fileURLWithPath: CommandLine.arguments[0]))
            .resolvingSymlinksInPath()
        let places = [executable] + Bundle.allBundles.map(\.bundleURL)
        let folders = places.map { $0.deletingLastPathComponent() }
        for folder in folders {
            for name in [
                "AttentionZoo_DefaultModel.resources", "AttentionZoo_DefaultModel.bundle",
                "AttentionZoo_DefaultModel.bundle/Contents/Resources",
            ] {
                let path = folder.appendingPathComponent(name).appendingPathComponent("default-model").path
                if FileManager.default.fileExists(atPath: path + "/config.json") { return path }
            }
        }
        throw DefaultModelError(folder: folders[0].path)
    }
}

/// The model's bundle is not where it should be.
public struct DefaultModelError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The folder of the executable.
    public let folder: String

    /// One sentence: what is missing, and where.
    public var description: String {
        "the folder AttentionZoo_DefaultModel.resources is not beside the executable in '\(folder)'; "
            + "copy it from the build folder, where the executable was made"
    }
}
