import TensorCore

/// Finds the page that holds the keys of given tokens after given earlier tokens.
///
/// Full pages form a tree: a node is one page's tokens after its parent's. Nodes are found by a chained hash of the
/// parent's hash and the tokens, and a hit is taken only where the parent is the same node and the tokens are equal, so
/// equal hashes cannot give wrong keys. The first page's hash and comparison include a salt, which keeps tenants apart.
///
/// A node lives as long as something refers to it: a page that holds its keys, a sequence that ends with it, or a
/// child. So a node whose page was evicted is the same node when its tokens are computed again, and its children are
/// found again.
struct PrefixCache: Sendable {
    /// The parent of first pages.
    static let root = -1

    private struct Node {
        var hash: UInt64
        var parent: Int
        var salt: String
        var tokens: [Int]
        var page: Int?
        var references: Int
    }

    private var nodes: [Node] = []
    private var unused: [Int] = []
    private var table: [UInt64: [Int]] = [:]
    private var nodeOfPage: [Int: Int] = [:]
    private let hashMask: UInt64

    /// A cache without pages.
    ///
    /// A mask with few bits makes hashes collide.
    init(hashMask: UInt64 = .max) { self.hashMask = hashMask }

    /// The number of living nodes.
    var nodeCount: Int { nodes.count - unused.count }

    /// Whether a page holds the keys of a node.
    func holds(_ page: Int) -> Bool { nodeOfPage[page] != nil }

    /// The page that holds a node's keys.
    func page(of node: Int) -> Int? { nodes[node].page }

    /// The parent of a node.
    func parent(of node: Int) -> Int { nodes[node].parent }

    /// The node of `tokens` after `parent`, if it lives.
    func node(after parent: Int, salt: String, tokens: ArraySlice<Int>) -> Int? {
        find(hash(after: parent, salt: salt, tokens), parent, salt, tokens)
    }

    /// The node of `tokens` after `parent`, made where it does not live, with one more reference.
    mutating func retainNode(after parent: Int, salt: String, tokens: ArraySlice<Int>) -> Int {
        let hash = hash(after: parent, salt: salt, tokens)
        if let node = find(hash, parent, salt, tokens) {
            nodes[node].references += 1
            return node
        }
        let made = Node(
            hash: hash, parent: parent, salt: parent == Self.root ? salt : "", tokens: Array(tokens), page: nil,
            references: 1)
        if parent != Self.root { nodes[parent].references += 1 }
        let node = unused.popLast() ?? nodes.count
        if node == nodes.count { nodes.append(made) } else { nodes[node] = made }
        table[hash, default: []].append(node)
        return node
    }

    /// Adds a reference to a node; none to the root.
    mutating func retain(_ node: Int) {
        if node != Self.root { nodes[node].references += 1 }
    }

    /// Drops a reference; nodes that nothing refers to any more go, up the chain.
    mutating func release(_ node: Int) {
        var node = node
        while node != Self.root {
            nodes[node].references -= 1
            guard nodes[node].references == 0 else { return }
            let hash = nodes[node].hash
            table[hash]?.removeAll { $0 == node }
            if table[hash]?.isEmpty == true { table[hash] = nil }
            nodes[node].tokens = []
            unused.append(node)
            node = nodes[node].parent
        }
    }

    /// Lets a page hold the keys of a node, unless another does.
    mutating func store(_ page: Int, for node: Int) {
        guard nodes[node].page == nil else { return }
        nodes[node].page = page
        nodes[node].references += 1
        nodeOfPage[page] = node
    }

    /// Forgets what a page holds.
    mutating func forget(_ page: Int) {
        guard let node = nodeOfPage.removeValue(forKey: page) else { return }
        nodes[node].page = nil
        release(node)
    }

    private func find(_ hash: UInt64, _ parent: Int, _ salt: String, _ tokens: ArraySlice<Int>) -> Int? {
        table[hash]?.first { node in
            nodes[node].parent == parent && (parent != Self.root || nodes[node].salt == salt)
                && nodes[node].tokens.elementsEqual(tokens)
        }
    }

    private func hash(after parent: Int, salt: String, _ tokens: ArraySlice<Int>) -> UInt64 {
        var hash: UInt64 = 0
        if parent == Self.root {
            for byte in salt.utf8 { hash = CounterRandom.value(seed: hash, index: UInt64(byte)) }
        } else {
            hash = nodes[parent].hash
        }
        for token in tokens { hash = CounterRandom.value(seed: hash, index: UInt64(bitPattern: Int64(token))) }
        return hash & hashMask
    }
}
