/// Kept blocks as they are written in configurations: 0 and 1, `[query blocks][key blocks]` for all heads or one such
/// matrix for each head.
public struct BlockCells: Sendable, Hashable {
    /// 1 for all heads together.
    public let heads: Int
    /// Rows of each matrix.
    public let queryBlocks: Int
    /// Columns of each matrix.
    public let keyBlocks: Int
    /// Kept blocks, `[heads, queryBlocks, keyBlocks]` row-major.
    public let cells: [Bool]

    /// Cells of one matrix for each head.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)`` when rows or matrices differ in extent.
    public init(_ planes: [[[Bool]]]) throws(AttentionError) {
        heads = planes.count
        queryBlocks = planes.first?.count ?? 0
        keyBlocks = planes.first?.first?.count ?? 0
        cells = planes.flatMap { $0.flatMap { $0 } }
        let isEven = planes.allSatisfy { plane in
            plane.count == planes[0].count && plane.allSatisfy { $0.count == planes[0][0].count }
        }
        guard heads > 0, queryBlocks > 0, keyBlocks > 0, isEven else {
            throw .invalidOption(
                name: "layout", expected: "rows of one length and matrices of one extent, none empty",
                actual: "\(heads) matrices of \(planes.map { $0.map(\.count) })")
        }
    }

    /// Reads `[[0, 1], ...]` or `[[[0, 1], ...], ...]`.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)``.
    public init(_ value: ConfigurationValue) throws(AttentionError) {
        guard case .array(let outer) = value, case .array(let inner)? = outer.first, let cell = inner.first else {
            throw Self.failure(value)
        }
        if case .array = cell {
            var planes: [[[Bool]]] = []
            for plane in outer { planes.append(try Self.matrix(plane)) }
            try self.init(planes)
        } else {
            try self.init([Self.matrix(value)])
        }
    }

    private static func matrix(_ value: ConfigurationValue) throws(AttentionError) -> [[Bool]] {
        guard case .array(let rows) = value else { throw failure(value) }
        var result: [[Bool]] = []
        for row in rows {
            guard case .array(let cells) = row else { throw failure(row) }
            var bits: [Bool] = []
            for cell in cells {
                switch cell {
                case .bool(let bit): bits.append(bit)
                case 0: bits.append(false)
                case 1: bits.append(true)
                default: throw failure(cell)
                }
            }
            result.append(bits)
        }
        return result
    }

    private static func failure(_ value: ConfigurationValue) -> AttentionError {
        .invalidOption(
            name: "layout", expected: "rows of 0 and 1, [[...]] for all heads or [[[...]]] for each",
            actual: String(value.jsonText.prefix(80)))
    }

    /// The layout of these cells.
    /// - Throws: ``AttentionError/invalidOption(name:expected:actual:)``.
    public func layout(blockSize: Int) throws(AttentionError) -> BlockLayout {
        try BlockLayout(
            blockSize: blockSize, heads: heads, queryBlocks: queryBlocks, keyBlocks: keyBlocks, cells: cells)
    }

    /// The cells as a configuration value, one matrix for each head.
    public var configuration: ConfigurationValue {
        .array(
            (0..<heads).map { head in
                .array(
                    (0..<queryBlocks).map { row in
                        let first = (head * queryBlocks + row) * keyBlocks
                        return .array(cells[first..<first + keyBlocks].map { .integer($0 ? 1 : 0) })
                    })
            })
    }
}

extension BlockCells: Codable {
    /// Decodes one matrix, or one for each head.
    public init(from decoder: any Decoder) throws { try self.init(ConfigurationValue(from: decoder)) }

    /// Encodes ``configuration``.
    public func encode(to encoder: any Encoder) throws { try configuration.encode(to: encoder) }
}
