/// Which neighbours merge, in which order, into what: pairs of numbers found by open addressing.
struct MergeTable: Sendable {
    /// `left << 32 | right`, or ``free``.
    private var pairs: [UInt64]
    private var ranks: [Int32]
    /// The number that the merge of each rank makes.
    private var products: [Int32] = []

    /// No pair: numbers are below 2³¹.
    private static let free = UInt64.max

    /// An empty table with room for a number of merges.
    init(capacity: Int) {
        var size = 16
        while size < 2 * capacity { size *= 2 }
        pairs = Array(repeating: Self.free, count: size)
        ranks = Array(repeating: 0, count: size)
        products.reserveCapacity(capacity)
    }

    /// Adds the merge of the next rank; of two merges of one pair the later counts.
    ///
    /// At most as many as there is room for.
    mutating func append(left: Int, right: Int, product: Int) {
        precondition(2 * products.count < pairs.count)
        let slot = slot(of: Self.pair(Int32(left), Int32(right)))
        pairs[slot] = Self.pair(Int32(left), Int32(right))
        ranks[slot] = Int32(products.count)
        products.append(Int32(product))
    }

    /// The rank of the merge of two neighbours, or `nil`.
    func rank(_ left: Int32, _ right: Int32) -> Int32? {
        let slot = slot(of: Self.pair(left, right))
        return pairs[slot] == Self.free ? nil : ranks[slot]
    }

    /// The number that the merge of a rank makes.
    func product(_ rank: Int32) -> Int32 { products[Int(rank)] }

    private func slot(of pair: UInt64) -> Int {
        let mask = pairs.count - 1
        // Fibonacci hashing: the high half of a product with 2⁶⁴/φ.
        var slot = Int(truncatingIfNeeded: (pair &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
        while pairs[slot] != Self.free, pairs[slot] != pair { slot = (slot + 1) & mask }
        return slot
    }

    private static func pair(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }
}
