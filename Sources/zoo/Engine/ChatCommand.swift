import ArgumentParser
import Foundation
import PagedEngine
import Tokenizers

/// `zoo chat`: a conversation with a model.
struct ChatCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat", abstract: "Talk with a decoder, by its own chat template.",
        discussion: """
            Each line is a message. '/reset' begins anew, '/quit' or the end of input ends. What was said is not computed
            again: its pages stay in the cache.

            EXAMPLES
              zoo chat
              zoo chat --system "You are brief." --temperature 0
              echo "What does flash attention do?" | zoo chat
            """)

    @Option(help: "What the model is told first.")
    var system: String?

    @Option(help: "A chat template of one's own, in a file.")
    var chatTemplate: String?

    @OptionGroup var engine: EngineArguments
    @OptionGroup var sampling: SamplingArguments

    func run() throws {
        let params = try sampling.params()
        let directory = try engine.directory()
        let (template, variables) = try self.template(directory)
        let llm = try engine.llm(seed: UInt64(bitPattern: Int64(sampling.seed ?? 0)))
        guard let tokenizer = llm.tokenizer else {
            throw CommandFailure(.data, "'\(directory)' has no tokenizer.json, which a chat needs")
        }
        let first = system.map { [ChatMessage(role: "system", content: .string($0))] } ?? []
        var messages = first
        while true {
            if Terminal.showsErrors { Terminal.error("> ") }
            guard let line = readLine(), line != "/quit" else { return }
            if line == "/reset" {
                messages = first
                continue
            }
            if line.trimmingCharacters(in: .whitespaces).isEmpty { continue }
            messages.append(ChatMessage(role: "user", content: .string(line)))
            let prompt = try prompt(template, messages, variables, tokenizer)
            let answer = try reportingEngine { try stream(llm, prompt, params) }
            messages.append(ChatMessage(role: "assistant", content: .string(answer)))
        }
    }

    private func template(_ directory: String) throws -> (ChatTemplate, [TemplateValue.Field]) {
        let (template, variables) = try ChatTemplateFile.read(directory, instead: chatTemplate)
        guard let template else {
            throw CommandFailure(
                .data, "'\(directory)' has no chat template",
                advice: "give one with --chat-template, or use 'zoo generate'")
        }
        return (template, variables)
    }

    /// The conversation as tokens; the template writes what frames it.
    private func prompt(
        _ template: ChatTemplate, _ messages: [ChatMessage], _ variables: [TemplateValue.Field], _ tokenizer: Tokenizer
    ) throws -> Prompt {
        do {
            let text = try template.render(messages: messages, variables: variables)
            return .tokens(try tokenizer.ids(of: text, addSpecialTokens: false))
        } catch let error as ChatTemplateError {
            throw CommandFailure(.data, error.description)
        } catch let error as TokenizerError {
            throw CommandFailure(.data, error.description)
        }
    }

    private func stream(_ llm: LLM, _ prompt: Prompt, _ params: SamplingParams) throws -> String {
        let answer = try waiting {
            var answer = ""
            for try await delta in llm.stream(prompt, params) {
                Terminal.out(delta.text)
                answer += delta.text
            }
            return answer
        }
        Terminal.out("\n")
        return answer
    }
}
