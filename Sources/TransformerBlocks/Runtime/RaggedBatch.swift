/// Sequences of unequal length, packed without padding.
public struct RaggedBatch: Sendable, Hashable {
    /// The token numbers of every sequence, one after the other.
    public let ids: [Int]
    /// The segment of every token.
    public let typeIds: [Int]
    /// Where each sequence lies.
    public let spans: [Range<Int>]

    /// A batch of sequences.
    /// - Parameter typeIds: the segment of every token; `nil` means all belong to segment 0.
    /// - Throws: ``ModelError/invalidInput(operand:expected:actual:)`` for an empty sequence, or segments that do not
    ///   match.
    public init(_ sequences: [[Int]], typeIds: [[Int]]? = nil) throws(ModelError) {
        var spans: [Range<Int>] = []
        var start = 0
        for (index, sequence) in sequences.enumerated() {
            guard !sequence.isEmpty else {
                throw .invalidInput(operand: "sequence \(index)", expected: "at least one token", actual: "empty")
            }
            spans.append(start..<start + sequence.count)
            start += sequence.count
        }
        if let typeIds, typeIds.map(\.count) != sequences.map(\.count) {
            throw .invalidInput(
                operand: "typeIds", expected: "as many as tokens, in each sequence",
                actual: "of lengths \(typeIds.map(\.count))")
        }
        ids = sequences.flatMap { $0 }
        self.typeIds = typeIds?.flatMap { $0 } ?? [Int](repeating: 0, count: ids.count)
        self.spans = spans
    }

    /// The place of every token in its sequence.
    var positions: [Int] { spans.flatMap { 0..<$0.count } }
}
