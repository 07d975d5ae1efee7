import Foundation

/// A drawing of lines over lengths: lengths by powers of two; values by powers of ten, or as parts of a whole.
struct LineChart {
    /// One operator's line.
    struct Series {
        let index: Int
        let points: [(length: Int, value: Double, title: String)]
    }

    /// How values are spread over the height.
    enum Scale {
        /// Seconds, by powers of ten.
        case seconds
        /// Parts of a whole, from 0 up.
        case fraction
    }

    let title: String
    let scale: Scale
    let series: [Series]

    private let width = 520.0
    private let height = 330.0
    private let left = 62.0
    private let right = 16.0
    private let top = 14.0
    private let bottom = 42.0

    /// The drawing as SVG.
    func render() -> String {
        let lengths = Set(series.flatMap { $0.points.map(\.length) }).sorted()
        guard let first = lengths.first, let last = lengths.last else { return "" }
        let horizontal = Axis(
            low: log2(Double(first)) - 0.15, high: log2(Double(last)) + 0.15, start: left, end: width - right)
        let vertical = verticalAxis()
        var body = grid(vertical) + bottomAxis(lengths, horizontal)
        for line in series.sorted(by: { $0.index > $1.index }) {
            let places = line.points.map {
                (horizontal.place(log2(Double($0.length))), vertical.place(mapped($0.value)))
            }
            let path = places.map { "\(Markup.number($0.0)),\(Markup.number($0.1))" }.joined(separator: " ")
            body += Markup.element("polyline", ["points": path, "class": "line s\(line.index % Palette.count)"])
            for (place, point) in zip(places, line.points) {
                body += Markup.mark(line.index, x: place.0, y: place.1, title: point.title)
            }
        }
        return Markup.element(
            "svg", ["viewBox": "0 0 \(Int(width)) \(Int(height))", "role": "img", "aria-label": title], body)
    }

    private func mapped(_ value: Double) -> Double { scale == .seconds ? log10(max(value, 1e-9)) : value }

    private func verticalAxis() -> Axis {
        let values = series.flatMap { $0.points.map { mapped($0.value) } }
        switch scale {
        case .seconds:
            let low = ((values.min() ?? -3) - 0.1).rounded(.down)
            return Axis(
                low: low, high: max(low + 1, ((values.max() ?? 0) + 0.1).rounded(.up)), start: height - bottom, end: top
            )
        case .fraction:
            // Above 100 % something is wrong with the peak: show it rather than clip it.
            return Axis(low: 0, high: max(1, (values.max() ?? 1) * 1.05), start: height - bottom, end: top)
        }
    }

    private func grid(_ axis: Axis) -> String {
        let ticks: [(Double, String)] =
            switch scale {
            case .seconds:
                stride(from: axis.low, through: axis.high, by: 1).map { ($0, Self.decade($0)) }
            case .fraction:
                stride(from: 0.0, through: 1.0, by: 0.2).map { ($0, "\(Int(($0 * 100).rounded())) %") }
            }
        return ticks.map { value, label in
            let y = axis.place(value)
            return Markup.line(left, y, width - right, y, kind: value == axis.low ? "axis" : "grid")
                + Markup.text(label, x: left - 8, y: y + 4, anchor: "end")
        }.joined()
    }

    private func bottomAxis(_ lengths: [Int], _ axis: Axis) -> String {
        let y = height - bottom
        let ticks = lengths.map { length in
            let x = axis.place(log2(Double(length)))
            return Markup.line(x, y, x, y + 5, kind: "axis")
                + Markup.text("\(length)", x: x, y: y + 19, anchor: "middle")
        }
        let label = Markup.text("length", x: (left + width - right) / 2, y: height - 6, anchor: "middle", kind: "label")
        return ticks.joined() + label
    }

    private static func decade(_ exponent: Double) -> String {
        switch Int(exponent) {
        case 0...: "\(Int(pow(10, exponent))) s"
        case -3 ... -1: "\(Int(pow(10, exponent + 3))) ms"
        case -6 ... -4: "\(Int(pow(10, exponent + 6))) µs"
        default: "\(Int(pow(10, exponent + 9))) ns"
        }
    }
}

/// A mapping of values to places of a drawing.
struct Axis {
    let low: Double
    let high: Double
    let start: Double
    let end: Double

    func place(_ value: Double) -> Double {
        high > low ? start + (value - low) / (high - low) * (end - start) : (start + end) / 2
    }
}
