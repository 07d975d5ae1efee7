/// What a mask is asked about: the true lengths of one sequence, without its padding, and which sequence and head it is.
///
/// Masks are placed by these lengths, not by the tensors' extents. Most masks look at nothing else; block layouts of
/// several heads look at the head, and mask functions may look at both.
public struct MaskGeometry: Sendable, Hashable {
    /// Queries before the padding.
    public let queryLength: Int
    /// Keys before the padding.
    public let keyLength: Int
    /// The sequence's place in the batch.
    public let batch: Int
    /// The query head.
    public let head: Int

    /// The lengths of one sequence, and its place.
    public init(queryLength: Int, keyLength: Int, batch: Int = 0, head: Int = 0) {
        self.queryLength = queryLength
        self.keyLength = keyLength
        self.batch = batch
        self.head = head
    }

    /// The diagonal on which query 0 stands: how many keys lie before the first query.
    public func diagonal(_ corner: MaskCorner) -> Int {
        switch corner {
        case .bottomRight: keyLength - queryLength
        case .topLeft: 0
        }
    }

    /// The same sequence, seen by another head.
    public func seen(by head: Int) -> MaskGeometry {
        MaskGeometry(queryLength: queryLength, keyLength: keyLength, batch: batch, head: head)
    }
}
