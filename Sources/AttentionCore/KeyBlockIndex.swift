/// Which key blocks each block of queries sees under a mask: what sparse execution, forward and backward, walks along.
///
/// A conjunction with a block layout of the same block size lists that layout's rows and asks the other parts about the
/// kept blocks alone, so cost grows with what is kept. The layout is then settled, and ``rest`` is what remains to be
/// applied inside the listed blocks.
public struct KeyBlockIndex: Sendable, Hashable {
    /// Positions of a block along each side.
    public let blockSize: Int
    /// What remains of the mask inside listed blocks.
    public let rest: AttentionMask
    private let layout: BlockLayout?

    /// The blocks of a mask.
    public init(_ mask: AttentionMask, blockSize: Int) {
        self.blockSize = blockSize
        var layout: BlockLayout?
        var others: [AttentionMask] = []
        for part in mask.conjuncts {
            if layout == nil, case .blocks(let candidate) = part, candidate.blockSize == blockSize {
                layout = candidate
            } else {
                others.append(part)
            }
        }
        self.layout = layout
        rest = others.isEmpty ? .full : others.count == 1 ? others[0] : .and(others)
    }

    /// Bytes of the layout that is walked along.
    package var layoutBytes: Int { layout?.byteCount ?? 0 }

    /// The key blocks that queries of one block see, ascending.
    ///
    /// A listed block may be empty where the mask's intervals do not decide; one that is not listed is empty.
    ///
    /// Cost: O(kept blocks of the row · size of the other parts).
    /// - Parameter queries: queries of one block of ``blockSize``.
    public func keyBlocks(queries: Range<Int>, _ geometry: MaskGeometry) -> [Int] {
        let rows = queries.clamped(to: 0..<geometry.queryLength)
        if rows.isEmpty { return [] }
        let hull = rest.hull(queries: rows, geometry)
        if hull.isEmpty { return [] }
        let within = hull.lowerBound / blockSize..<(hull.upperBound - 1) / blockSize + 1
        let candidates =
            layout?.keptKeyBlocks(head: geometry.head, queryBlock: rows.lowerBound / blockSize)
            .filter(within.contains) ?? Array(within)
        if rest == .full { return candidates }
        return candidates.filter { block in
            rest.classify(queries: rows, keys: keys(of: block, geometry), geometry) != .empty
        }
    }

    /// The keys of a block.
    public func keys(of block: Int, _ geometry: MaskGeometry) -> Range<Int> {
        block * blockSize..<min((block + 1) * blockSize, geometry.keyLength)
    }

    /// The part of all blocks that is listed, for one sequence and all of its heads, from 0 to 1.
    ///
    /// Cost: as ``keyBlocks(queries:_:)`` for each block of queries and head.
    public func density(_ geometry: MaskGeometry, heads: Int) -> Double {
        let planes = (layout?.heads ?? 1) > 1 || rest.dependsOnHead ? heads : 1
        let rows = (geometry.queryLength + blockSize - 1) / blockSize
        let columns = (geometry.keyLength + blockSize - 1) / blockSize
        if planes * rows * columns == 0 { return 0 }
        var listed = 0
        for head in 0..<planes {
            for row in 0..<rows {
                listed += keyBlocks(queries: row * blockSize..<(row + 1) * blockSize, geometry.seen(by: head)).count
            }
        }
        return Double(listed) / Double(planes * rows * columns)
    }
}

extension AttentionMask {
    /// Bytes of the block layouts in a conjunction.
    package var layoutBytes: Int {
        conjuncts.reduce(0) { total, part in
            if case .blocks(let layout) = part { return total + layout.byteCount }
            return total
        }
    }

    /// The parts that must all allow a pair, nested conjunctions taken apart.
    public var conjuncts: [AttentionMask] {
        switch self {
        case .full: []
        case .and(let parts): parts.flatMap(\.conjuncts)
        default: [self]
        }
    }
}
