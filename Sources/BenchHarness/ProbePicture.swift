import AttentionCore
import Foundation

/// Pictures of a probe: queries downwards, keys to the right.
public enum ProbePicture {
    /// What the characters of ``text(_:width:)`` mean.
    public static let legend = "█ ▓ ▒ ░ attends, all to few of a cell   · hidden   ! leaks   o blind"

    /// A picture for terminals: one character for a cell of one or more pairs, of all heads together.
    ///
    /// A single leaking pair shows in its cell, however many pairs the cell stands for.
    /// - Parameter width: columns at most.
    public static func text(_ report: ProbeReport, width: Int = 64) -> String {
        let declared = report.declared
        guard declared.rows > 0, declared.columns > 0 else { return "" }
        let leaks = report.effective.subtracting(declared)
        let blind =
            report.findings.contains { $0.kind == .blind && $0.isError }
            ? declared.subtracting(report.effective) : nil
        // A character is about twice as high as wide.
        let columns = max(1, (declared.columns + max(1, width) - 1) / max(1, width))
        let rows = columns == 1 && declared.rows <= 24 ? 1 : 2 * columns
        return blocks(declared.rows, rows).map { row in
            String(
                blocks(declared.columns, columns).map { column -> Character in
                    if leaks.part(rows: row, columns: column) > 0 { return "!" }
                    if let blind, blind.part(rows: row, columns: column) > 0 { return "o" }
                    return shade(report.effective.part(rows: row, columns: column))
                }) + "\n"
        }.joined()
    }

    private static func shade(_ part: Double) -> Character {
        switch part {
        case 0: "·"
        case ..<0.25: "░"
        case ..<0.5: "▒"
        case ..<1: "▓"
        default: "█"
        }
    }

    private static func blocks(_ length: Int, _ size: Int) -> [Range<Int>] {
        stride(from: 0, to: length, by: size).map { $0..<min($0 + size, length) }
    }

    /// A drawing in three parts: declared, effective, and where they differ.
    ///
    /// Stands alone, on light and on dark ground. Cost: O(pairs).
    public static func svg(_ report: ProbeReport) -> String {
        let declared = report.declared
        let leaks = report.effective.subtracting(declared)
        let blind = declared.subtracting(report.effective)
        let promises = report.findings.contains { $0.kind == .blind && $0.isError }
        let kept = report.effective.subtracting(leaks)
        let panels: [(title: String, layers: [(grid: ProbeGrid, kind: String)])] = [
            ("declared", [(declared, "on")]),
            ("effective", [(report.effective, "on")]),
            ("difference", [(kept, "same"), (blind, promises ? "blind" : "quiet"), (leaks, "leak")]),
        ]
        let scale = Self.side / Double(max(1, declared.rows, declared.columns))
        let height = Double(declared.rows) * scale
        var body = Markup.text(headline(report), x: 16, y: 24, kind: report.fits ? "title" : "title bad")
        body += Markup.text(report.problem, x: 16, y: 42, kind: "note")
        for (index, panel) in panels.enumerated() {
            let left = 44 + Double(index) * (Self.side + 44)
            body += Markup.text(panel.title, x: left, y: 72, kind: "name")
            body += box(left, 80, Double(declared.columns) * scale, height, "paper")
            for layer in panel.layers { body += cells(layer.grid, left: left, scale: scale, kind: layer.kind) }
            body += Markup.text("keys", x: left + Double(declared.columns) * scale, y: 96 + height, anchor: "end")
        }
        body += Markup.element(
            "text", ["transform": "translate(36,\(Markup.number(80 + height))) rotate(-90)", "class": "tick"],
            "queries, first at the top")
        body += key(promises: promises, y: 122 + height)
        let size = "\(Int(44 * 3 + Self.side * 3 + 16)) \(Int(140 + height))"
        return Markup.element(
            "svg",
            [
                "xmlns": "http://www.w3.org/2000/svg", "viewBox": "0 0 \(size)", "role": "img",
                "aria-label": headline(report),
            ], Markup.element("style", [:], style) + box(0, 0, 10_000, 10_000, "ground") + body) + "\n"
    }

