import Foundation

/// Bars of one case, a row for each operator: the part of what the machine could do.
struct BarChart {
    /// One operator's bar.
    struct Bar {
        let index: Int
        let name: String
        let part: Double
        let label: String
        let title: String
    }

    let title: String
    let bars: [Bar]

    private let width = 520.0
    private let left = 138.0
    private let right = 150.0
    private let step = 26.0

    /// The drawing as SVG.
    func render() -> String {
        let height = Double(bars.count) * step + 34
        let axis = Axis(low: 0, high: max(1, bars.map(\.part).max() ?? 1), start: left, end: width - right)
        var body = ""
        for tick in [0, 0.25, 0.5, 0.75, 1.0] {
            let x = axis.place(tick)
            body += Markup.line(x, 6, x, height - 24, kind: tick == 0 ? "axis" : "grid")
            body += Markup.text("\(Int(tick * 100)) %", x: x, y: height - 8, anchor: "middle")
        }
        for (row, bar) in bars.enumerated() {
            let y = 8 + Double(row) * step
            body += Markup.text(bar.name, x: left - 10, y: y + 14, anchor: "end", kind: "name")
            let extent = max(1.5, axis.place(bar.part) - left)
            let box = Markup.element(
                "rect",
                [
                    "x": Markup.number(left), "y": Markup.number(y), "width": Markup.number(extent), "height": "18",
                    "rx": "2",
                ],
                Markup.hover(bar.title))
            body += Markup.element("g", ["class": "bar s\(bar.index % Palette.count)"], box)
            body += Markup.text(bar.label, x: max(left + extent, left) + 8, y: y + 13, kind: "value")
        }
        return Markup.element(
            "svg", ["viewBox": "0 0 \(Int(width)) \(Int(height))", "role": "img", "aria-label": title], body)
    }
}

/// Errors by powers of ten, a row for each case: a mark for each operator, and a bar where the limit stands.
struct ErrorChart {
    /// One case.
    struct Row {
        let name: String
        let limit: Double
        let floatError: Double
        let marks: [(index: Int, error: Double, title: String)]
    }

    let rows: [Row]

    private let width = 1060.0
    private let left = 178.0
    private let right = 26.0
    private let step = 22.0
    private let top = 8.0

    /// The drawing as SVG.
    func render() -> String {
        let values = rows.flatMap { row in [row.limit, row.floatError] + row.marks.map(\.error) }.filter {
            $0 > 0 && $0.isFinite
        }
        guard let smallest = values.min(), let largest = values.max() else { return "" }
        let low = (log10(smallest) - 0.1).rounded(.down)
        let axis = Axis(
            low: low, high: max(low + 1, (log10(largest) + 0.1).rounded(.up)), start: left, end: width - right)
        let height = top + Double(rows.count) * step + 30
        var body = ""
        for exponent in stride(from: axis.low, through: axis.high, by: 1) {
            let x = axis.place(exponent)
            body += Markup.line(x, top, x, height - 28, kind: "grid")
            body += Markup.text("1e\(Int(exponent))", x: x, y: height - 10, anchor: "middle")
        }
        for (index, row) in rows.enumerated() { body += render(row, at: top + (Double(index) + 0.5) * step, axis) }
        return Markup.element(
            "svg",
            ["viewBox": "0 0 \(Int(width)) \(Int(height))", "role": "img", "aria-label": "errors against limits"], body)
    }

    private func render(_ row: Row, at y: Double, _ axis: Axis) -> String {
        // An error of nothing stands at the left edge: a logarithm has no place for it.
        func horizontal(_ value: Double) -> Double {
            value.isFinite ? min(max(axis.place(log10(max(value, 1e-300))), left), width - right) : width - right
        }
        var body = Markup.line(left, y, width - right, y, kind: "grid")
        body += Markup.text(row.name, x: left - 10, y: y + 4, anchor: "end", kind: "name")
        let limit = horizontal(row.limit)
        body += Markup.element(
            "rect",
            [
                "x": Markup.number(limit - 1.5), "y": Markup.number(y - 8), "width": "3", "height": "16",
                "class": "limit",
            ],
            Markup.hover("\(row.name): limit \(Quantity.error(row.limit))"))
        let float = horizontal(row.floatError)
        body += Markup.element(
            "rect",
            ["x": Markup.number(float - 1), "y": Markup.number(y - 6), "width": "2", "height": "12", "class": "float"],
            Markup.hover("\(row.name): Float reference \(Quantity.error(row.floatError))"))
        // Operators often err alike: one below the other they all stay visible.
        let spread = min(3.2, (step - 10) / Double(max(1, row.marks.count - 1)))
        for (place, mark) in zip(row.marks.indices.map { Double($0) - Double(row.marks.count - 1) / 2 }, row.marks) {
            body += Markup.mark(mark.index, x: horizontal(mark.error), y: y + place * spread, title: mark.title)
        }
        return body
    }
}
