/// Which queries of each head something reaches: a Bool for each head, row and column.
public struct ProbeGrid: Sendable, Hashable {
    /// Query heads.
    public let heads: Int
    /// Queries.
    public let rows: Int
    /// Keys, or queries where queries are perturbed.
    public let columns: Int
    private var cells: [Bool]

    /// A grid of one value.
    public init(heads: Int, rows: Int, columns: Int, filledWith value: Bool = false) {
        self.heads = heads
        self.rows = rows
        self.columns = columns
        cells = [Bool](repeating: value, count: heads * rows * columns)
    }

    /// One cell.
    public subscript(head: Int, row: Int, column: Int) -> Bool {
        get { cells[(head * rows + row) * columns + column] }
        set { cells[(head * rows + row) * columns + column] = newValue }
    }

    /// Cells that are true.
    ///
    /// Cost: O(cells).
    public var count: Int { cells.count { $0 } }

    /// The true part of all cells; 0 without cells.
    public var density: Double { cells.isEmpty ? 0 : Double(count) / Double(cells.count) }

    /// The cells that are true in either grid of one shape.
    public func union(_ other: ProbeGrid) -> ProbeGrid {
        var result = self
        for index in result.cells.indices where other.cells[index] { result.cells[index] = true }
        return result
    }

    /// The cells that are true here and not in a grid of the same shape.
    public func subtracting(_ other: ProbeGrid) -> ProbeGrid {
        var result = self
        for index in result.cells.indices where other.cells[index] { result.cells[index] = false }
        return result
    }

    /// Whether every head has the same cells.
    public var headsAgree: Bool {
        let plane = rows * columns
        return (1..<max(1, heads)).allSatisfy { head in
            (0..<plane).allSatisfy { cells[head * plane + $0] == cells[$0] }
        }
    }

    /// The true part of the cells of a rectangle, over all heads.
    func part(rows: Range<Int>, columns: Range<Int>) -> Double {
        var found = 0
        for head in 0..<heads {
            for row in rows {
                for column in columns where self[head, row, column] { found += 1 }
            }
        }
        let total = heads * rows.count * columns.count
        return total == 0 ? 0 : Double(found) / Double(total)
    }

    /// One head as text: a line of 0 and 1 for each row.
    public func lines(head: Int) -> [String] {
        (0..<rows).map { row in String((0..<columns).map { self[head, row, $0] ? "1" : "0" }) }
    }
}

extension ProbeGrid: Encodable {
    private enum CodingKeys: String, CodingKey {
        case heads, rows, columns, count, planes
    }

    /// Encodes a list of text lines for each head; one list when all heads agree.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(heads, forKey: .heads)
        try container.encode(rows, forKey: .rows)
        try container.encode(columns, forKey: .columns)
        try container.encode(count, forKey: .count)
        let planes = (0..<(headsAgree ? min(1, heads) : heads)).map { lines(head: $0) }
        try container.encode(planes, forKey: .planes)
    }
}
