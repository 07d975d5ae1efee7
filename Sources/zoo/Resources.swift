import DefaultModel
import Foundation

/// Files that belong to the command.
enum Resources {
    /// The directory of the model that comes with the command.
    /// - Throws: ``CommandFailure`` when the bundle is not there.
    static func defaultModel() throws -> String {
        do {
            return try DefaultModel.directory()
        } catch {
            throw CommandFailure(.fault, error.description, advice: "or name a model by its directory")
        }
    }

    /// The operands of one MiniLM layer.
    ///
    /// The bundle is looked for beside the executable, so that an installed copy works wherever it was built; the
    /// accessor that the build makes would end the process when it is missing.
    /// - Throws: ``CommandFailure`` when the bundle is not there.
    static func minilmLayer() throws -> String {
        let executable = (Bundle.main.executableURL ?? URL(fileURLWithPath: CommandLine.arguments[0]))
            .resolvingSymlinksInPath()
        let folder = executable.deletingLastPathComponent()
        for name in [
            "AttentionZoo_zoo.resources", "AttentionZoo_zoo.bundle", "AttentionZoo_zoo.bundle/Contents/Resources",
        ] {
            let path = folder.appendingPathComponent(name).appendingPathComponent("minilm-layer.safetensors").path
            if FileManager.default.fileExists(atPath: path) { return path }
        }
        throw CommandFailure(
            .fault, "the folder AttentionZoo_zoo.resources is not beside the executable in '\(folder.path)'",
            advice: "copy it from the build folder, where the executable was made")
    }
}
