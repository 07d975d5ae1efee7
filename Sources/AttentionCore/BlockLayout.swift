/// Which blocks of the score matrix are kept: query block `i` of a head sees key block `j`, or not.
///
/// Blocks are square; block `i` holds positions `i · blockSize` up to the next block, and the last one may be cut by the
/// sequence's end. Positions beyond the layout see nothing and are seen by nobody. Kept blocks are stored as one sorted
/// list for each row of blocks, so that memory and every question grow with what is kept.
public struct BlockLayout: Sendable, Hashable {
    /// Positions of a block along each side.
    public let blockSize: Int
    /// 1 for a layout that all heads share, else the number of query heads.
    public let heads: Int
    /// Blocks of queries.
    public let queryBlocks: Int
    /// Blocks of keys.
    public let keyBlocks: Int
    /// Where each row's list begins in ``columns``, `[heads · queryBlocks + 1]`.
    private let starts: [Int]
    /// Kept key blocks of each row, ascending.
    private let columns: [Int32]

    /// A literal layout: kept blocks, `[heads, queryBlocks, keyBlocks]` row-major.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)``.
    public init(
        blockSize: Int, heads: Int = 1, queryBlocks: Int, keyBlocks: Int, cells: [Bool]
    ) throws(AttentionError) {
        guard heads >= 1, queryBlocks >= 0, keyBlocks >= 0, cells.count == heads * queryBlocks * keyBlocks else {
            throw .invalidOption(
                name: "layout", expected: "[\(heads), \(queryBlocks), \(keyBlocks)] cells", actual: "\(cells.count)")
        }
        try self.init(blockSize: blockSize, heads: heads, queryBlocks: queryBlocks, keyBlocks: keyBlocks) {
            head, row in
            let first = (head * queryBlocks + row) * keyBlocks
            return (0..<keyBlocks).filter { cells[first + $0] }
        }
    }

    /// A layout row by row.
    ///
    /// Cost: O(kept blocks) and one call for each row of each head.
    /// - Parameter row: the kept key blocks of a query block of a head, ascending.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)``.
    public init(
        blockSize: Int, heads: Int = 1, queryBlocks: Int, keyBlocks: Int,
        row: (_ head: Int, _ queryBlock: Int) -> [Int]
    ) throws(AttentionError) {
        guard blockSize >= 1 else {
            throw .invalidOption(name: "blockSize", expected: "1 or more", actual: "\(blockSize)")
        }
        guard heads >= 1, queryBlocks >= 0, keyBlocks >= 0 else {
            throw .invalidOption(
                name: "layout", expected: "one head or more and no negative number of blocks",
                actual: "[\(heads), \(queryBlocks), \(keyBlocks)]")
        }
        var starts = [0]
        starts.reserveCapacity(heads * queryBlocks + 1)
        var columns: [Int32] = []
        for head in 0..<heads {
            for queryBlock in 0..<queryBlocks {
                var last = -1
                for column in row(head, queryBlock) {
                    guard column > last, column < keyBlocks else {
                        throw .invalidOption(
                            name: "layout", expected: "ascending key blocks below \(keyBlocks)", actual: "\(column)")
                    }
                    columns.append(Int32(column))
                    last = column
                }
                starts.append(columns.count)
            }
        }
        self.blockSize = blockSize
        self.heads = heads
        self.queryBlocks = queryBlocks
        self.keyBlocks = keyBlocks
        self.starts = starts
        self.columns = columns
    }

    /// Bytes of the lists.
    package var byteCount: Int {
        starts.capacity * MemoryLayout<Int>.stride + columns.capacity * MemoryLayout<Int32>.stride
    }

    /// Kept blocks, `[heads, queryBlocks, keyBlocks]` row-major.
    ///
    /// Cost: O(all blocks).
    public var cells: [Bool] {
        var result = [Bool](repeating: false, count: heads * queryBlocks * keyBlocks)
        for row in 0..<heads * queryBlocks {
            for column in columns[starts[row]..<starts[row + 1]] { result[row * keyBlocks + Int(column)] = true }
        }
        return result
    }

