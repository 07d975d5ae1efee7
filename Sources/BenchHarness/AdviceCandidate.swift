public import AttentionCore

/// An operator with a setting: one contestant of a study.
public struct AdviceCandidate: Sendable {
    /// The operator's id.
    public let id: String
    /// The setting in a few words, for example `window [32, 32]`; empty for the defaults.
    public let setting: String
    /// The specification, as a model's configuration would have it.
    public let specification: AttentionSpecification
    /// The kind of attention.
    public let family: String
    /// The operator with its options.
    public let resolved: ResolvedAttention

    /// What tables call the candidate.
    public var name: String { setting.isEmpty ? id : "\(id) \(setting)" }

    /// A candidate.
    /// - Throws: ``AttentionCore/AttentionError`` when the operator or an option does not exist.
    public init(
        _ entry: CatalogueEntry, fields: [String: ConfigurationValue], in registry: OperatorRegistry
    ) throws(AttentionError) {
        id = entry.id
        family = entry.family
        setting = fields.sorted { $0.key < $1.key }.map { "\($0.key) \(Self.text($0.value))" }
            .joined(separator: ", ")
        specification = try AttentionSpecification(fields: fields, defaultName: entry.id)
        resolved = try specification.resolve(in: registry)
    }

    /// Every operator of a registry with its defaults and with settings worth trying at a length.
    ///
    /// Operators that are not in the table, plugins among them, come with their defaults.
    public static func all(in registry: OperatorRegistry, length: Int, only ids: [String]? = nil) -> [AdviceCandidate] {
        registry.entries.filter { ids?.contains($0.id) ?? true }.flatMap { entry -> [AdviceCandidate] in
            let tried: [[String: ConfigurationValue]] = [[:]] + AdviceSettings.of(entry.id, length: length)
            var seen: Set<AttentionSpecification> = []
            return tried.compactMap { fields -> AdviceCandidate? in
                guard let candidate = try? AdviceCandidate(entry, fields: fields, in: registry),
                    seen.insert(candidate.specification).inserted
                else { return nil }
                return candidate
            }
        }
    }

    private static func text(_ value: ConfigurationValue) -> String {
        if case .string(let text) = value { return text }
        return value.jsonText.replacing("\"", with: "")
    }
}
