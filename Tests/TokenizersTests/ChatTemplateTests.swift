import Foundation
import Testing
import Tokenizers

/// Chat templates against transformers.
@Suite struct ChatTemplateTests {
    private struct Document: Decodable {
        struct Case: Decodable {
            let template: String
            let conversation: String
            let generation: Bool
            let tools: Bool
            let output: String?
        }

        struct Snippet: Decodable {
            let template: String
            let output: String?
        }

        let conversations: [String: String]
        let tools: String
        let cases: [Case]
        let snippets: [Snippet]

        /// The messages of a conversation.
        func messages(_ name: String) throws -> [ChatMessage] {
            guard case .array(let turns) = try TemplateValue(json: Array(#require(conversations[name]).utf8)) else {
                return []
            }
            return turns.compactMap { turn in
                guard case .object(let fields) = turn, case .string(let role)? = fields.first?.value else { return nil }
                return ChatMessage(
                    role: role, content: fields.first { $0.name == "content" }?.value ?? .null,
                    fields: fields.filter { $0.name != "role" && $0.name != "content" })
            }
        }
    }

    private static let variables: [TemplateValue.Field] = [
        .init("bos_token", "<s>"), .init("eos_token", "</s>"), .init("pad_token", "<pad>"),
        .init("today", "1 May 2030"),
    ]

    private static func check(
        _ source: String, _ messages: [ChatMessage], generation: Bool, tools: TemplateValue, _ expected: String?
    ) {
        do {
            let text = try ChatTemplate(source).render(
                messages: messages, addGenerationPrompt: generation, tools: tools, variables: variables)
            #expect(text.utf8.elementsEqual((expected ?? "a refusal").utf8), "\(source) gave \(text.debugDescription)")
        } catch {
            #expect(expected == nil, "\(source): \(error)")
        }
    }

    @Test func conversationsAreEqual() throws {
        let document: Document = try Fixtures.decode("chat/cases.json")
        #expect(document.cases.count >= 150 && document.cases.count { $0.output != nil } >= 100)
        let tools = try TemplateValue(json: Array(document.tools.utf8))
        for item in document.cases {
            let source = try String(contentsOfFile: Fixtures.path("chat/templates/\(item.template)"), encoding: .utf8)
            Self.check(
                source, try document.messages(item.conversation), generation: item.generation,
                tools: item.tools ? tools : .null, item.output)
        }
    }

    @Test func snippetsAreEqual() throws {
        let document: Document = try Fixtures.decode("chat/cases.json")
        #expect(document.snippets.count >= 120)
        let messages = try document.messages("system")
        for snippet in document.snippets {
            Self.check(snippet.template, messages, generation: true, tools: .null, snippet.output)
        }
    }
}
