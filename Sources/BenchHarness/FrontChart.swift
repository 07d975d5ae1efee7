import Foundation

/// A drawing of candidates by time and error, both by powers of ten, with the front that no other candidate beats.
struct FrontChart {
    /// One candidate.
    struct Point {
        let name: String
        let family: String
        let seconds: Double
        let error: Double
        let isOnFront: Bool
        let title: String
    }

    /// How much is written beside the marks.
    enum Detail {
        /// Names of all candidates that have room.
        case names
        /// Names on the front alone.
        case front
    }

    let points: [Point]
    /// Families in the order of their colours.
    let families: [String]
    let detail: Detail
    let left: Double
    let top: Double
    let width: Double
    let height: Double

    private var plotLeft: Double { left + 46 }
    private var plotRight: Double { left + width - 12 }
    private var plotBottom: Double { top + height - 34 }

    /// The drawing as pieces of SVG, to be placed within a picture.
    func render() -> String {
        let shown = points.filter { $0.seconds > 0 && $0.error.isFinite }
        guard let quickest = shown.map(\.seconds).min(), let slowest = shown.map(\.seconds).max() else { return "" }
        let times = Axis(
            low: log10(quickest) - 0.12, high: max(log10(slowest) + 0.25, log10(quickest) + 0.6), start: plotLeft,
            end: plotRight)
        // Beyond twice the norm how wrong a result is does not matter either: such marks stand on the top line.
        // Errors of rounding stand on the bottom line: how small they are does not matter.
        let smallest = shown.map(\.error).filter { $0 > Advice.rounding }.min() ?? 1
        let low = min(-3, log10(smallest).rounded(.down)) - 0.9
        let high = 0.35
        let errors = Axis(low: low, high: high, start: plotBottom, end: top + 6)
        func place(_ point: Point) -> (Double, Double) {
            (
                times.place(log10(point.seconds)),
                errors.place(point.error <= Advice.rounding ? low + 0.25 : min(log10(point.error), high - 0.06))
            )
        }
        let front = shown.filter(\.isOnFront).sorted { $0.seconds < $1.seconds }
        var body = grid(times, errors)
        body += frontLine(front.map(place))
        for point in shown.sorted(by: { !$0.isOnFront && $1.isOnFront }) {
            let (x, y) = place(point)
            body += mark(point, x, y)
        }
        return body + labels(shown, place)
    }

    private func mark(_ point: Point, _ x: Double, _ y: Double) -> String {
        let index = families.firstIndex(of: point.family) ?? 0
        let shape = Markup.mark(index, x: x, y: y, title: point.title)
        return point.isOnFront
            ? Markup.element(
                "circle", ["cx": Markup.number(x), "cy": Markup.number(y), "r": "8.5", "class": "ring"]) + shape
            : Markup.element("g", ["class": "beaten"], shape)
    }

    /// Steps down from the quickest to the nearest.
    private func frontLine(_ places: [(Double, Double)]) -> String {
        guard let first = places.first else { return "" }
        var corners = [(first.0, top + 6), first]
        for place in places.dropFirst() {
            corners.append((place.0, corners[corners.count - 1].1))
            corners.append(place)
        }
        corners.append((plotRight, corners[corners.count - 1].1))
        let text = corners.map { "\(Markup.number($0.0)),\(Markup.number($0.1))" }.joined(separator: " ")
        return Markup.element("polyline", ["points": text, "class": "frontline"])
    }

    /// Names where they cover no other name; those on the front first.
    private func labels(_ shown: [Point], _ place: (Point) -> (Double, Double)) -> String {
        var taken: [(x: ClosedRange<Double>, y: ClosedRange<Double>)] = shown.map { point in
            let (x, y) = place(point)
            let reach = point.isOnFront ? 9.0 : 5
            return ((x - reach)...(x + reach), (y - reach)...(y + reach))
        }
        var body = ""
        let size = detail == .names ? 6.2 : 5.4
        for point in shown.sorted(by: { $0.isOnFront && !$1.isOnFront }) where point.isOnFront || detail == .names {
            let (x, y) = place(point)
            let extent = Double(point.name.count) * size
            let spots = [(11.0, 4.0), (11, -9), (11, 16), (-11 - extent, 4), (-11 - extent, -9), (-11 - extent, 16)]
            for (dx, dy) in spots {
                let across = (x + dx)...(x + dx + extent)
                let down = (y + dy - 9)...(y + dy + 2)
                guard across.lowerBound >= plotLeft, across.upperBound <= plotRight + 8, down.lowerBound > top,
                    !taken.contains(where: { $0.x.overlaps(across) && $0.y.overlaps(down) })
                else { continue }
                taken.append((across, down))
                body += Markup.text(point.name, x: x + dx, y: y + dy, kind: point.isOnFront ? "best" : "other")
                break
            }
        }
        return body
    }

    private func grid(_ times: Axis, _ errors: Axis) -> String {
        var body = ""
        for exponent in stride(from: (errors.low + 0.5).rounded(.up), through: errors.high, by: 1) {
            let y = errors.place(exponent)
            body += Markup.line(plotLeft, y, plotRight, y, kind: "grid")
            body += Markup.text(Self.part(exponent), x: plotLeft - 6, y: y + 4, anchor: "end")
        }
        body += Markup.text("exact", x: plotLeft - 6, y: errors.place(errors.low + 0.25) + 4, anchor: "end")
        body += Markup.line(plotLeft, plotBottom, plotRight, plotBottom, kind: "axis")
        for (value, label) in Self.timeTicks(times) {
            let x = times.place(log10(value))
            body += Markup.line(x, top + 6, x, plotBottom, kind: "grid")
            body += Markup.text(label, x: x, y: plotBottom + 16, anchor: "middle")
        }
        return body
    }

    private static func part(_ exponent: Double) -> String {
        switch Int(exponent) {
        case 0: "100 %"
        case -1: "10 %"
        case -2: "1 %"
        case -3: "0.1 %"
        default: "1e\(Int(exponent))"
        }
    }

    private static func timeTicks(_ axis: Axis) -> [(Double, String)] {
        var ticks: [(Double, String)] = []
        for exponent in Int(axis.low.rounded(.down))...Int(axis.high.rounded(.up)) {
            for factor in [1.0, 2, 5] {
                let value = factor * pow(10, Double(exponent))
                guard (axis.low...axis.high).contains(log10(value)) else { continue }
                ticks.append((value, label(value)))
            }
        }
        return Double(ticks.count) * 62 > axis.end - axis.start ? ticks.filter { $0.1.hasPrefix("1") } : ticks
    }

    private static func label(_ seconds: Double) -> String {
        func number(_ value: Double) -> String { "\(Int(value.rounded()))" }
        switch seconds {
        case 0.9995...: return "\(number(seconds)) s"
        case 0.9995e-3..<0.9995: return "\(number(seconds * 1e3)) ms"
        default: return "\(number(seconds * 1e6)) µs"
        }
    }
}
