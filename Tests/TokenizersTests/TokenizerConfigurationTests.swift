import Testing
import Tokenizers

/// What stands beside a tokenizer.
@Suite struct TokenizerConfigurationTests {
    private static let user = [ChatMessage(role: "user", content: "x")]

    @Test func tokensAndFlags() throws {
        let files = [
            "special_tokens_map.json": ##"{"bos_token":"<a>","pad_token":{"content":"<p>","lstrip":false}}"##,
            "tokenizer_config.json": ##"{"bos_token":{"content":"<s>"},"eos_token":"</s>","add_bos_token":true,"##
                + ##""add_eos_token":false,"unk_token":null,"##
                + ##""chat_template":"{{ bos_token }}{{ messages[0].content }}"}"##,
        ]
        try Fixtures.withDirectory(files) { (folder) throws in
            let configuration = try TokenizerConfiguration(directory: folder)
            #expect(configuration.beginToken == "<s>" && configuration.endToken == "</s>")
            #expect(configuration.padToken == "<p>" && configuration.unknownToken == nil)
            #expect(configuration.addsBeginToken == true && configuration.addsEndToken == false)
            let template = try #require(try configuration.chatTemplate())
            let text = try template.render(messages: Self.user, variables: configuration.templateVariables)
            #expect(text == "<s>x")
        }
    }

    @Test func namedTemplates() throws {
        let json = ##"{"chat_template":[{"name":"default","template":"d"},{"name":"tool_use","template":"t"}]}"##
        let configuration = try TokenizerConfiguration(json: Array(json.utf8))
        #expect(try configuration.chatTemplate()?.render(messages: Self.user) == "d")
        #expect(try configuration.chatTemplate(withTools: true)?.render(messages: Self.user) == "t")
        #expect(try configuration.chatTemplate("tool_use")?.name == "tokenizer_config.json (tool_use)")
        #expect(try configuration.chatTemplate("rag") == nil)
    }

    @Test func aFileComesFirst() throws {
        let files = ["tokenizer_config.json": ##"{"chat_template":"old"}"##, "chat_template.jinja": "new\n"]
        try Fixtures.withDirectory(files) { (folder) throws in
            let configuration = try TokenizerConfiguration(directory: folder)
            #expect(try configuration.chatTemplate()?.render(messages: Self.user) == "new")
        }
        try Fixtures.withDirectory([:]) { (folder) throws in
            #expect(try TokenizerConfiguration(directory: folder) == TokenizerConfiguration())
            #expect(try TokenizerConfiguration(directory: folder).chatTemplate() == nil)
        }
    }

    @Test(arguments: [
        (##"{"bos_token":3}"##, "tokenizer_config.json: bos_token is 3; expected a string"),
        (##"{"add_bos_token":"yes"}"##, "tokenizer_config.json: add_bos_token is 'yes'; expected true or false"),
        (
            ##"{"chat_template":[{"name":"x"}]}"##,
            "tokenizer_config.json: chat_template[0].template is missing; expected a value"
        ),
    ])
    func refusals(json: String, expected: String) throws {
        let error = #expect(throws: TokenizerError.self) { _ = try TokenizerConfiguration(json: Array(json.utf8)) }
        #expect(try #require(error).description == expected)
    }

    @Test func aTemplateThatIsNotUnderstoodNamesItsFile() throws {
        let configuration = try TokenizerConfiguration(json: Array(##"{"chat_template":"\n{% import x %}"}"##.utf8))
        let error = #expect(throws: ChatTemplateError.self) { _ = try configuration.chatTemplate() }
        #expect(
            try #require(error).description
                == "tokenizer_config.json, line 2: the statement 'import' is not supported")
    }
}
