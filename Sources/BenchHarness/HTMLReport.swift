import AttentionCore
import Foundation

/// Results as one page that needs nothing else: no script, no other host, light and dark.
public enum HTMLReport {
    /// The page.
    ///
    /// Cost: O(lines).
    public static func render(machine: MachineFacts?, lines: [ResultLine]) -> String {
        let page = ReportPage(lines: lines)
        let body = [
            header(machine, lines), page.legend(), page.timePlots(), page.peakPlots(), page.singleCases(),
            page.errorPlot(), page.table(),
        ]
        return Markup.page(
            title: "Attention zoo: measurements", style: ReportStyle.text,
            body: body.filter { !$0.isEmpty }.joined(separator: "\n"))
    }

    private static func header(_ machine: MachineFacts?, _ lines: [ResultLine]) -> String {
        let checks = lines.compactMap(\.check)
        let wrong = checks.filter { !$0.passed }.count
        let unable = lines.filter { !$0.reasons.isEmpty }.count
        let cases = Set(lines.map(\.case)).count
        let operators = Set(lines.map(\.operator)).count
        let verdict =
            wrong == 0
            ? "All \(checks.count) results agree with the reference."
            : "\(wrong) of \(checks.count) results are wrong."
        let lede =
            "\(operators) operators on \(cases) cases. \(verdict) \(unable) combinations cannot run; the table says why."
        let facts = machine?.lines.map { Markup.element("li", [:], Markup.escape($0)) }.joined() ?? ""
        return Markup.element(
            "header", [:],
            Markup.element("h1", [:], "Attention zoo: measurements")
                + Markup.element("p", ["class": wrong == 0 ? "lede" : "lede wrong"], Markup.escape(lede))
                + (facts.isEmpty ? "" : Markup.element("ul", ["class": "facts"], facts)))
    }
}
