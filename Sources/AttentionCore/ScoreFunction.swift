/// What a score function is told about a score.
public struct ScorePlace: Sendable, Hashable {
    /// The sequence.
    public let batch: Int
    /// The query head.
    public let head: Int
    /// The query.
    public let query: Int
    /// The key.
    public let key: Int

    /// A place in the score matrix.
    public init(batch: Int, head: Int, query: Int, key: Int) {
        self.batch = batch
        self.head = head
        self.query = query
        self.key = key
    }
}

/// A change of scores written in Swift, the last one before the mask: after scale, softcap, bias and ALiBi.
///
///     ScoreFunction("relative") { score, place in score + table[place.query - place.key] }
///
/// It is evaluated tile by tile; no matrix of scores is ever built for it. It must be pure: it is called from any thread,
/// in any order, and again for gradients.
///
/// - Important: the name identifies the function: two functions of the same name count as the same option.
public struct ScoreFunction: Sendable {
    /// What identifies the function, with its parameters.
    public let name: String
    /// The new score from the old one, natural units.
    package let value: @Sendable (_ score: Double, _ place: ScorePlace) -> Double
    /// The derivative of the new score by the old one; `nil` when the function was given without one.
    package let derivative: (@Sendable (_ score: Double, _ place: ScorePlace) -> Double)?

    /// A score function.
    /// - Parameters:
    ///   - name: what identifies the function; put its parameters into it.
    ///   - derivative: of the new score by the old one; without it gradients are refused.
    ///   - value: the new score from the old one and its place.
    public init(
        _ name: String, derivative: (@Sendable (_ score: Double, _ place: ScorePlace) -> Double)? = nil,
        value: @escaping @Sendable (_ score: Double, _ place: ScorePlace) -> Double
    ) {
        self.name = name
        self.value = value
        self.derivative = derivative
    }
}

extension ScoreFunction: Hashable {
    /// Whether two functions have the same name.
    public static func == (left: ScoreFunction, right: ScoreFunction) -> Bool { left.name == right.name }

    /// Feeds the name.
    public func hash(into hasher: inout Hasher) { hasher.combine(name) }
}
