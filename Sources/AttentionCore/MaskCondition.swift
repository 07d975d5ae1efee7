/// Whether a query sees a key, as an expression over places: evaluated for single cells and, over intervals, for whole
/// tiles, so that tiles that are empty or full are skipped or taken without a look at their cells.
public indirect enum MaskCondition: Sendable, Hashable {
    /// Whether the left number is below the right one.
    case less(MaskNumber, MaskNumber)
    /// Whether both numbers are the same.
    case equal(MaskNumber, MaskNumber)
    /// Both.
    case and(MaskCondition, MaskCondition)
    /// One or both.
    case or(MaskCondition, MaskCondition)
    /// The opposite.
    case not(MaskCondition)

    /// Both.
    public static func .& (left: MaskCondition, right: MaskCondition) -> MaskCondition { .and(left, right) }
    /// One or both.
    public static func .| (left: MaskCondition, right: MaskCondition) -> MaskCondition { .or(left, right) }
    /// The opposite.
    public static prefix func .! (condition: MaskCondition) -> MaskCondition { .not(condition) }

    /// What a tile holds: empty and full are certain, partial means that intervals do not decide.
    ///
    /// For a single cell the answer is never partial.
    func coverage(_ tile: MaskTile) -> TileCoverage {
        switch self {
        case .less(let left, let right):
            let (a, b) = (left.range(tile), right.range(tile))
            return a.upperBound < b.lowerBound ? .full : a.lowerBound >= b.upperBound ? .empty : .partial
        case .equal(let left, let right):
            let (a, b) = (left.range(tile), right.range(tile))
            if !a.overlaps(b) { return .empty }
            return a.lowerBound == a.upperBound && a == b ? .full : .partial
        case .and(let left, let right):
            let first = left.coverage(tile)
            if first == .empty { return .empty }
            let second = right.coverage(tile)
            return second == .empty ? .empty : first == .full ? second : .partial
        case .or(let left, let right):
            let first = left.coverage(tile)
            if first == .full { return .full }
            let second = right.coverage(tile)
            return second == .full ? .full : first == .empty ? second : .partial
        case .not(let condition):
            switch condition.coverage(tile) {
            case .empty: return .full
            case .full: return .empty
            case .partial: return .partial
            }
        }
    }
}

/// The places that an expression is evaluated over.
struct MaskTile {
    let queries: ClosedRange<Int>
    let keys: ClosedRange<Int>
    let geometry: MaskGeometry
}

extension MaskFunction {
    /// A mask by an expression that is written once and evaluated over intervals.
    ///
    ///     MaskFunction("dilated", where: (.key .<= .query) .& ((.query - .key) % 4 .== 0))
    ///
    /// Whole tiles that the expression decides are skipped or taken; the others are evaluated cell by cell.
    /// - Parameter name: what identifies the function; put its parameters into it.
    public init(_ name: String, where condition: MaskCondition) {
        self.init(
            name,
            classify: { queries, keys, geometry in
                if queries.isEmpty || keys.isEmpty { return .empty }
                return condition.coverage(
                    MaskTile(
                        queries: queries.lowerBound...queries.upperBound - 1,
                        keys: keys.lowerBound...keys.upperBound - 1,
                        geometry: geometry))
            }
        ) { query, key, geometry in
            condition.coverage(MaskTile(queries: query...query, keys: key...key, geometry: geometry)) == .full
        }
    }
}