    private static let side = 256.0
    /// Cells of a side beyond which neighbours are drawn as one.
    private static let resolution = 128

    private static func headline(_ report: ProbeReport) -> String {
        let verdict = report.fits ? "attends as declared" : "does not attend as declared"
        let heads = report.declared.heads
        return "\(report.operator) \(verdict) (\(heads) \(heads == 1 ? "head" : "heads together"))"
    }

    /// Runs of equal cells as rectangles, lighter where only a part of the pairs is meant.
    private static func cells(_ grid: ProbeGrid, left: Double, scale: Double, kind: String) -> String {
        let size = max(1, (max(grid.rows, grid.columns) + resolution - 1) / resolution)
        let columns = blocks(grid.columns, size)
        var result = ""
        for row in blocks(grid.rows, size) {
            let parts = columns.map { column in
                let part = grid.part(rows: row, columns: column)
                // A leak is never too small to be seen.
                return kind == "leak" && part > 0 ? 1 : (part * 4).rounded(.up) / 4
            }
            var start = 0
            while start < parts.count {
                var end = start + 1
                while end < parts.count, parts[end] == parts[start] { end += 1 }
                if parts[start] > 0 {
                    let x = left + Double(columns[start].lowerBound) * scale
                    let width = Double(columns[end - 1].upperBound - columns[start].lowerBound) * scale
                    let shade = parts[start] == 1 ? "" : " p\(Int(parts[start] * 4))"
                    result += box(
                        x, 80 + Double(row.lowerBound) * scale, width, Double(row.count) * scale, kind + shade)
                }
                start = end
            }
        }
        return result
    }

    private static func key(promises: Bool, y: Double) -> String {
        var x = 44.0
        let entries = [
            ("on", "attends"), ("same", "as declared"), ("leak", "leaks: hidden, but has influence"),
            promises
                ? ("blind", "blind: visible, but without influence")
                : ("quiet", "visible, without influence; an operator of its kind may"),
        ]
        return entries.map { kind, text in
            defer { x += 34 + Double(text.count) * 6.6 }
            return box(x, y - 10, 11, 11, kind) + Markup.text(text, x: x + 17, y: y)
        }.joined()
    }

    private static func box(_ x: Double, _ y: Double, _ width: Double, _ height: Double, _ kind: String) -> String {
        Markup.element(
            "rect",
            [
                "x": String(format: "%.2f", x), "y": String(format: "%.2f", y), "width": String(format: "%.2f", width),
                "height": String(format: "%.2f", height), "class": kind,
            ])
    }

    private static let style = """
        :root{--ground:#fbfbf9;--paper:#ecedea;--ink:#1b1c1d;--soft:#5b6066;--on:#2a78d6;--same:#a9c3e2;--leak:#c4281c;\
        --blind:#d99000;--quiet:#cfd2cd}@media(prefers-color-scheme:dark){:root{--ground:#141517;--paper:#24272b;\
        --ink:#e9eaeb;--soft:#a5abb2;--on:#5ba0ee;--same:#33506f;--leak:#ff6f61;--blind:#e8b03c;--quiet:#3b4046}}\
        text{font:12px system-ui,"DejaVu Sans",sans-serif;fill:var(--soft)}.title{font-size:16px;font-weight:600;\
        fill:var(--ink)}.bad{fill:var(--leak)}.name{font-weight:600;fill:var(--ink)}rect{shape-rendering:crispEdges}\
        .ground{fill:var(--ground)}.paper{fill:var(--paper)}.on{fill:var(--on)}.same{fill:var(--same)}\
        .leak{fill:var(--leak)}.blind{fill:var(--blind)}.quiet{fill:var(--quiet)}.p1{opacity:.3}.p2{opacity:.5}\
        .p3{opacity:.75}
        """
}
