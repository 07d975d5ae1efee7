/// What is looked for in a text: a string, or a regular expression.
public struct TextPattern: Sendable {
    private enum Kind: Sendable {
        case literal([Unicode.Scalar])
        case regex(RegularExpression)
    }

    private let kind: Kind

    /// A string, found as it stands.
    public init(literal text: String) { kind = .literal(Array(text.unicodeScalars)) }

    /// A regular expression in Oniguruma's syntax.
    /// - Throws: ``TokenizerError/invalidPattern(pattern:construct:offset:)``.
    public init(regex pattern: String) throws(TokenizerError) {
        do {
            kind = .regex(try RegularExpression(pattern))
        } catch {
            throw .invalidPattern(pattern: pattern, construct: error.construct, offset: error.offset)
        }
    }

    /// Where a text matches: from the left, without overlap; an expression may match the empty text.
    ///
    /// Cost: O(length · pattern).
    /// - Throws: ``TokenizerError/tooCostly(pattern:steps:)``.
    func matches(_ text: ArraySlice<Unicode.Scalar>) throws(TokenizerError) -> [Range<Int>] {
        guard !text.isEmpty else { return [] }
        switch kind {
        case .regex(let expression): return try expression.matches(text)
        case .literal(let scalars):
            guard let first = scalars.first else { return [] }
            var found: [Range<Int>] = []
            var start = text.startIndex
            while start + scalars.count <= text.endIndex {
                if text[start] == first, text[start...].starts(with: scalars) {
                    found.append(start..<start + scalars.count)
                    start += scalars.count
                } else {
                    start += 1
                }
            }
            return found
        }
    }

    /// The most scalars of a result: far more than any model reads, and a bound on replacements that grow.
    private static let maximumLength = 1 << 24

    /// A text with every match replaced.
    /// - Throws: ``TokenizerError/tooCostly(pattern:steps:)``, ``TokenizerError/tooLong(stage:limit:)``.
    func replacing(_ text: [Unicode.Scalar], with content: [Unicode.Scalar]) throws(TokenizerError) -> [Unicode.Scalar]
    {
        let found = try matches(text[...])
        guard !found.isEmpty else { return text }
        let (added, overflows) = found.count.multipliedReportingOverflow(by: content.count)
        guard !overflows, added <= Self.maximumLength - text.count else {
            throw .tooLong(stage: "a replacement", limit: Self.maximumLength)
        }
        var result: [Unicode.Scalar] = []
        result.reserveCapacity(text.count + found.count * content.count)
        var done = 0
        for range in found {
            result.append(contentsOf: text[done..<range.lowerBound])
            result.append(contentsOf: content)
            done = range.upperBound
        }
        result.append(contentsOf: text[done...])
        return result
    }

    /// The only scalar that matches, when there is one such: then a text may be replaced piece by piece.
    var isOneScalar: Bool {
        if case .literal(let scalars) = kind { return scalars.count == 1 }
        return false
    }
}
