package import Foundation

/// What is wrong with a registry file, with the line where that can be told.
package struct CatalogueError: Error, CustomStringConvertible, Equatable {
    /// The line, counted from 1.
    package let line: Int?
    /// What is wrong and what was expected.
    package let message: String

    /// For example `12: operators[0] (flash): 'status' is 'old'; expected stable or experimental`.
    package var description: String { (line.map { "\($0): " } ?? "") + message }
}

/// The contents of `registry.json`, checked.
package struct Catalogue {
    /// One operator: plain strings, as they go into the generated file.
    package struct Entry {
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

    /// Every operator, in the file's order; never empty, every name and type once.
    package let entries: [Entry]

    private static let form = "an object with one key, 'operators', a list of at least one object"

    /// Reads and checks a registry file.
    /// - Throws: ``CatalogueError`` for the first fault.
    package init(json: Data) throws(CatalogueError) {
        let root: JSONValue
        do {
            root = try JSONDecoder().decode(JSONValue.self, from: json)
        } catch {
            throw CatalogueError(line: nil, message: "this is not JSON: \(Self.details(error))")
        }
        guard case .object(let fields) = root, Set(fields.keys) == ["operators"],
            case .list(let list) = fields["operators"], !list.isEmpty
        else {
            throw CatalogueError(line: 1, message: "expected \(Self.form)")
        }
        let lines = SourceLines(String(decoding: json, as: UTF8.self))
        var entries: [Entry] = []
        var owners: [String: String] = [:]
        for (index, item) in list.enumerated() {
            let entry = try EntryReader(item, index: index, lines: lines).read()
            try Self.claim(entry, &owners, lines)
            entries.append(entry)
        }
        self.entries = entries
    }

    /// What the parser says, with the line and column that it found.
    private static func details(_ error: any Error) -> String {
        guard case DecodingError.dataCorrupted(let context) = error else { return "\(error)" }
        let cause = (context.underlyingError as NSError?)?.userInfo["NSDebugDescription"] as? String
        return cause ?? context.debugDescription
    }

    /// Refuses a name or a type that an earlier entry has.
    private static func claim(
        _ entry: Entry, _ owners: inout [String: String], _ lines: SourceLines
    ) throws(CatalogueError) {
        for name in [entry.id] + entry.aliases {
            if let owner = owners[name] {
                throw CatalogueError(
                    line: lines.last(of: name), message: "the name '\(name)' belongs to both \(owner) and \(entry.type)"
                )
            }
            owners[name] = entry.type
        }
        // A type cannot look like a name: it starts with a capital letter.
        if let owner = owners[entry.type] {
            throw CatalogueError(
                line: lines.last(of: entry.type),
                message: "the type '\(entry.type)' belongs to both '\(owner)' and '\(entry.id)'")
        }
        owners[entry.type] = entry.id
    }
}

/// Finds the line of a JSON string in a file, for messages.
struct SourceLines {
    private let lines: [Substring]

    init(_ text: String) { lines = text.split(separator: "\n", omittingEmptySubsequences: false) }

    /// The first line that holds the quoted text.
    func first(of text: String) -> Int? { lines.firstIndex { $0.contains("\"\(text)\"") }.map { $0 + 1 } }

    /// The last line that holds the quoted text.
    func last(of text: String) -> Int? { lines.lastIndex { $0.contains("\"\(text)\"") }.map { $0 + 1 } }
}
