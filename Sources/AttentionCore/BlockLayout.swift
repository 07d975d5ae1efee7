/// Which blocks of the score matrix are kept: query block `i` of a head sees key block `j`, or not.
///
/// Blocks are square; block `i` holds positions `i · blockSize` up to the next block, and the last one may be cut by the
/// sequence's end. Positions beyond the layout see nothing and are seen by nobody.
public struct BlockLayout: Sendable, Hashable {
    /// Positions of a block along each side.
    public let blockSize: Int
    /// 1 for a layout that all heads share, else the number of query heads.
    public let heads: Int
    /// Blocks of queries.
    public let queryBlocks: Int
    /// Blocks of keys.
    public let keyBlocks: Int
    /// Kept blocks, `[heads, queryBlocks, keyBlocks]` row-major.
    public let cells: [Bool]

    /// A literal layout.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)``.
    public init(
        blockSize: Int, heads: Int = 1, queryBlocks: Int, keyBlocks: Int, cells: [Bool]
    ) throws(AttentionError) {
        guard blockSize >= 1 else {
            throw .invalidOption(name: "blockSize", expected: "1 or more", actual: "\(blockSize)")
        }
        guard heads >= 1, queryBlocks >= 0, keyBlocks >= 0, cells.count == heads * queryBlocks * keyBlocks else {
            throw .invalidOption(
                name: "layout", expected: "[\(heads), \(queryBlocks), \(keyBlocks)] cells", actual: "\(cells.count)")
        }
        self.blockSize = blockSize
        self.heads = heads
        self.queryBlocks = queryBlocks
        self.keyBlocks = keyBlocks
        self.cells = cells
    }

    /// Whether a block is kept.
    public func keeps(head: Int, queryBlock: Int, keyBlock: Int) -> Bool {
        guard queryBlock < queryBlocks, keyBlock < keyBlocks else { return false }
        let plane = heads == 1 ? 0 : head
        return plane < heads && cells[(plane * queryBlocks + queryBlock) * keyBlocks + keyBlock]
    }

    /// The part of all blocks that is kept, from 0 to 1.
    public var density: Double {
        cells.isEmpty ? 0 : Double(cells.lazy.filter { $0 }.count) / Double(cells.count)
    }

    func allows(query: Int, key: Int, head: Int) -> Bool {
        keeps(head: head, queryBlock: query / blockSize, keyBlock: key / blockSize)
    }

    /// Key blocks from the first to the last that some query block of a range keeps.
    func hull(queries: Range<Int>, _ geometry: MaskGeometry) -> Range<Int> {
        var first = keyBlocks
        var end = 0
        for row in blocks(queries) {
            for column in 0..<keyBlocks where keeps(head: geometry.head, queryBlock: row, keyBlock: column) {
                first = min(first, column)
                end = max(end, column + 1)
            }
        }
        let keys = first * blockSize..<max(first, end) * blockSize
        return keys.clamped(to: 0..<geometry.keyLength)
    }

    func span(query: Int, _ geometry: MaskGeometry) -> Range<Int>? {
        let row = query / blockSize
        let kept = (0..<keyBlocks).filter { keeps(head: geometry.head, queryBlock: row, keyBlock: $0) }
        guard let first = kept.first, let last = kept.last else { return 0..<0 }
        guard last - first + 1 == kept.count else { return nil }
        return (first * blockSize..<(last + 1) * blockSize).clamped(to: 0..<geometry.keyLength)
    }

    func classify(queries: Range<Int>, keys: Range<Int>, _ geometry: MaskGeometry) -> TileCoverage {
        var kept = 0
        var total = 0
        for row in blocks(queries) {
            for column in blocks(keys) {
                total += 1
                if keeps(head: geometry.head, queryBlock: row, keyBlock: column) { kept += 1 }
            }
        }
        return kept == 0 ? .empty : kept == total ? .full : .partial
    }

    private func blocks(_ positions: Range<Int>) -> Range<Int> {
        positions.isEmpty ? 0..<0 : positions.lowerBound / blockSize..<(positions.upperBound - 1) / blockSize + 1
    }
}
