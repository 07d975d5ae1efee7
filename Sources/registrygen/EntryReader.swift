/// Reads and checks one entry of the list of operators.
struct EntryReader {
    private let fields: [String: JSONValue]
    private let place: String
    private let line: Int?

    private static let texts = ["id", "type", "family", "title", "summary", "paper", "status"]
    private static let statuses = ["stable", "experimental"]

    init(_ item: JSONValue, index: Int, lines: SourceLines) throws(CatalogueError) {
        guard case .object(let fields) = item else {
            throw CatalogueError(line: nil, message: "operators[\(index)] is not an object")
        }
        self.fields = fields
        let id = fields["id"]?.text
        place = "operators[\(index)]" + (id.map { " (\($0))" } ?? "")
        line = id.flatMap { lines.first(of: $0) }
    }

    func read() throws(CatalogueError) -> Catalogue.Entry {
        let known = Self.texts + ["aliases", "priority"]
        for key in fields.keys.sorted() where !known.contains(key) {
            throw fault("has an unknown key '\(key)'; known: \(known.joined(separator: ", "))")
        }
        let id = try text("id")
        guard Self.isName(id, joints: ["-"]) else {
            throw fault("'id' is '\(id)'; expected lower-case words joined by '-'")
        }
        let type = try text("type")
        guard let first = type.first, first.isUppercase, type.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber) })
        else {
            throw fault("'type' is '\(type)'; expected the name of a Swift type")
        }
        let status = try text("status")
        guard Self.statuses.contains(status) else {
            throw fault("'status' is '\(status)'; expected \(Self.statuses.joined(separator: " or "))")
        }
        return Catalogue.Entry(
            id: id, type: type, aliases: try aliases(), family: try text("family"), title: try text("title"),
            summary: try text("summary"), paper: try text("paper"), status: status, priority: try priority())
    }

    private func text(_ key: String) throws(CatalogueError) -> String {
        guard let value = fields[key] else { throw fault("lacks '\(key)', a string") }
        guard let text = value.text, !text.isEmpty else { throw fault("'\(key)' is not a non-empty string") }
        return text
    }

    private func aliases() throws(CatalogueError) -> [String] {
        guard let value = fields["aliases"] else { throw fault("lacks 'aliases', a list of strings") }
        guard case .list(let items) = value else { throw fault("'aliases' is not a list of strings") }
        let names = items.compactMap(\.text)
        guard names.count == items.count else { throw fault("'aliases' is not a list of strings") }
        for name in names where !Self.isName(name, joints: ["-", "_"]) {
            throw fault("the alias '\(name)' is not lower-case words joined by '-' or '_'")
        }
        return names
    }

    private func priority() throws(CatalogueError) -> Int {
        guard let value = fields["priority"] else { throw fault("lacks 'priority', a whole number") }
        guard case .integer(let number) = value else { throw fault("'priority' is not a whole number") }
        return number
    }

    /// `auto` is what leaves the choice to the dispatcher.
    private static func isName(_ text: String, joints: Set<Character>) -> Bool {
        guard let first = text.first, first.isASCII, first.isLowercase, text != "auto" else { return false }
        return text.split(omittingEmptySubsequences: false) { joints.contains($0) }.allSatisfy { word in
            !word.isEmpty && word.allSatisfy { $0.isASCII && ($0.isLowercase || $0.isNumber) }
        }
    }

    private func fault(_ message: String) -> CatalogueError {
        CatalogueError(line: line, message: "\(place) \(message)")
    }
}
