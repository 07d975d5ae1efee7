/// Writes the Swift file that registers every operator of a catalogue; a misspelt type does not compile.
package struct Renderer {
    private let catalogue: Catalogue

    /// A renderer of a checked catalogue.
    package init(_ catalogue: Catalogue) { self.catalogue = catalogue }

    /// The whole file.
    package var source: String {
        """
        // Generated from registry.json by registrygen.
        public import AttentionCore

        extension OperatorRegistry {
            /// Every operator of this package, as `registry.json` lists them.
            public static let builtIn = OperatorRegistry(
                catalogue: [
        \(catalogue.entries.map(item).joined(separator: ",\n"))
                ])
        }

        """
    }

    private func item(_ entry: Catalogue.Entry) -> String {
        """
                    .init(
                        \(entry.type).self,
                        CatalogueEntry(
                            id: \(literal(entry.id)),
                            type: \(literal(entry.type)),
                            aliases: [\(entry.aliases.map(literal).joined(separator: ", "))],
                            family: \(literal(entry.family)),
                            title: \(literal(entry.title)),
                            summary: \(literal(entry.summary)),
                            paper: \(literal(entry.paper)),
                            status: \(literal(entry.status)),
                            priority: \(entry.priority)))
        """
    }

    /// A Swift string literal; quotes, backslashes and control characters are escaped.
    private func literal(_ text: String) -> String { text.debugDescription }
}
