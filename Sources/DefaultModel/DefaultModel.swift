import Foundation
import ResourceBundle

/// The model that comes with the project: a very small Llama, trained on little stories and on what the project says of
/// itself.
///
/// `Training/default-model` holds how it was made.
public enum DefaultModel {
    /// The model's directory, in Hugging Face's layout: `config.json`, `model.safetensors`, `tokenizer.json`.
    /// - Throws: ``DefaultModelError`` when the bundle is not there.
    public static func directory() throws(DefaultModelError) -> String {
        guard let file = ResourceBundle.path(of: "default-model/config.json", module: "DefaultModel") else {
            throw DefaultModelError(folder: ResourceBundle.folder)
        }
        return URL(fileURLWithPath: file).deletingLastPathComponent().path
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
