/// What a quantiser cannot do: the operand or field, what was expected and what came.
public struct QuantizationError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The operand, or the field of a scheme or of a quantiser's settings.
    public let field: String
    /// What was expected.
    public let expected: String
    /// What came.
    public let actual: String

    /// A refusal.
    public init(field: String, expected: String, actual: String) {
        self.field = field
        self.expected = expected
        self.actual = actual
    }

    /// The field, what was expected and what came.
    public var description: String { "\(field): expected \(expected), got \(actual)" }

    /// Throws unless the condition holds.
    static func check(
        _ holds: Bool, _ field: String, _ expected: @autoclosure () -> String, _ actual: @autoclosure () -> String
    ) throws(QuantizationError) {
        if !holds { throw QuantizationError(field: field, expected: expected(), actual: actual()) }
    }
}
