/// A text as a model reads it.
public struct Encoding: Sendable, Hashable {
    /// The numbers of the tokens.
    public let ids: [Int]
    /// The tokens.
    public let tokens: [String]
    /// For each token, the number of the segment it belongs to.
    public let typeIds: [Int]

    /// The number of tokens.
    public var count: Int { ids.count }
}

/// Where a text that is too long is cut.
public struct Truncation: Sendable, Hashable {
    /// The side that is cut off.
    public enum Direction: String, Sendable, Hashable, CaseIterable {
        /// The beginning goes.
        case left = "Left"
        /// The end goes.
        case right = "Right"
    }

    /// The most tokens, those that are always added included.
    public let maximumLength: Int
    /// The side that is cut off.
    public let direction: Direction

    /// A rule.
    public init(maximumLength: Int, direction: Direction = .right) {
        self.maximumLength = maximumLength
        self.direction = direction
    }
}
