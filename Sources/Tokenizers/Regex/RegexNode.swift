/// A regular expression as it was read.
indirect enum RegexNode {
    /// One scalar; folded, it matches any case.
    case scalar(UInt32, foldsCase: Bool)
    case set(ScalarSet)
    case sequence([RegexNode])
    case alternatives([RegexNode])
    case repeated(RegexNode, minimum: Int, maximum: Int?, RegexGreed)
    case look(RegexNode, isBehind: Bool, isNegated: Bool)
    case atomic(RegexNode)
    case assertion(RegexAssertion)

    /// The number of scalars that this matches, or `nil` when that depends on the text.
    var width: Int? {
        switch self {
        case .scalar, .set: return 1
        case .look, .assertion: return 0
        case .atomic(let body): return body.width
        case .sequence(let items):
            return items.reduce(0) { (sum: Int?, item) in
                guard let sum, let width = item.width else { return nil }
                let (total, overflows) = sum.addingReportingOverflow(width)
                return overflows ? nil : total
            }
        case .alternatives(let items):
            let widths = Set(items.map(\.width))
            return widths.count == 1 ? widths.first ?? nil : nil
        case .repeated(let body, let minimum, let maximum, _):
            guard minimum == maximum, let width = body.width else { return nil }
            let (product, overflows) = width.multipliedReportingOverflow(by: minimum)
            return overflows ? nil : product
        }
    }

    /// Whether this may match the empty text.
    var canBeEmpty: Bool {
        switch self {
        case .scalar, .set: false
        case .look, .assertion: true
        case .atomic(let body): body.canBeEmpty
        case .sequence(let items): items.allSatisfy(\.canBeEmpty)
        case .alternatives(let items): items.contains(where: \.canBeEmpty)
        case .repeated(let body, let minimum, _, _): minimum == 0 || body.canBeEmpty
        }
    }
}

/// How much a repetition takes at first, and whether it gives back.
enum RegexGreed: Sendable { case greedy, lazy, possessive }

/// A condition on a place in the text.
enum RegexAssertion: Sendable { case textStart, textEnd, lineStart, lineEnd, wordBoundary, noWordBoundary }

/// What is wrong with a pattern.
struct RegexFailure: Error {
    /// The construct that is not understood or not built.
    let construct: String
    /// Its place, in scalars from the start.
    let offset: Int
}
