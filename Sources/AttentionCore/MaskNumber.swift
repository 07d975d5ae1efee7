/// A whole number that depends on a place in the score matrix: what mask expressions are made of.
///
/// Quotients round down and remainders are never negative, whatever the signs, so that both are periodic.
public indirect enum MaskNumber: Sendable, Hashable, ExpressibleByIntegerLiteral {
    /// The query's place in its sequence.
    case query
    /// The key's place in its sequence.
    case key
    /// The query head.
    case head
    /// The sequence's place in the batch.
    case batch
    /// Queries of the sequence.
    case queryLength
    /// Keys of the sequence.
    case keyLength
    /// A number.
    case constant(Int)
    /// left + right
    case sum(MaskNumber, MaskNumber)
    /// left - right
    case difference(MaskNumber, MaskNumber)
    /// left · right
    case product(MaskNumber, MaskNumber)
    /// left / right, rounded down; 0 where right is 0.
    case quotient(MaskNumber, MaskNumber)
    /// left - right · (left / right); 0 where right is 0.
    case remainder(MaskNumber, MaskNumber)
    /// |number|
    case magnitude(MaskNumber)

    /// A number.
    public init(integerLiteral value: Int) { self = .constant(value) }

    /// The sum.
    public static func + (left: MaskNumber, right: MaskNumber) -> MaskNumber { .sum(left, right) }
    /// The difference.
    public static func - (left: MaskNumber, right: MaskNumber) -> MaskNumber { .difference(left, right) }
    /// The product.
    public static func * (left: MaskNumber, right: MaskNumber) -> MaskNumber { .product(left, right) }
    /// The quotient, rounded down.
    public static func / (left: MaskNumber, right: MaskNumber) -> MaskNumber { .quotient(left, right) }
    /// The remainder, never negative for a positive divisor.
    public static func % (left: MaskNumber, right: MaskNumber) -> MaskNumber { .remainder(left, right) }

    /// Whether left is below right.
    public static func .< (left: MaskNumber, right: MaskNumber) -> MaskCondition { .less(left, right) }
    /// Whether left is at most right.
    public static func .<= (left: MaskNumber, right: MaskNumber) -> MaskCondition { .not(.less(right, left)) }
    /// Whether left is above right.
    public static func .> (left: MaskNumber, right: MaskNumber) -> MaskCondition { .less(right, left) }
    /// Whether left is at least right.
    public static func .>= (left: MaskNumber, right: MaskNumber) -> MaskCondition { .not(.less(left, right)) }
    /// Whether both are the same.
    public static func .== (left: MaskNumber, right: MaskNumber) -> MaskCondition { .equal(left, right) }
    /// Whether they differ.
    public static func .!= (left: MaskNumber, right: MaskNumber) -> MaskCondition { .not(.equal(left, right)) }

    /// The smallest and the largest value over a tile; a single place has both the same.
    func range(_ tile: MaskTile) -> ClosedRange<Int> {
        switch self {
        case .query: return tile.queries
        case .key: return tile.keys
        case .head: return tile.geometry.head...tile.geometry.head
        case .batch: return tile.geometry.batch...tile.geometry.batch
        case .queryLength: return tile.geometry.queryLength...tile.geometry.queryLength
        case .keyLength: return tile.geometry.keyLength...tile.geometry.keyLength
        case .constant(let number): return number...number
        case .sum(let left, let right):
            let (a, b) = (left.range(tile), right.range(tile))
            return Self.saturated(a.lowerBound, b.lowerBound, +)...Self.saturated(a.upperBound, b.upperBound, +)
        case .difference(let left, let right):
            let (a, b) = (left.range(tile), right.range(tile))
            return Self.saturated(a.lowerBound, b.upperBound, -)...Self.saturated(a.upperBound, b.lowerBound, -)
        case .product(let left, let right):
            let (a, b) = (left.range(tile), right.range(tile))
            let corners = [a.lowerBound, a.upperBound].flatMap { x in
                [b.lowerBound, b.upperBound].map { Self.saturated(x, $0, *) }
            }
            return (corners.min() ?? 0)...(corners.max() ?? 0)
        case .quotient(let left, let right): return Self.quotient(left.range(tile), right.range(tile))
        case .remainder(let left, let right): return Self.remainder(left.range(tile), right.range(tile))
        case .magnitude(let number):
            let range = number.range(tile)
            if range.lowerBound >= 0 { return range }
            if range.upperBound <= 0 { return -range.upperBound ... -range.lowerBound }
            return 0...max(-range.lowerBound, range.upperBound)
        }
    }

    /// Numbers are kept this far from overflow, beyond every sequence.
    private static let limit = 1 << 60

    private static func saturated(_ left: Int, _ right: Int, _ operation: (Double, Double) -> Double) -> Int {
        let exact = operation(Double(left), Double(right))
        if exact >= Double(limit) { return limit }
        if exact <= -Double(limit) { return -limit }
        // Beyond 2^53 Double rounds; places and lengths are far below.
        return Int(exact)
    }

    private static func quotient(_ left: ClosedRange<Int>, _ right: ClosedRange<Int>) -> ClosedRange<Int> {
        if right == 0...0 { return 0...0 }
        guard right.lowerBound > 0 || right.upperBound < 0 else {
            // The divisor may be 1, -1 or 0.
            let largest = max(abs(left.lowerBound), abs(left.upperBound))
            return -largest...largest
        }
        let corners = [left.lowerBound, left.upperBound].flatMap { x in
            [right.lowerBound, right.upperBound].map { roundedDown(x, $0) }
        }
        return (corners.min() ?? 0)...(corners.max() ?? 0)
    }

    private static func remainder(_ left: ClosedRange<Int>, _ right: ClosedRange<Int>) -> ClosedRange<Int> {
        guard right.lowerBound == right.upperBound else {
            let largest = max(abs(right.lowerBound), abs(right.upperBound))
            return -largest...largest
        }
        let divisor = right.lowerBound
        if divisor == 0 { return 0...0 }
        let first = roundedDown(left.lowerBound, divisor)
        if first == roundedDown(left.upperBound, divisor) {
            let (a, b) = (left.lowerBound - first * divisor, left.upperBound - first * divisor)
            return min(a, b)...max(a, b)
        }
        return divisor > 0 ? 0...divisor - 1 : divisor + 1...0
    }

    private static func roundedDown(_ left: Int, _ right: Int) -> Int {
        let quotient = left / right
        return left % right != 0 && (left < 0) != (right < 0) ? quotient - 1 : quotient
    }
}

/// The magnitude of a number in a mask expression.
public func abs(_ number: MaskNumber) -> MaskNumber { .magnitude(number) }
