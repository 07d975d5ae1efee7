/// Sequences of unequal length, packed without padding.
public struct RaggedBatch: Sendable, Hashable {
    /// The token numbers of every sequence, one after the other.
    public let ids: [Int]
    /// The segment of every token.
    public let typeIds: [Int]
    /// Where each sequence lies.
    public let spans: [Range<Int>]
    /// The place of each sequence's first token in the whole of it: what earlier passes have taken is before.
    public let starts: [Int]

    /// The last place that a token may have: sums of places stay far from overflow.
    private static let lastPlace = 1 << 40

    /// A batch of sequences.
    /// - Parameters:
    ///   - starts: the place of each sequence's first token; `nil` means all are at the beginning.
    ///   - typeIds: the segment of every token; `nil` means all belong to segment 0.
    /// - Throws: ``ModelError/invalidInput(operand:expected:actual:)`` for an empty sequence, or starts or segments that
    ///   do not match.
    public init(
        _ sequences: [[Int]], starts: [Int]? = nil, typeIds: [[Int]]? = nil
    ) throws(ModelError) {
        var spans: [Range<Int>] = []
        var start = 0
        for (index, sequence) in sequences.enumerated() {
            guard !sequence.isEmpty else {
                throw .invalidInput(operand: "sequence \(index)", expected: "at least one token", actual: "empty")
            }
            spans.append(start..<start + sequence.count)
            start += sequence.count
        }
        if let starts {
            guard starts.count == sequences.count else {
                throw .invalidInput(
                    operand: "starts", expected: "one for each of the \(sequences.count) sequences",
                    actual: "\(starts.count) numbers")
            }
            if let index = starts.firstIndex(where: { !(0...Self.lastPlace).contains($0) }) {
                throw .invalidInput(
                    operand: "the start of sequence \(index)", expected: "a place from 0 to \(Self.lastPlace)",
                    actual: "\(starts[index])")
            }
        }
        if let typeIds, typeIds.map(\.count) != sequences.map(\.count) {
            throw .invalidInput(
                operand: "typeIds", expected: "as many as tokens, in each sequence",
                actual: "of lengths \(typeIds.map(\.count))")
        }
        ids = sequences.flatMap { $0 }
        self.typeIds = typeIds?.flatMap { $0 } ?? [Int](repeating: 0, count: ids.count)
        self.spans = spans
        self.starts = starts ?? [Int](repeating: 0, count: spans.count)
    }

    /// The place of every token in its sequence.
    ///
    /// Cost: O(tokens).
    public var positions: [Int] { zip(starts, spans).flatMap { $0..<$0 + $1.count } }
}
