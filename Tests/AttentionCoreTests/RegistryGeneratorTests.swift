import Foundation
import Testing
import registrygen

/// The tool that turns `registry.json` into Swift: what it refuses, by the literal text, and what it writes.
@Suite struct RegistryGeneratorTests {
    /// Two good entries; each test spoils one spot.
    private static let good = """
        {
          "operators": [
            {
              "id": "full", "type": "FullAttention", "aliases": ["scaled_dot_product"], "family": "exact",
              "title": "Full", "summary": "Says \\"all\\" of \\\\(it).", "paper": "Vaswani, 2017", "status": "stable",
              "priority": 10
            },
            {
              "id": "flash", "type": "FlashAttention", "aliases": [], "family": "exact",
              "title": "Flash", "summary": "Streams.", "paper": "Dao, 2023", "status": "experimental",
              "priority": 50
            }
          ]
        }
        """

    private func message(_ json: String) -> String? {
        do throws(CatalogueError) {
            _ = try Catalogue(json: Data(json.utf8))
            return nil
        } catch {
            return error.description
        }
    }

    @Test(arguments: [
        ("\"priority\": 50", "\"priority\": true", "9: operators[1] (flash) 'priority' is not a whole number"),
        ("\"priority\": 50", "\"priority\": 0.5", "9: operators[1] (flash) 'priority' is not a whole number"),
        (
            "\"priority\": 50", "\"priority\": 50, \"colour\": 1",
            "9: operators[1] (flash) has an unknown key 'colour'; known: id, type, family, title, summary, paper, status, "
                + "aliases, priority"
        ),
        ("\"paper\": \"Dao, 2023\", ", "", "9: operators[1] (flash) lacks 'paper', a string"),
        ("\"Dao, 2023\"", "\"\"", "9: operators[1] (flash) 'paper' is not a non-empty string"),
        ("\"aliases\": []", "\"aliases\": [1]", "9: operators[1] (flash) 'aliases' is not a list of strings"),
        ("\"aliases\": [], ", "", "9: operators[1] (flash) lacks 'aliases', a list of strings"),
        (
            "\"aliases\": []", "\"aliases\": [\"auto\"]",
            "9: operators[1] (flash) the alias 'auto' is not lower-case words joined by '-' or '_'"
        ),
        (
            "\"flash\"", "\"flash_2\"",
            "9: operators[1] (flash_2) 'id' is 'flash_2'; expected lower-case words joined by '-'"
        ),
        (
            "\"experimental\"", "\"old\"",
            "9: operators[1] (flash) 'status' is 'old'; expected stable or experimental"
        ),
        (
            "\"FlashAttention\"", "\"Flash.self)\"",
            "9: operators[1] (flash) 'type' is 'Flash.self)'; expected the name of a Swift type"
        ),
        (
            "\"aliases\": []", "\"aliases\": [\"full\"]",
            "9: the name 'full' belongs to both FullAttention and FlashAttention"
        ),
        ("\"flash\"", "\"full\"", "9: the name 'full' belongs to both FullAttention and FlashAttention"),
        ("\"FlashAttention\"", "\"FullAttention\"", "9: the type 'FullAttention' belongs to both 'full' and 'flash'"),
        (
            "\"operators\"", "\"operator\"",
            "1: expected an object with one key, 'operators', a list of at least one object"
        ),
    ])
    func refuses(_ part: String, _ replacement: String, _ expected: String) {
        #expect(message(Self.good.replacing(part, with: replacement)) == expected)
    }

    @Test func refusesWhatIsNoCatalogue() {
        #expect(
            message("{\"operators\": []}")
                == "1: expected an object with one key, 'operators', a list of at least one object")
        #expect(message("{\"operators\": [3]}") == "operators[0] is not an object")
        #expect(message("{")?.hasPrefix("this is not JSON: ") == true)
    }

    @Test func writesOneRegistrationForEachEntry() throws {
        let source = Renderer(try Catalogue(json: Data(Self.good.utf8))).source
        #expect(source.hasPrefix("// Generated from registry.json by registrygen.\npublic import AttentionCore\n"))
        #expect(source.contains("public static let builtIn = OperatorRegistry("))
        #expect(source.contains("FullAttention.self,") && source.contains("FlashAttention.self,"))
        #expect(source.contains(#"aliases: ["scaled_dot_product"],"#))
        #expect(source.contains(#"summary: "Says \"all\" of \\(it).","#))
    }
}
