import TensorCore

/// Where the keys and values of a batch lie when they are kept in pages (PagedAttention, Kwon et al., 2023).
///
/// Keys are `[pages, pageSize, kvHeads, headDim]` and values `[pages, pageSize, kvHeads, valueDim]`. Key `i` of sequence `s`
/// lies in row `i % pageSize` of page `blockTables[s][i / pageSize]`. Pages may stand anywhere, in any order, and in several
/// tables at once: sequences that share pages have them read once.
public struct PagedKeys: Sendable, Hashable {
    /// Keys of a page.
    public let pageSize: Int
    /// The pages of each sequence, in the order of its keys; ``absentPage`` where no query sees a key.
    public let blockTables: [[Int]]
    /// Keys of each sequence.
    public let keyLengths: [Int]
    /// The first query row of each sequence, and behind the last the number of rows.
    ///
    /// Queries are then `[1, rows, heads, headDim]`, sequences one behind the other; `nil` for queries
    /// `[sequences, queryLength, heads, headDim]`.
    public let queryStarts: [Int]?
    /// The slot of every key: page · pageSize + row.
    ///
    /// Slots of absent pages are 0.
    package let slots: SlotTable

    /// The entry of a page that has been given back because a window hides it from every query.
    public static let absentPage = -1

    /// Block tables.
    ///
    /// Cost: O(keys).
    /// - Throws: ``AttentionError`` when tables and lengths do not fit each other.
    public init(
        pageSize: Int, blockTables: [[Int]], keyLengths: [Int], queryStarts: [Int]? = nil
    ) throws(AttentionError) {
        guard pageSize > 0 else {
            throw .invalidValue(operand: "page_size", expected: "at least 1", actual: "\(pageSize)")
        }
        guard keyLengths.count == blockTables.count else {
            throw .invalidShape(
                operand: "key_lengths", expected: "[\(blockTables.count)], one for each block table",
                actual: [keyLengths.count])
        }
        for (sequence, length) in keyLengths.enumerated() {
            guard length >= 0 else {
                throw .invalidValue(operand: "key_lengths", expected: "lengths from 0 up", actual: "\(length)")
            }
            let needed = (length + pageSize - 1) / pageSize
            guard blockTables[sequence].count >= needed else {
                throw .invalidShape(
                    operand: "block_table of sequence \(sequence)",
                    expected: "at least \(needed) pages of \(pageSize) for \(length) keys",
                    actual: [blockTables[sequence].count])
            }
        }
        if let queryStarts {
            let isAscending = zip(queryStarts, queryStarts.dropFirst()).allSatisfy { $0 <= $1 }
            guard queryStarts.count == blockTables.count + 1, queryStarts.first == 0, isAscending else {
                throw .invalidValue(
                    operand: "query_starts", expected: "\(blockTables.count + 1) ascending rows from 0",
                    actual: "\(queryStarts)")
            }
        }
        self.pageSize = pageSize
        self.blockTables = blockTables
        self.keyLengths = keyLengths
        self.queryStarts = queryStarts
        slots = SlotTable(pageSize: pageSize, blockTables: blockTables, keyLengths: keyLengths)
    }

    /// Sequences.
    public var sequences: Int { blockTables.count }

    /// Query rows of each sequence, where they are one behind the other.
    var queryLengths: [Int]? {
        queryStarts.map { starts in zip(starts.dropFirst(), starts).map { $0 - $1 } }
    }

    /// Checks the pages that keys lie in.
    /// - Throws: ``AttentionError/invalidValue(operand:expected:actual:)`` for a page that does not exist.
    func check(pages: Int) throws(AttentionError) {
        for (sequence, length) in keyLengths.enumerated() {
            for page in blockTables[sequence].prefix((length + pageSize - 1) / pageSize)
            where page != Self.absentPage && !(0..<pages).contains(page) {
                throw .invalidValue(
                    operand: "block_table of sequence \(sequence)",
                    expected: "pages from 0 to \(pages - 1), or \(Self.absentPage) for one that no query sees",
                    actual: "\(page)")
            }
        }
    }

    /// Refuses tables without a page that some query sees.
    /// - Throws: ``AttentionError/invalidValue(operand:expected:actual:)``.
    func check(seenBy problem: AttentionProblem) throws(AttentionError) {
        for sequence in 0..<sequences where blockTables[sequence].contains(Self.absentPage) {
            let geometry = problem.geometry(sequence)
            let seen = problem.options.mask.hull(queries: 0..<geometry.queryLength, geometry)
            guard !seen.isEmpty else { continue }
            let needed = seen.lowerBound / pageSize..<(seen.upperBound + pageSize - 1) / pageSize
            guard let absent = needed.first(where: { blockTables[sequence][$0] == Self.absentPage }) else { continue }
            throw .invalidValue(
                operand: "block_table of sequence \(sequence)",
                expected: "a page for keys from \(absent * pageSize) on, which queries see",
                actual: "\(Self.absentPage)")
        }
    }

    /// Whether two sequences find the keys of a range in the same pages.
    package func share(_ left: Int, _ right: Int, keys: Range<Int>) -> Bool {
        let pages = keys.lowerBound / pageSize..<(keys.upperBound + pageSize - 1) / pageSize
        return blockTables[left][pages].elementsEqual(blockTables[right][pages])
    }

    /// Whether two values say the same; slots follow from the rest.
    public static func == (left: PagedKeys, right: PagedKeys) -> Bool {
        left.pageSize == right.pageSize && left.blockTables == right.blockTables && left.keyLengths == right.keyLengths
            && left.queryStarts == right.queryStarts
    }

    /// Feeds what ``==(_:_:)`` compares.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(pageSize)
        hasher.combine(blockTables)
        hasher.combine(keyLengths)
        hasher.combine(queryStarts)
    }
}

/// The slots of all keys of a batch, in memory that kernels read.
package final class SlotTable: @unchecked Sendable {
    private let base: UnsafeMutablePointer<Int32>
    private let starts: [Int]

    init(pageSize: Int, blockTables: [[Int]], keyLengths: [Int]) {
        var starts: [Int] = []
        var total = 0
        for length in keyLengths {
            starts.append(total)
            total += length
        }
        self.starts = starts
        base = .allocate(capacity: max(1, total))
        for (sequence, length) in keyLengths.enumerated() {
            let target = base + starts[sequence]
            for (index, page) in blockTables[sequence].enumerated() where index * pageSize < length {
                let first = page < 0 ? 0 : page * pageSize
                for key in index * pageSize..<min(length, (index + 1) * pageSize) {
                    target[key] = page < 0 ? 0 : Int32(truncatingIfNeeded: first + key - index * pageSize)
                }
            }
        }
    }

    deinit { base.deallocate() }

    /// The slots of a sequence from one key on; valid while the table is alive.
    package func pointer(_ sequence: Int, key: Int) -> UnsafePointer<Int32> {
        UnsafePointer(base + starts[sequence] + key)
    }
}
