import AttentionCore
import Foundation

/// The sections of a report.
struct ReportPage {
    let lines: [ResultLine]
    /// Operators in order of appearance: the order of colours.
    let operators: [String]

    init(lines: [ResultLine]) {
        self.lines = lines
        operators = lines.reduce(into: []) { if !$0.contains($1.operator) { $0.append($1.operator) } }
    }

    /// Cases that differ in nothing but their length, in order of appearance; those of one length alone are left out.
    private var families: [(title: String, lines: [ResultLine])] {
        var order: [String] = []
        var members: [String: [ResultLine]] = [:]
        for line in lines where line.timing != nil && line.gigabytesPerSecond == nil {
            let title = Self.family(line)
            if members[title] == nil { order.append(title) }
            members[title, default: []].append(line)
        }
        return order.compactMap { title in
            let found = members[title, default: []]
            return Set(found.map(\.shape.keyLength)).count > 1 ? (title, found) : nil
        }
    }

    private static func family(_ line: ResultLine) -> String {
        let words = line.case.split(separator: " ").filter { !($0.hasPrefix("L") && Int($0.dropFirst()) != nil) }
        return words.joined(separator: " ")
    }

    /// Colours and shapes of the operators.
    func legend() -> String {
        let entries = operators.enumerated().map { index, name in
            let mark = Markup.element(
                "svg", ["viewBox": "0 0 16 16", "aria-hidden": "true"], Markup.mark(index, x: 8, y: 8, title: ""))
            return Markup.element("li", [:], mark + Markup.escape(name))
        }
        return entries.isEmpty ? "" : Markup.element("ul", ["class": "legend"], entries.joined())
    }

    /// Time against length, both by powers.
    func timePlots() -> String {
        section(
            "Time against length",
            "One call, the middle of all samples. Both axes go by powers: a straight line is a power of the length.",
            families.map { family in
                let chart = LineChart(
                    title: "\(family.title): seconds by length", scale: .seconds,
                    series: series(family.lines) { $0.timing?.median })
                return (family.title, chart.render())
            })
    }

    /// The part of the multiply-add peak against length.
    func peakPlots() -> String {
        section(
            "Part of the machine's peak",
            "Useful operations (visible pairs only) over a multiply-add loop on registers, measured around each case.",
            families.map { family in
                let chart = LineChart(
                    title: "\(family.title): part of peak by length", scale: .fraction,
                    series: series(family.lines) { $0.fractionOfPeak })
                return (family.title, chart.render())
            })
    }

    /// Cases that stand alone, and those whose bound is memory.
    func singleCases() -> String {
        let inFamilies = Set(families.flatMap { $0.lines.map(\.case) })
        var names: [String] = []
        for line in lines where line.timing != nil && !inFamilies.contains(line.case) && !names.contains(line.case) {
            names.append(line.case)
        }
        return section(
            "Single cases",
            "Part of the multiply-add peak; for decode, keys and values read once, over the speed of a streaming read.",
            names.map { name in
                let bars = lines.filter { $0.case == name }.compactMap(bar)
                let unit =
                    lines.contains { $0.case == name && $0.gigabytesPerSecond != nil } ? "of read bandwidth" : "of peak"
                return ("\(name), \(unit)", BarChart(title: name, bars: bars).render())
            })
    }

    private func bar(_ line: ResultLine) -> BarChart.Bar? {
        guard let timing = line.timing, let part = line.fractionOfBandwidth ?? line.fractionOfPeak else { return nil }
        return BarChart.Bar(
            index: index(line.operator), name: line.operator, part: part,
            label: "\(Quantity.percent(part)), \(Quantity.seconds(timing.median))", title: title(line))
    }

    /// Every error against its limit.
    func errorPlot() -> String {
        var names: [String] = []
        for line in lines where line.check != nil && !names.contains(line.case) { names.append(line.case) }
        let rows = names.map { name in
            let members = lines.filter { $0.case == name }
            let checks = members.compactMap(\.check)
            return ErrorChart.Row(
                name: name, limit: checks.map(\.tolerance).min() ?? 0, floatError: checks.map(\.floatError).max() ?? 0,
                marks: members.compactMap { line in
                    line.check.map { (index(line.operator), $0.maxError, title(line)) }
                })
        }
        guard !rows.isEmpty else { return "" }
        let figure = Markup.element("figure", ["class": "wide"], ErrorChart(rows: rows).render())
        return Markup.element(
            "section", [:],
            Markup.element("h2", [:], "Error")
                + Markup.element(
                    "p", [:],
                    "The largest difference from the Double reference. The thick bar is the limit, the thin one the error "
                        + "of the plain Float reference.")
                + figure)
    }

    private func section(_ heading: String, _ note: String, _ figures: [(caption: String, drawing: String)]) -> String {
        guard !figures.isEmpty else { return "" }
        let content = figures.map { figure in
            Markup.element(
                "figure", [:],
                Markup.element("figcaption", [:], Markup.escape(figure.caption)) + figure.drawing)
        }
        return Markup.element(
            "section", [:],
            Markup.element("h2", [:], Markup.escape(heading)) + Markup.element("p", [:], Markup.escape(note))
                + Markup.element("div", ["class": "grid"], content.joined()))
    }

    private func series(_ lines: [ResultLine], _ value: (ResultLine) -> Double?) -> [LineChart.Series] {
        operators.enumerated().compactMap { index, name in
            let points = lines.filter { $0.operator == name }
                .compactMap { line in value(line).map { (line.shape.keyLength, $0, title(line)) } }
                .sorted { $0.0 < $1.0 }
            return points.isEmpty ? nil : LineChart.Series(index: index, points: points)
        }
    }

    private func index(_ name: String) -> Int { operators.firstIndex(of: name) ?? 0 }

    private func title(_ line: ResultLine) -> String {
        var parts = ["\(line.operator), \(line.case)"]
        if let timing = line.timing {
            parts.append("\(Quantity.seconds(timing.median)) ±\(Quantity.percent(timing.spread / 2))")
        }
        if let rate = line.gigabytesPerSecond {
            parts.append(
                "\(Quantity.figures(rate)) GB/s, \(Quantity.percent(line.fractionOfBandwidth ?? 0)) of bandwidth")
        } else if let rate = line.gflops {
            parts.append("\(Quantity.figures(rate)) GFLOP/s, \(Quantity.percent(line.fractionOfPeak ?? 0)) of peak")
        }
        if let check = line.check {
            parts.append("error \(Quantity.error(check.maxError)), limit \(Quantity.error(check.tolerance))")
        }
        return parts.joined(separator: "\n")
    }
}
