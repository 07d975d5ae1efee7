/// A tree of guesses behind a context, for speculative decoding (Miao et al., SpecInfer, 2023, section 4.2).
///
/// The last keys are the nodes of the tree, in an order in which parents precede their children. The last queries are the
/// same nodes. A node sees every key before the tree, its ancestors and itself; queries before the tree see the keys up to
/// their own place, as in a causal mask.
public struct TreeMask: Sendable, Hashable {
    /// The parent of each node; -1 for a node that hangs on the context.
    public let parents: [Int]

    /// A tree by the parents of its nodes.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)`` when a parent does not precede its child.
    public init(parents: [Int]) throws(AttentionError) {
        for (node, parent) in parents.enumerated() where parent < -1 || parent >= node {
            throw .invalidOption(
                name: "tree", expected: "parents that precede their nodes, -1 for a root",
                actual: "\(parent) for node \(node)")
        }
        self.parents = parents
    }

    /// Cost: O(depth of the tree).
    func allows(query: Int, key: Int, _ geometry: MaskGeometry) -> Bool {
        let place = query + geometry.diagonal(.bottomRight)
        let context = geometry.keyLength - parents.count
        if key < context || place < context { return key <= place }
        var node = place - context
        while node >= 0 {
            if node == key - context { return true }
            node = node < parents.count ? parents[node] : -1
        }
        return false
    }

    func hull(queries: Range<Int>, _ geometry: MaskGeometry) -> Range<Int> {
        let last = queries.upperBound - 1 + geometry.diagonal(.bottomRight)
        return 0..<max(0, min(geometry.keyLength, last + 1))
    }

    /// A row's keys are one range when its ancestors are the nodes before it, one by one.
    func span(query: Int, _ geometry: MaskGeometry) -> Range<Int>? {
        let place = query + geometry.diagonal(.bottomRight)
        let context = max(0, geometry.keyLength - parents.count)
        guard place >= context, place - (geometry.keyLength - parents.count) < parents.count else {
            return 0..<max(0, min(geometry.keyLength, place + 1))
        }
        let isChain = (0..<max(0, place - context + 1)).allSatisfy { parents[$0] == $0 - 1 }
        return isChain ? 0..<min(geometry.keyLength, place + 1) : nil
    }

    func classify(queries: Range<Int>, keys: Range<Int>, _ geometry: MaskGeometry) -> TileCoverage {
        let diagonal = geometry.diagonal(.bottomRight)
        let context = geometry.keyLength - parents.count
        let last = queries.upperBound - 1 + diagonal
        if keys.lowerBound > last { return .empty }
        let causal = keys.upperBound - 1 <= queries.lowerBound + diagonal
        return causal && keys.upperBound <= context ? .full : .partial
    }
}
