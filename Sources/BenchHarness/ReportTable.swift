import AttentionCore

extension ReportPage {
    /// Every number of every result.
    func table() -> String {
        let titles = [
            "case", "operator", "median", "spread", "samples", "GFLOP/s", "of peak", "GB/s", "to best", "plan memory",
            "grew", "max error", "limit", "to Float", "check", "compared",
        ]
        let head = Markup.element(
            "tr", [:],
            titles.map { Markup.element("th", ["scope": "col", "class": Self.isText($0) ? "text" : "num"], $0) }
                .joined())
        var previous: String?
        let rows = lines.map { line in
            defer { previous = line.case }
            return row(line, isFirst: previous != line.case, columns: titles.count)
        }
        let table = Markup.element(
            "table", [:],
            Markup.element("thead", [:], head) + Markup.element("tbody", [:], rows.joined(separator: "\n")))
        return Markup.element(
            "section", [:],
            Markup.element("h2", [:], "All results")
                + Markup.element("div", ["class": "scroll", "tabindex": "0"], table))
    }

    private static func isText(_ title: String) -> Bool { ["case", "operator", "check", "compared"].contains(title) }

    private func row(_ line: ResultLine, isFirst: Bool, columns: Int) -> String {
        func cell(_ text: String?, _ kind: String = "num") -> String {
            Markup.element("td", ["class": kind], Markup.escape(text ?? "–"))
        }
        let start =
            Markup.element("th", ["scope": "row", "class": "text"], isFirst ? Markup.escape(line.case) : "")
            + cell(line.operator, "text")
        let kind = isFirst ? "first" : "next"
        guard line.reasons.isEmpty else {
            let text = "cannot run it: " + SweepTable.reasons(line.reasons)
            let span = Markup.element(
                "td", ["class": "text reason", "colspan": "\(columns - 2)"], Markup.escape(text))
            return Markup.element("tr", ["class": kind], start + span)
        }
        let best = SweepTable.best(of: line.case, in: lines)
        let cells = [
            cell(line.timing.map { Quantity.seconds($0.median) }),
            cell(line.timing.map { "±\(Quantity.percent($0.spread / 2))" }), cell(line.timing.map { "\($0.samples)" }),
            cell(line.gflops.map(Quantity.figures)),
            cell((line.fractionOfBandwidth ?? line.fractionOfPeak).map(Quantity.percent)),
            cell(line.gigabytesPerSecond.map(Quantity.figures)),
            cell(line.timing.flatMap { timing in best.map { Quantity.ratio(timing.median / $0) } }),
            cell(line.peakBytes.map(Quantity.bytes)), cell(line.residentGrowthBytes.map(Quantity.bytes)),
            cell(line.maxError.map(Quantity.error)), cell(line.check.map { Quantity.error($0.tolerance) }),
            cell(line.errorRatio.map(Quantity.ratio)),
            cell(
                line.check.map { $0.passed ? "ok" : "WRONG" } ?? "none",
                line.check?.passed == false ? "text wrong" : "text"),
            cell(line.check?.coverage, "text"),
        ]
        return Markup.element("tr", ["class": kind], start + cells.joined())
    }
}
