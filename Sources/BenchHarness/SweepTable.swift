public import AttentionCore

/// Results as a table for terminals: a block for each case, its operators in the order given.
public enum SweepTable {
    /// The table.
    /// - Parameter width: the terminal's; `nil` sets no limit.
    public static func render(_ lines: [ResultLine], width: Int? = nil) -> String {
        var table = TextTable([
            .init("case"), .init("operator"), .init("median", .right), .init("spread", .right, dropOrder: 6),
            .init("rate", .right, dropOrder: 4), .init("of peak", .right), .init("to best", .right, dropOrder: 1),
            .init("memory", .right, dropOrder: 3), .init("grew", .right, dropOrder: 8),
            .init("max error", .right, dropOrder: 2), .init("of limit", .right, dropOrder: 5), .init("check"),
            .init("compared", dropOrder: 7),
        ])
        var previous: String?
        for line in lines {
            if previous != nil, previous != line.case { table.addBlank() }
            let name = previous == line.case ? "" : line.case
            previous = line.case
            if line.reasons.isEmpty {
                table.add(cells(line, name: name, best: best(of: line.case, in: lines)))
            } else {
                table.addNote([name, line.operator], "cannot run it: \(reasons(line.reasons))")
            }
        }
        return table.render(width: width)
    }

    /// Reasons on one line; what several have in common is said once.
    public static func reasons(_ reasons: [UnsupportedReason]) -> String {
        var facts: [String] = []
        var remedies: [String] = []
        var aspect: AttentionFeature?
        for reason in reasons {
            facts.append(
                reason.aspect == aspect ? reason.explanation : "\(reason.aspect.rawValue): \(reason.explanation)")
            aspect = reason.aspect
            if let remedy = reason.remedy, !remedies.contains(remedy) { remedies.append(remedy) }
        }
        return ([facts.joined(separator: ", ")] + remedies).joined(separator: "; ")
    }

    /// Half the distance between the quartiles; few samples have no quartiles.
    private static func spread(_ timing: Measurement) -> String {
        timing.samples < 3
            ? "\(timing.samples) \(timing.samples == 1 ? "run" : "runs")" : "±\(Quantity.percent(timing.spread / 2))"
    }

    /// The quickest median of a case.
    static func best(of name: String, in lines: [ResultLine]) -> Double? {
        lines.filter { $0.case == name }.compactMap { $0.timing?.median }.min()
    }

    private static func cells(_ line: ResultLine, name: String, best: Double?) -> [String] {
        let rate =
            line.gigabytesPerSecond.map { "\(Quantity.figures($0)) GB/s" }
            ?? line.gflops.map { "\(Quantity.figures($0)) GFLOP/s" }
        let ratio = line.timing.flatMap { timing in best.map { timing.median / $0 } }
        let limit = line.check.map { $0.tolerance > 0 ? $0.maxError / $0.tolerance : 0 }
        return [
            name, line.operator, line.timing.map { Quantity.seconds($0.median) } ?? "-",
            line.timing.map(spread) ?? "-", rate ?? "-",
            (line.fractionOfBandwidth ?? line.fractionOfPeak).map(Quantity.percent) ?? "-",
            ratio.map(Quantity.ratio) ?? "-", line.peakBytes.map(Quantity.bytes) ?? "-",
            line.residentGrowthBytes.map(Quantity.bytes) ?? "-", line.maxError.map(Quantity.error) ?? "-",
            limit.map(Quantity.percent) ?? "-", line.check.map { $0.passed ? "ok" : "WRONG" } ?? "none",
            line.check?.coverage ?? "",
        ]
    }

    /// What the columns mean, for under the table.
    public static let legend = """
        median: one call; spread: half the distance between the quartiles; rate: visible pairs only (keys and values read \
        once, where memory is the bound); of peak: of the multiply-add loop (streaming read) measured around the case; \
        memory: what the plan adds at its peak; grew: resident memory of the first call; max error: against the Double \
        reference; of limit: as a part of what is allowed, twice the error of the Float reference; compared: what of the \
        result was compared.
        """
}
