/// An operator's own options: typed, decoded from JSON or YAML, with a default for each.
public protocol OperatorConfiguration: Codable, Sendable, Hashable {
    /// Every option at its default.
    init()
    /// What `zoo describe` prints and what unknown keys are checked against.
    static var options: [OptionDescription] { get }
}

/// One option, for people.
public struct OptionDescription: Sendable, Hashable, Codable {
    /// The key in a configuration.
    public let name: String
    /// What it does, with its unit.
    public let summary: String
    /// The value when the key is absent.
    public let defaultValue: String

    /// A description.
    public init(_ name: String, _ summary: String, default defaultValue: String) {
        self.name = name
        self.summary = summary
        self.defaultValue = defaultValue
    }
}

/// The configuration of an operator that has no options of its own.
public struct NoConfiguration: OperatorConfiguration {
    /// The only value.
    public init() {}
    /// None.
    public static var options: [OptionDescription] { [] }
}