    /// The key blocks that a query block keeps, ascending.
    ///
    /// Cost: O(kept blocks of the row).
    public func keptKeyBlocks(head: Int, queryBlock: Int) -> [Int] {
        columns[list(head: head, queryBlock: queryBlock)].map(Int.init)
    }

    /// Whether a block is kept.
    ///
    /// Cost: O(log of the row's kept blocks).
    public func keeps(head: Int, queryBlock: Int, keyBlock: Int) -> Bool {
        guard keyBlock < keyBlocks else { return false }
        let list = list(head: head, queryBlock: queryBlock)
        let place = place(of: keyBlock, in: list)
        return place < list.upperBound && columns[place] == Int32(keyBlock)
    }

    /// The part of all blocks that is kept, from 0 to 1.
    public var density: Double {
        let count = heads * queryBlocks * keyBlocks
        return count == 0 ? 0 : Double(columns.count) / Double(count)
    }

    func allows(query: Int, key: Int, head: Int) -> Bool {
        keeps(head: head, queryBlock: query / blockSize, keyBlock: key / blockSize)
    }

    /// Keys from the first to the last block that some query block of a range keeps.
    ///
    /// Cost: O(query blocks of the range).
    func hull(queries: Range<Int>, _ geometry: MaskGeometry) -> Range<Int> {
        var blocks = 0..<0
        for row in self.blocks(queries) {
            let list = list(head: geometry.head, queryBlock: row)
            if list.isEmpty { continue }
            blocks = blocks.hull(Int(columns[list.lowerBound])..<Int(columns[list.upperBound - 1]) + 1)
        }
        return keys(blocks, geometry)
    }

    /// Cost: O(1).
    func span(query: Int, _ geometry: MaskGeometry) -> Range<Int>? {
        let list = list(head: geometry.head, queryBlock: query / blockSize)
        if list.isEmpty { return 0..<0 }
        let blocks = Int(columns[list.lowerBound])..<Int(columns[list.upperBound - 1]) + 1
        return blocks.count == list.count ? keys(blocks, geometry) : nil
    }

    /// Cost: O(query blocks of the range · log of a row's kept blocks).
    func classify(queries: Range<Int>, keys: Range<Int>, _ geometry: MaskGeometry) -> TileCoverage {
        let rows = blocks(queries)
        let wanted = blocks(keys)
        let kept = rows.reduce(0) { total, row in
            let list = list(head: geometry.head, queryBlock: row)
            return total + place(of: wanted.upperBound, in: list) - place(of: wanted.lowerBound, in: list)
        }
        return kept == 0 ? .empty : kept == rows.count * wanted.count ? .full : .partial
    }

    /// Where a row's list lies in ``columns``.
    private func list(head: Int, queryBlock: Int) -> Range<Int> {
        let plane = heads == 1 ? 0 : head
        guard plane < heads, queryBlock < queryBlocks else { return 0..<0 }
        let row = plane * queryBlocks + queryBlock
        return starts[row]..<starts[row + 1]
    }

    /// The first place of a list whose block is not before a block.
    private func place(of block: Int, in list: Range<Int>) -> Int {
        var low = list.lowerBound
        var high = list.upperBound
        while low < high {
            let middle = (low + high) / 2
            if Int(columns[middle]) < block { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func keys(_ blocks: Range<Int>, _ geometry: MaskGeometry) -> Range<Int> {
        let keys = (blocks.lowerBound * blockSize..<blocks.upperBound * blockSize).clamped(to: 0..<geometry.keyLength)
        return keys.isEmpty ? 0..<0 : keys
    }

    private func blocks(_ positions: Range<Int>) -> Range<Int> {
        positions.isEmpty ? 0..<0 : positions.lowerBound / blockSize..<(positions.upperBound - 1) / blockSize + 1
    }
}
