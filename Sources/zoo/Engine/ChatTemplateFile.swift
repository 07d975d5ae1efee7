import Foundation
import Tokenizers

/// Where commands take a chat template from.
enum ChatTemplateFile {
    /// A model's own template, or that of `--chat-template`, with what it sees besides messages.
    /// - Throws: ``CommandFailure`` for a file that cannot be read or used.
    static func read(
        _ directory: String, instead file: String?
    ) throws -> (template: ChatTemplate?, variables: [TemplateValue.Field]) {
        do {
            let configuration = try TokenizerConfiguration(directory: directory)
            guard let file else { return (try configuration.chatTemplate(), configuration.templateVariables) }
            guard let source = try? String(contentsOfFile: file, encoding: .utf8) else {
                throw CommandFailure(.data, "--chat-template '\(file)' cannot be read")
            }
            return (try ChatTemplate(source, name: file), configuration.templateVariables)
        } catch let error as TokenizerError {
            throw CommandFailure(.data, error.description)
        } catch let error as ChatTemplateError {
            throw CommandFailure(.data, error.description)
        }
    }
}
