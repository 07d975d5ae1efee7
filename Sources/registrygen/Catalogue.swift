import Foundation

/// What is wrong with a registry file.
struct CatalogueError: Error, CustomStringConvertible {
    let description: String
}

/// The contents of `registry.json`, checked.
struct Catalogue {
    /// One operator: plain strings, as they go into the generated file.
    struct Entry {
        let id: String
        let type: String
        let aliases: [String]
        let family: String
        let title: String
        let summary: String
        let paper: String
        let status: String
        let priority: Int
    }

    let entries: [Entry]

    private static let texts = ["id", "type", "family", "title", "summary", "paper", "status"]

    /// Reads and checks a registry file.
    init(json: Data) throws {
        guard let root = try JSONSerialization.jsonObject(with: json) as? [String: Any], Set(root.keys) == ["operators"],
            let list = root["operators"] as? [[String: Any]], !list.isEmpty
        else {
            throw CatalogueError(description: "expected an object with one key, operators: a list of objects")
        }
        entries = try list.enumerated().map { try Self.entry($0.element, index: $0.offset) }
        try checkUnique()
    }

    private static func entry(_ fields: [String: Any], index: Int) throws -> Entry {
        let place = "operators[\(index)]" + ((fields["id"] as? String).map { " (\($0))" } ?? "")
        let known = Set(texts + ["aliases", "priority"])
        for key in fields.keys.sorted() where !known.contains(key) {
            throw CatalogueError(description: "\(place) has an unknown key '\(key)'; known: \(known.sorted())")
        }
        func text(_ key: String) throws -> String {
            guard let value = fields[key] as? String, !value.isEmpty else {
                throw CatalogueError(description: "\(place) needs a non-empty string for '\(key)'")
            }
            return value
        }
        guard let priority = fields["priority"] as? Int else {
            throw CatalogueError(description: "\(place) needs a whole number for 'priority'")
        }
        guard let aliases = fields["aliases"] as? [String]? else {
            throw CatalogueError(description: "\(place) needs a list of strings for 'aliases'")
        }
        let id = try text("id")
        guard id.allSatisfy({ $0.isASCII && ($0.isLowercase || $0.isNumber || $0 == "-") }) else {
            throw CatalogueError(description: "\(place): an id is kebab-case")
        }
        guard ["stable", "experimental"].contains(try text("status")) else {
            throw CatalogueError(description: "\(place): status is stable or experimental")
        }
        return Entry(
            id: id, type: try text("type"), aliases: aliases ?? [], family: try text("family"),
            title: try text("title"), summary: try text("summary"), paper: try text("paper"),
            status: try text("status"), priority: priority)
    }

    private func checkUnique() throws {
        var owners: [String: String] = [:]
        for entry in entries {
            for name in [entry.id] + entry.aliases {
                if let owner = owners[name] {
                    throw CatalogueError(description: "the name '\(name)' belongs to both \(owner) and \(entry.type)")
                }
                owners[name] = entry.type
            }
        }
    }

    /// The generated Swift file: a misspelt type does not compile.
    var swiftSource: String {
        let items = entries.map { entry in
            """
                        .init(
                            \(entry.type).self,
                            CatalogueEntry(
                                id: \(literal(entry.id)), type: \(literal(entry.type)), aliases: [\(entry.aliases.map(literal).joined(separator: ", "))],
                                family: \(literal(entry.family)), title: \(literal(entry.title)), summary: \(literal(entry.summary)),
                                paper: \(literal(entry.paper)), status: \(literal(entry.status)), priority: \(entry.priority)))
            """
        }
        return """
            // Generated from registry.json by registrygen.
            public import AttentionCore

            extension OperatorRegistry {
                /// Every operator of this package, as `registry.json` lists them.
                public static let builtIn = OperatorRegistry(
                    catalogue: [
            \(items.joined(separator: ",\n"))
                    ])
            }

            """
    }

    private func literal(_ text: String) -> String { text.debugDescription }
}
