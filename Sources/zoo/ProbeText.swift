import AttentionCore
import BenchHarness

/// What `zoo probe` prints for people.
enum ProbeText {
    /// One operator: the problem, the picture, the verdict.
    static func page(_ report: ProbeReport, width: Int?) -> String {
        let limit = min(width ?? 100, 100)
        var text = "operator   \(report.operator)\nproblem    \(report.problem)\n"
        text += "mask       \(StrictestMask.name(report.mask))\n"
        text += "declared   \(share(report.declared)) of the pairs\neffective  \(share(report.effective)), by "
        text += "\(share(report.byKeys)) through keys and \(share(report.byValues)) through values\n\n"
        text += ProbePicture.text(report, width: min(64, limit)) + "\n" + ProbePicture.legend + "\n\n"
        let verdict =
            report.fits ? "fits: it attends to what it declares, by \(report.calls) changes" : "DOES NOT FIT"
        var lines = [verdict] + report.findings.map(\.text) + report.remarks
        lines = lines.flatMap { TextWidth.wrap($0, to: limit) }
        return text + lines.joined(separator: "\n") + "\n"
    }

    /// Many operators: a line for each, and why the others cannot be probed.
    static func table(_ reports: [ProbeReport], refused: [ProbeCommand.Subject], width: Int?) -> String {
        var table = TextTable([
            .init("operator"), .init("mask", dropOrder: 1), .init("declared", .right, dropOrder: 2),
            .init("effective", .right, dropOrder: 3), .init("verdict"), .init("what was found", dropOrder: 4),
        ])
        for report in reports {
            let notes = report.findings.map(\.text) + report.remarks
            table.add([
                report.operator, StrictestMask.name(report.mask), share(report.declared),
                share(report.effective), report.fits ? "fits" : "DOES NOT FIT", notes.joined(separator: "; "),
            ])
        }
        for subject in refused {
            table.addNote([subject.configured.id], "cannot run it: \(SweepTable.reasons(subject.reasons))")
        }
        let fitting = reports.count { $0.fits }
        return table.render(width: width) + "\n\(fitting) of \(reports.count) operators attend as they declare\n"
    }

    private static func share(_ grid: ProbeGrid) -> String { Quantity.percent(grid.density) }
}
