import AttentionCore
import AttentionOperators
import Foundation
import OperatorPlugins
import Testing

/// What a user reads when a library cannot be used: the whole text, word by word.
@Suite struct PluginErrorTests {
    private let folder: PluginFolder

    init() throws { folder = try PluginFolder() }

    private func load(_ small: SmallPlugin, name: String = "small") throws -> String {
        try PluginFiles.compile(small.source, name: name, in: folder.url)
    }

    private func message(_ path: String) throws -> String {
        var registry = OperatorRegistry.builtIn
        let error = try #require(throws: PluginError.self) { try registry.loadPlugins([path]) }
        #expect(registry.entries == OperatorRegistry.builtIn.entries, "a refused library must leave nothing behind")
        return error.description
    }

    @Test func filesThatAreNoLibraries() throws {
        let missing = folder.path("missing.so")
        #expect(try message(missing) == "plugin '\(missing)' does not exist")
        #expect(try message(folder.url.path) == "plugin '\(folder.url.path)' is a folder; expected a shared library")
        let text = folder.path("text.so")
        try Data("no library".utf8).write(to: URL(fileURLWithPath: text))
        #expect(try message(text).hasPrefix("plugin '\(text)' is not a shared library that can be loaded: "))
    }

    @Test func librariesThatAreNoPlugins() throws {
        let path = try load(SmallPlugin(entryName: "other_entry"))
        #expect(try message(path) == "plugin '\(path)' does not export 'zoo_plugin_entry'")
    }

    @Test(arguments: [
        (SmallPlugin(version: "7"), "is built for plugin ABI 7; this host serves ABI 1"),
        (SmallPlugin(entry: "return NULL;"), "does not serve plugin ABI 1, the one of this host"),
        (SmallPlugin(count: "0"), "has no operators"),
    ])
    func versionsAndCounts(small: SmallPlugin, expected: String) throws {
        let path = try load(small)
        #expect(try message(path) == "plugin '\(path)' \(expected)")
    }

    @Test(arguments: [
        (SmallPlugin(pluginSize: "8"), "zoo_plugin says it has 8 bytes; expected at least 40"),
        (
            SmallPlugin(fields: ".struct_size = 16"),
            "zoo_operator of operator 1 says it has 16 bytes; expected at least 240"
        ),
        (SmallPlugin(operators: "&small, NULL", count: "2"), "operator 2 is NULL"),
        (SmallPlugin(fields: ".id = NULL"), "operator 1 has no id"),
        (SmallPlugin(fields: ".forward = NULL"), "operator 'small' has no forward function"),
        (SmallPlugin(fields: ".create = create"), "operator 'small' has no destroy function"),
        (SmallPlugin(fields: ".destroy = free"), "operator 'small' has no create function"),
        (SmallPlugin(fields: ".limit = \"always\""), "operator 'small' has no reference function"),
        (
            SmallPlugin(fields: ".limit = \"always\", .reference = forward, .backward = backward"),
            "operator 'small' has no reference_backward function"
        ),
        (SmallPlugin(fields: ".title = \"\""), "operator 'small' has no title"),
        (SmallPlugin(fields: ".dtypes = 0"), "operator 'small' has no dtypes"),
        (
            SmallPlugin(fields: ".dtypes = ZOO_U8"),
            "dtypes of operator 'small' is 0x10; expected bits of 0xf"
        ),
        (
            SmallPlugin(fields: ".features = 1ull << 40"),
            "features of operator 'small' is 0x10000000000; expected bits of 0x1fff"
        ),
        (
            SmallPlugin(fields: ".maximum_head_dim = 0"),
            "head dims of operator 'small' is 1 to 0; expected a range from 1 up"
        ),
        (
            SmallPlugin(fields: ".status = \"finished\""),
            "status of operator 'small' is 'finished'; expected 'stable' or 'experimental'"
        ),
        (SmallPlugin(fields: ".option_count = 1"), "operator 'small' has no options"),
        (SmallPlugin(fields: ".paper = \"\\xff\""), "paper of operator 'small' is other bytes; expected UTF-8 text"),
    ])
    func tables(small: SmallPlugin, expected: String) throws {
        let path = try load(small)
        #expect(try message(path) == "plugin '\(path)': \(expected)")
    }

    @Test func namesThatAreTaken() throws {
        let flash = try load(SmallPlugin(id: "flash"), name: "flash")
        #expect(
            try message(flash)
                == "plugin '\(flash)': the name 'flash' is taken by FlashAttention, so 'flash' of '\(flash)' cannot have it"
        )
        let bad = try load(SmallPlugin(id: "Not A Name"), name: "bad")
        #expect(
            try message(bad)
                == "plugin '\(bad)': the name of 'Not A Name' of '\(bad)' is 'Not A Name'; expected lower-case letters "
                + "and digits in words joined by '-' or '_', a letter first")
        let first = try load(SmallPlugin(), name: "first")
        let second = try load(SmallPlugin(), name: "second")
        var registry = OperatorRegistry.builtIn
        try registry.loadPlugins([first, first])
        let error = try #require(throws: PluginError.self) { try registry.loadPlugins([second]) }
        #expect(
            error.description
                == "plugin '\(second)': the name 'small' is taken by 'small' of '\(first)', so 'small' of '\(second)' "
                + "cannot have it")
    }

    @Test func registryFiles() throws {
        let library = try load(SmallPlugin())
        let file = folder.path("registry.json")
        func write(_ text: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: file)) }
        try write("{\"plugins\": [\"\(URL(fileURLWithPath: library).lastPathComponent)\"]}")
        #expect(try PluginRegistryFile(path: file).plugins == [library])
        let mistakes = [
            ("[", "it is not JSON"), ("[]", "it is not an object"), ("{}", "it has no array 'plugins'"),
            ("{\"plugins\": [1]}", "'plugins' holds 1; expected paths"),
            ("{\"plugin\": []}", "it has the unknown key 'plugin'; expected 'plugins'"),
        ]
        for (text, reason) in mistakes {
            try write(text)
            let error = try #require(throws: PluginError.self) { try PluginRegistryFile(path: file) }
            #expect(error.description == "registry file '\(file)' cannot be used: \(reason)")
        }
        let error = try #require(throws: PluginError.self) { try PluginRegistryFile(path: file + "x") }
        #expect(error.description == "registry file '\(file)x' cannot be used: it cannot be read")
    }
}
