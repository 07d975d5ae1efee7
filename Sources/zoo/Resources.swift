import DefaultModel
import ResourceBundle

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
    /// - Throws: ``CommandFailure`` when the bundle is not there.
    static func minilmLayer() throws -> String {
        guard let path = ResourceBundle.path(of: "minilm-layer.safetensors", module: "zoo") else {
            throw CommandFailure(
                .fault,
                "the folder AttentionZoo_zoo.resources is not beside the executable in '\(ResourceBundle.folder)'",
                advice: "copy it from the build folder, where the executable was made")
        }
        return path
    }
}
