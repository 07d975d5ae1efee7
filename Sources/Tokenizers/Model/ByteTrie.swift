/// Byte strings with values, walked byte by byte.
struct ByteTrie: Sendable {
    /// Node and byte to node.
    ///
    /// One flat table is smaller and faster to fill than a table for each node.
    private var edges: [UInt64: Int32] = [:]
    private var values: [Int32] = [-1]

    /// The node of the empty string.
    static let root = 0

    mutating func insert(_ bytes: some Sequence<UInt8>, value: Int) {
        var node = Self.root
        for byte in bytes {
            let key = Self.key(node, byte)
            if let next = edges[key] {
                node = Int(next)
            } else {
                edges[key] = Int32(values.count)
                node = values.count
                values.append(-1)
            }
        }
        values[node] = Int32(value)
    }

    func node(after bytes: some Sequence<UInt8>) -> Int? {
        var node = Self.root
        for byte in bytes {
            guard let next = edges[Self.key(node, byte)] else { return nil }
            node = Int(next)
        }
        return node
    }

    func value(_ node: Int) -> Int? { values[node] < 0 ? nil : Int(values[node]) }

    /// The longest string that, after a node, the bytes begin with: its value and its length.
    ///
    /// Cost: O(length).
    func longestMatch(_ bytes: ArraySlice<UInt8>, from start: Int) -> (id: Int, length: Int)? {
        var node = start
        var best: (id: Int, length: Int)?
        for (offset, byte) in bytes.enumerated() {
            guard let next = edges[Self.key(node, byte)] else { break }
            node = Int(next)
            if let id = value(node) { best = (id, offset + 1) }
        }
        return best
    }

    private static func key(_ node: Int, _ byte: UInt8) -> UInt64 { UInt64(node) << 8 | UInt64(byte) }
}
