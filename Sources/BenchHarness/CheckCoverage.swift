public import AttentionCore
import TensorCore

/// Which heads and rows of a problem are compared with the reference.
///
/// The reference materialises the scores of a head, so that a check of everything at length 4096 would take longer than
/// the measurement. Heads are computed alike: whole rows of a few heads, the last among them (where mistakes of
/// grouping show), meet every tile. Of longer sequences a few blocks of rows are taken: a block of rows is a problem of
/// its own, whose bottom-right corner lies where the block ends.
public struct CheckCoverage: Sendable, Hashable {
    /// Heads that are compared.
    public let heads: [Int]
    /// Rows that are compared.
    public let rows: [Range<Int>]
    /// Heads there are.
    public let totalHeads: Int
    /// Rows there are.
    public let totalRows: Int
    private let keyLength: Int
    private let group: Int
    /// Whether rows see no key past their place, so that a block of rows needs none past its end.
    private let endsAtPlace: Bool

    /// Scores one check may compute in each precision: about half a second.
    private static let scoreBudget = 16 << 20
    /// Rows of a block: more than a tile of any operator.
    private static let blockRows = 192

    /// Every head and row.
    public init(all problem: AttentionProblem) {
        self.init(problem, heads: Array(0..<problem.heads), rows: [0..<problem.queryLength], endsAtPlace: false)
    }

    /// As many heads and rows as a second allows.
    public init(sampling problem: AttentionProblem) {
        let perHead = max(1, problem.batch * problem.queryLength * problem.keyLength)
        let endsAtPlace = Self.endsAtPlace(problem)
        let mayCutRows = endsAtPlace || problem.options.mask == .full
        let isPadded = problem.queryLengths != nil || problem.keyLengths != nil
        if perHead > Self.scoreBudget, mayCutRows, !isPadded, problem.queryLength > 3 * Self.blockRows {
            let middle = problem.queryLength / 2
            self.init(
                problem, heads: [problem.heads - 1],
                rows: [
                    0..<Self.blockRows, middle..<middle + Self.blockRows,
                    problem.queryLength - Self.blockRows..<problem.queryLength,
                ], endsAtPlace: endsAtPlace)
            return
        }
        let count = min(problem.heads, max(1, Self.scoreBudget / 2 / perHead))
        let heads =
            count == 1
            ? [problem.heads - 1] : (0..<count).map { $0 * (problem.heads - 1) / (count - 1) }
        self.init(problem, heads: heads, rows: [0..<problem.queryLength], endsAtPlace: false)
    }

    private init(_ problem: AttentionProblem, heads: [Int], rows: [Range<Int>], endsAtPlace: Bool) {
        self.heads = heads
        self.rows = rows
        self.endsAtPlace = endsAtPlace
        totalHeads = problem.heads
        totalRows = problem.queryLength
        keyLength = problem.keyLength
        group = max(1, problem.group)
    }

    /// Whether nothing is left out.
    public var isComplete: Bool { heads.count == totalHeads && rows == [0..<totalRows] }

    /// The operands of one head's rows.
    /// - Throws: ``AttentionCore/AttentionError/tensor(operand:reason:)``.
    func slice(_ inputs: AttentionInputs, head: Int, rows: Range<Int>) throws(AttentionError) -> AttentionInputs {
        let keyEnd = endsAtPlace ? rows.upperBound + keyLength - totalRows : keyLength
        let kvHead = head / group
        let scores = Shape([inputs.query.shape[0], totalHeads, totalRows, keyLength])
        do throws(TensorError) {
            func modifier(_ tensor: Tensor?) throws(TensorError) -> Tensor? {
                try tensor?.broadcast(to: scores).sliced(1, head..<head + 1).sliced(2, rows).sliced(3, 0..<keyEnd)
            }
            return AttentionInputs(
                query: try inputs.query.sliced(2, head..<head + 1).sliced(1, rows),
                key: try inputs.key.sliced(2, kvHead..<kvHead + 1).sliced(1, 0..<keyEnd),
                value: try inputs.value.sliced(2, kvHead..<kvHead + 1).sliced(1, 0..<keyEnd),
                bias: try modifier(inputs.bias), mask: try modifier(inputs.mask), queryLengths: inputs.queryLengths,
                keyLengths: inputs.keyLengths, alibiSlopes: inputs.alibiSlopes.map { [$0[head]] },
                sinks: inputs.sinks.map { [$0[head]] })
        } catch {
            throw .tensor(operand: "query, key or value", reason: error.description)
        }
    }

    /// Masks placed at the bottom-right corner that let no row see past its place, with no fewer keys than queries.
    private static func endsAtPlace(_ problem: AttentionProblem) -> Bool {
        guard problem.keyLength >= problem.queryLength, isBottomRight(problem.options.mask) else { return false }
        let geometry = problem.geometry(0)
        guard let high = problem.options.mask.band(geometry)?.high else { return false }
        return high <= geometry.diagonal(.bottomRight)
    }

    private static func isBottomRight(_ mask: AttentionMask) -> Bool {
        switch mask {
        case .full, .causal(.bottomRight), .window(_, _, .bottomRight): true
        case .and(let parts): parts.allSatisfy(isBottomRight)
        default: false
        }
    }
}

extension CheckCoverage: CustomStringConvertible {
    /// For example `1 of 8 heads, 576 of 8192 rows`.
    public var description: String {
        if isComplete { return "everything" }
        let compared = rows.reduce(0) { $0 + $1.count }
        let rowText = compared == totalRows ? "all rows" : "\(compared) of \(totalRows) rows"
        return "\(heads.count) of \(totalHeads) \(totalHeads == 1 ? "head" : "heads"), \(rowText)"
    }
}
