import Foundation

/// A drawing of values over numbers: numbers evenly, values by powers of ten or evenly; points of a series are joined.
struct PointChart {
    let plot: TableReport.Plot

    static let width = 720.0
    static let height = 380.0
    private let left = 70.0
    private let right = 16.0
    private let top = 58.0
    private let bottom = 44.0

    /// The drawing as pieces of SVG, to be placed within a picture.
    func pieces() -> String {
        let points = plot.series.flatMap(\.points).filter { $0.y.isFinite && (!plot.isLogarithmic || $0.y > 0) }
        guard let lowX = points.map(\.x).min(), let highX = points.map(\.x).max() else { return "" }
        let margin = max(0.25, (highX - lowX) * 0.06)
        let across = Axis(low: lowX - margin, high: highX + margin, start: left, end: Self.width - right)
        let up = vertical(points.map { mapped($0.y) } + (plot.level.map { [mapped($0.y)] } ?? []))
        var body = legend() + grid(up) + bottomAxis(points.map(\.x), across)
        if let level = plot.level {
            let y = up.place(mapped(level.y))
            body += Markup.line(left, y, Self.width - right, y, kind: "level")
            body += Markup.text(level.name, x: Self.width - right - 4, y: y - 5, anchor: "end", kind: "label")
        }
        for (index, line) in plot.series.enumerated() {
            let shown = line.points.filter { $0.y.isFinite && (!plot.isLogarithmic || $0.y > 0) }
            let places = shown.map { (across.place($0.x), up.place(mapped($0.y))) }
            if line.isJoined, places.count > 1 {
                let path = places.map { "\(Markup.number($0.0)),\(Markup.number($0.1))" }.joined(separator: " ")
                body += Markup.element("polyline", ["points": path, "class": "line s\(index % Palette.count)"])
            }
            for (place, point) in zip(places, shown) {
                body += Markup.mark(index, x: place.0, y: place.1, title: point.title)
            }
        }
        return body
    }

    private func mapped(_ value: Double) -> Double { plot.isLogarithmic ? log10(value) : value }

    private func vertical(_ values: [Double]) -> Axis {
        let low = values.min() ?? 0
        let high = values.max() ?? 1
        if plot.isLogarithmic {
            let floor = (low - 0.05).rounded(.down)
            return Axis(
                low: floor, high: max(floor + 1, (high + 0.05).rounded(.up)), start: Self.height - bottom, end: top)
        }
        let step = Self.step(max(high - low, abs(high) * 0.01 + 1e-9))
        let floor = (low / step - 0.2).rounded(.down) * step
        return Axis(low: floor, high: (high / step + 0.2).rounded(.up) * step, start: Self.height - bottom, end: top)
    }

    /// 1, 2 or 5 times a power of ten, so that a span has about five steps.
    private static func step(_ span: Double) -> Double {
        let raw = span / 5
        let power = pow(10, log10(raw).rounded(.down))
        return [1.0, 2, 5, 10].map { $0 * power }.first { $0 >= raw } ?? 10 * power
    }

    private func legend() -> String {
        var body = Markup.text(plot.yLabel, x: 8, y: 18, kind: "label")
        var x = left
        for (index, line) in plot.series.enumerated() {
            body += Markup.mark(index, x: x + 5, y: 36, title: line.name)
            body += Markup.text(line.name, x: x + 15, y: 40, kind: "label")
            x += 34 + Double(line.name.count) * 7
        }
        return body
    }

    private func grid(_ axis: Axis) -> String {
        let step = plot.isLogarithmic ? 1 : Self.step(max(axis.high - axis.low, 1e-9))
        return stride(from: axis.low, through: axis.high + step * 1e-6, by: step).map { value in
            let y = axis.place(value)
            let label = plot.isLogarithmic ? "1e\(Int(value.rounded()))" : String(format: "%.4g", value)
            return Markup.line(left, y, Self.width - right, y, kind: value == axis.low ? "axis" : "grid")
                + Markup.text(label, x: left - 8, y: y + 4, anchor: "end")
        }.joined()
    }

    private func bottomAxis(_ values: [Double], _ axis: Axis) -> String {
        let y = Self.height - bottom
        let span = max(axis.high - axis.low, 1e-9)
        let step = max(values.allSatisfy { $0 == $0.rounded() } ? 1 : 0, Self.step(span))
        let first = (axis.low / step).rounded(.up) * step
        let ticks = stride(from: first, through: axis.high, by: step).map { value in
            let x = axis.place(value)
            return Markup.line(x, y, x, y + 5, kind: "axis")
                + Markup.text(String(format: "%.4g", value), x: x, y: y + 19, anchor: "middle")
        }
        return ticks.joined()
            + Markup.text(
                plot.xLabel, x: (left + Self.width - right) / 2, y: Self.height - 6, anchor: "middle", kind: "label")
    }

    /// The look of the drawing in a picture that stands alone.
    static var style: String {
        """
        :root{--card:#fbfbf9;--ink:#1b1c1d;--soft:#5b6066;--rule:#e4e5e3;--edge:#9aa0a6;\(Palette.variables(Palette.light))}\
        @media(prefers-color-scheme:dark){:root{--card:#141517;--ink:#e9eaeb;--soft:#a5abb2;--rule:#2b2e33;\
        --edge:#777e87;\(Palette.variables(Palette.dark))}}\(Palette.classes)\
        text{font:12px system-ui,"DejaVu Sans",sans-serif;fill:var(--soft)}.title{font-size:16px;font-weight:600;\
        fill:var(--ink)}.label{fill:var(--ink)}.ground{fill:var(--card)}line.grid{stroke:var(--rule)}\
        line.axis{stroke:var(--edge)}line.level{stroke:var(--edge);stroke-dasharray:5 4}\
        .line{fill:none;stroke:var(--c);stroke-width:2}.mark{fill:var(--c);stroke:var(--card);stroke-width:1}
        """
    }
}
