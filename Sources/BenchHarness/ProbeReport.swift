public import AttentionCore

/// Something that a probe found to be other than declared.
public struct ProbeFinding: Sendable, Hashable, Encodable {
    /// What kind of difference it is.
    public enum Kind: String, Sendable, Hashable, Encodable, CaseIterable {
        /// The same call gave other bits: nothing else can be told.
        case unsteady
        /// Ordinary numbers gave infinity or NaN.
        case notFinite = "not-finite"
        /// A key that comes after the query reaches it, though it is declared hidden.
        case future
        /// Another key that is declared hidden reaches the query.
        case leak
        /// A query reaches the row of another query that may not see it.
        case query
        /// A key that is declared visible does not reach the query.
        case blind
    }

    /// One place of a difference.
    public struct Pair: Sendable, Hashable, Encodable {
        /// The query head.
        public let head: Int
        /// The row of the output.
        public let query: Int
        /// The key, or the query, that was perturbed.
        public let key: Int
    }

    /// What kind of difference it is.
    public let kind: Kind
    /// Whether it breaks a promise; otherwise it is worth knowing.
    public let isError: Bool
    /// Places in all heads.
    public let count: Int
    /// The first few places.
    public let pairs: [Pair]

    /// One sentence with the first places.
    public var text: String {
        let places = pairs.map { "\($0.query) <- \($0.key)" + ($0.head > 0 ? " of head \($0.head)" : "") }
        let first = places.isEmpty ? "" : ": \(places.joined(separator: ", "))" + (count > pairs.count ? ", …" : "")
        let number = "\(count) \(count == 1 ? "pair" : "pairs")"
        switch kind {
        case .unsteady: return "the same call gives other bits each time, so that nothing can be told"
        case .notFinite: return "ordinary numbers give infinity or NaN in \(count) results"
        case .future: return "\(number) leak the future: a later key, declared hidden, changes the row\(first)"
        case .leak: return "\(number) leak: a key that is declared hidden changes the row\(first)"
        case .query: return "\(number) leak through queries: another query changes the row\(first)"
        case .blind:
            return isError
                ? "\(number) are blind: a key that is declared visible never changes the row\(first)"
                : "\(number) are declared visible and have no influence, as an operator of its kind may\(first)"
        }
    }
}

/// What a probe measured, beside what the operator declares.
public struct ProbeReport: Sendable, Encodable {
    /// The operator's id.
    public let `operator`: String
    /// The operator's own options.
    public let configuration: [String: ConfigurationValue]
    /// The problem in words.
    public let problem: String
    /// The problem's mask.
    public let mask: AttentionMask
    /// Perturbations made.
    public let calls: Int
    /// Pairs that the problem's mask and the operator's own pattern both allow.
    public let declared: ProbeGrid
    /// Rows that change with a key or its value.
    public let effective: ProbeGrid
    /// Rows that change with the key alone.
    public let byKeys: ProbeGrid
    /// Rows that change with the value alone.
    public let byValues: ProbeGrid
    /// Rows that change with a query.
    public let byQueries: ProbeGrid
    /// What is other than declared, errors first.
    public let findings: [ProbeFinding]

    /// Whether no finding breaks a promise.
    public var fits: Bool { !findings.contains(where: \.isError) }

    /// Differences that break a promise.
    public var errors: [ProbeFinding] { findings.filter(\.isError) }

    /// What is worth knowing about how the operator attends, without being other than declared.
    public var remarks: [String] {
        var remarks: [String] = []
        if effective.count > 0, byKeys.count == 0 { remarks.append("only values matter: no key changes any row") }
        if effective.count > 0, byValues.count == 0 { remarks.append("only keys matter: no value changes any row") }
        let others = (0..<byQueries.heads).contains { head in
            (0..<byQueries.rows).contains { row in
                (0..<byQueries.columns).contains { $0 != row && byQueries[head, row, $0] }
            }
        }
        if others, !findings.contains(where: { $0.kind == .query }) {
            remarks.append("queries matter to each other's rows, within what the mask allows")
        }
        return remarks
    }

    private enum CodingKeys: String, CodingKey {
        case `operator`, configuration, problem, mask, calls, fits, findings, remarks, declared, effective, byKeys
        case byValues, byQueries
    }

    /// Encodes the facts and the verdict.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(self.operator, forKey: .operator)
        try container.encode(configuration, forKey: .configuration)
        try container.encode(problem, forKey: .problem)
        try container.encode(mask.configuration, forKey: .mask)
        try container.encode(calls, forKey: .calls)
        try container.encode(fits, forKey: .fits)
        try container.encode(findings, forKey: .findings)
        try container.encode(remarks, forKey: .remarks)
        try container.encode(declared, forKey: .declared)
        try container.encode(effective, forKey: .effective)
        try container.encode(byKeys, forKey: .byKeys)
        try container.encode(byValues, forKey: .byValues)
        try container.encode(byQueries, forKey: .byQueries)
    }
}
