/// An operator's entry in the catalogue: facts for people and for choosing.
///
/// Behaviour stays in the type.
public struct CatalogueEntry: Sendable, Hashable, Codable {
    /// The name in configurations, kebab-case.
    public let id: String
    /// The Swift type.
    public let type: String
    /// Other names that mean the same.
    public let aliases: [String]
    /// The kind of attention: `exact`, ...
    public let family: String
    /// A heading.
    public let title: String
    /// One sentence: how it works.
    public let summary: String
    /// Where it comes from.
    public let paper: String
    /// How far it can be relied on: `stable` or `experimental`.
    public let status: String
    /// Among operators that can run a problem, `auto` takes the one with the highest priority.
    public let priority: Int

    /// An entry.
    public init(
        id: String, type: String, aliases: [String] = [], family: String, title: String, summary: String,
        paper: String, status: String = "experimental", priority: Int = 0
    ) {
        self.id = id
        self.type = type
        self.aliases = aliases
        self.family = family
        self.title = title
        self.summary = summary
        self.paper = paper
        self.status = status
        self.priority = priority
    }
}

extension CatalogueEntry {
    /// Whether text can name an operator: lower-case words and numbers joined by `-` or `_`, a letter first.
    static func isName(_ text: String) -> Bool {
        let words = text.split(omittingEmptySubsequences: false) { $0 == "-" || $0 == "_" }
        guard let first = text.first, first.isLetter, !["null", "true", "false"].contains(text) else { return false }
        return words.allSatisfy { word in
            !word.isEmpty && word.allSatisfy { $0.isASCII && ($0.isLowercase || $0.isNumber) }
        }
    }
}
