/// A part of a quantised checkpoint that cannot be read or written as it is.
public struct CheckpointFormatError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The tensor's name, the module's, or the file's.
    public let place: String
    /// What of it: `shape`, `dtype`, `values`, `tensor` when it is missing or spare, or a field of a configuration.
    public let field: String
    /// What was expected.
    public let expected: String
    /// What came.
    public let actual: String

    /// What is wrong with a field of a place.
    public init(place: String, field: String, expected: String, actual: String) {
        self.place = place
        self.field = field
        self.expected = expected
        self.actual = actual
    }

    /// The place, its field, what was expected and what came.
    public var description: String { "\(place), \(field): expected \(expected), got \(actual)" }
}
