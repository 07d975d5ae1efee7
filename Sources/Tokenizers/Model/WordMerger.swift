/// Merges the symbols of one word, best rank first and leftmost among equals (Sennrich et al., 2016).
///
/// Symbols form a doubly linked list; candidate merges wait in a binary heap and are looked at again when they come up,
/// because a neighbour may have merged meanwhile. Cost: O(n log n) for n symbols, whatever the word.
struct WordMerger {
    private var ids: [Int32] = []
    private var previous: [Int32] = []
    private var next: [Int32] = []
    /// `rank << 32 | position`, smallest on top.
    private var heap: [UInt64] = []

    /// A symbol that was merged into its left neighbour.
    private static let gone: Int32 = -1

    /// Appends a symbol.
    mutating func append(_ id: Int) {
        let position = Int32(ids.count)
        if position > 0 { next[Int(position) - 1] = position }
        ids.append(Int32(id))
        previous.append(position - 1)
        next.append(-1)
    }

    /// Merges all that can be, and appends what is left to `result`.
    mutating func merge(_ table: MergeTable, into result: inout [Int]) {
        for position in ids.indices { propose(position, table) }
        while let top = pop() {
            let position = Int(top & 0xFFFF_FFFF)
            guard ids[position] != Self.gone, next[position] >= 0 else { continue }
            let right = Int(next[position])
            let product = table.product(Int32(top >> 32))
            // A stale candidate counts if the pair that stands there now makes the same token, as in the library.
            guard let rank = table.rank(ids[position], ids[right]), table.product(rank) == product else { continue }
            ids[position] = product
            ids[right] = Self.gone
            next[position] = next[right]
            if next[right] >= 0 { previous[Int(next[right])] = Int32(position) }
            if previous[position] >= 0 { propose(Int(previous[position]), table) }
            propose(position, table)
        }
        for id in ids where id != Self.gone { result.append(Int(id)) }
    }

    private mutating func propose(_ position: Int, _ table: MergeTable) {
        let right = next[position]
        guard right >= 0, let rank = table.rank(ids[position], ids[Int(right)]) else { return }
        heap.append(UInt64(rank) << 32 | UInt64(position))
        var child = heap.count - 1
        while child > 0, heap[child] < heap[(child - 1) / 2] {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func pop() -> UInt64? {
        guard let top = heap.first, let last = heap.popLast() else { return nil }
        guard !heap.isEmpty else { return top }
        heap[0] = last
        var parent = 0
        while true {
            var smallest = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child] < heap[smallest] {
                smallest = child
            }
            if smallest == parent { return top }
            heap.swapAt(parent, smallest)
            parent = smallest
        }
    }
}
