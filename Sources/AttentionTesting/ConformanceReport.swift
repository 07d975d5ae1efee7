import AttentionCore

/// What checks of an operator found.
public struct ConformanceReport: Sendable, CustomStringConvertible {
    /// Cases and laws that ran and were compared.
    public internal(set) var accepted = 0
    /// Cases whose reasons were thrown as announced, and laws whose problems the operator refuses.
    public internal(set) var refused = 0
    /// What went wrong, one line each.
    public internal(set) var failures: [String] = []
    /// The largest error as a part of its limit, and where.
    public internal(set) var worst: (ratio: Double, name: String) = (0, "none")

    /// Nothing yet.
    public init() {}

    /// Whether nothing went wrong.
    public var isPassing: Bool { failures.isEmpty }

    /// One line, then the failures.
    public var description: String {
        let summary =
            "\(accepted) accepted, \(refused) refused, \(failures.count) failed; "
            + "worst error \((worst.ratio * 100).rounded() / 100) of its limit (\(worst.name))"
        return ([summary] + failures.prefix(20)).joined(separator: "\n")
    }

    /// What a call returns, or `nil`: where it throws exactly the reasons that were announced it counts as refused, else what
    /// happened is a failure.
    mutating func outcome<Result>(
        _ name: String, announced reasons: [UnsupportedReason], _ body: () throws(AttentionError) -> Result
    ) -> Result? {
        do throws(AttentionError) {
            let result = try body()
            if reasons.isEmpty { return result }
            failures.append("\(name): ran although it gives reasons \(reasons)")
        } catch {
            if case .unsupported(_, _, let thrown) = error, thrown == reasons, !reasons.isEmpty {
                refused += 1
            } else {
                failures.append("\(name): threw \(error) though its reasons are \(reasons)")
            }
        }
        return nil
    }

    /// Notes an error, which fails when it is beyond its limit.
    mutating func include(_ excess: Tolerance.Excess, _ name: String) {
        if excess.ratio > worst.ratio { worst = (excess.ratio, "\(name) \(excess.operand)") }
        if !(excess.ratio <= 1) {
            failures.append("\(name): \(excess.operand) is off by \(excess.error), allowed \(excess.limit)")
        }
    }

    /// Adds what another check found.
    mutating func add(_ other: ConformanceReport) {
        accepted += other.accepted
        refused += other.refused
        failures += other.failures
        if other.worst.ratio > worst.ratio { worst = other.worst }
    }
}
