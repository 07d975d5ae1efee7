/// Tokens and their numbers.
///
/// Tokens are told apart by their bytes, not by canonical equivalence as `String` does.
public struct Vocabulary: Sendable {
    private var trie = ByteTrie()
    private var texts: [Int: String] = [:]
    /// One more than the largest number.
    public private(set) var size = 0

    /// An empty vocabulary.
    public init() {}

    /// Tokens numbered in order.
    public init(_ tokens: [String]) {
        for (id, token) in tokens.enumerated() { insert(token, id: id) }
    }

    /// Adds a token, or gives it another number.
    ///
    /// Cost: O(bytes of the token).
    public mutating func insert(_ token: String, id: Int) {
        trie.insert(token.utf8, value: id)
        texts[id] = token
        size = max(size, id + 1)
    }

    /// The number of a token, or `nil`.
    public func id(of token: String) -> Int? {
        trie.node(after: token.utf8).flatMap(trie.value)
    }

    /// The token of a number, or `nil`.
    public func token(of id: Int) -> String? { texts[id] }

    /// The node from which tokens that begin with `prefix` continue.
    func node(after prefix: String) -> Int? { trie.node(after: prefix.utf8) }

    /// The longest token that, after `node`, the bytes begin with: its number and its length.
    ///
    /// Cost: O(length).
    func longestMatch(_ bytes: ArraySlice<UInt8>, from node: Int) -> (id: Int, length: Int)? {
        trie.longestMatch(bytes, from: node)
    }
}

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
