import Foundation

/// A study as a picture: the model at large, then each layer.
public enum AdvicePicture {
    /// The drawing as SVG, which stands alone.
    public static func svg(_ advice: Advice) -> String {
        let families = Array(
            advice.whole.reduce(into: [String]()) { if !$0.contains($1.family) { $0.append($1.family) } }.sorted())
        let columns = 3
        let rows = (advice.layers.count + columns - 1) / columns
        let cell = (width: (width - 2 * margin) / Double(columns), height: 226.0)
        let wholeHeight = 430.0
        let height = 92 + wholeHeight + 34 + Double(rows) * cell.height + 12
        var body = Markup.text(headline(advice), x: margin, y: 28, kind: "title")
        body += Markup.text(
            "Each mark is an operator with a setting: quicker to the left, nearer to full attention below. "
                + "The line joins those that no other beats in both.", x: margin, y: 48, kind: "note")
        body += legend(families, y: 70)
        body += FrontChart(
            points: points(advice.whole, timesFor: "all layers"), families: families, detail: .names, left: margin,
            top: 84, width: width - 2 * margin, height: wholeHeight
        ).render()
        body += Markup.text(
            "time of all layers' attention · error: distance from full attention over its norm, over the layers",
            x: width / 2, y: 84 + wholeHeight - 2, anchor: "middle", kind: "note")
        for (index, layer) in advice.layers.enumerated() {
            let left = margin + Double(index % columns) * cell.width
            let top = 92 + wholeHeight + 34 + Double(index / columns) * cell.height
            body += Markup.text(
                "layer \(layer.number)" + (hasLengths(advice) ? ", \(layer.length) tokens" : ""), x: left + 46,
                y: top - 6,
                kind: "name")
            body += FrontChart(
                points: points(layer.results, timesFor: layer.place), families: families, detail: .front, left: left,
                top: top, width: cell.width, height: cell.height - 18
            ).render()
        }
        return Markup.element(
            "svg",
            [
                "xmlns": "http://www.w3.org/2000/svg", "viewBox": "0 0 \(Int(width)) \(Int(height))", "role": "img",
                "aria-label": headline(advice),
            ],
            Markup.element("style", [:], style)
                + Markup.element(
                    "rect", ["width": Markup.number(width), "height": Markup.number(height), "class": "ground"]) + body)
            + "\n"
    }

    private static let width = 1060.0
    private static let margin = 16.0

    private static func headline(_ advice: Advice) -> String {
        let name = advice.model.split(separator: "/").last.map(String.init) ?? advice.model
        return "Which attention fits \(name) at \(advice.length) tokens? "
            + "(\(advice.machine.isa), \(advice.machine.threads) \(advice.machine.threads == 1 ? "thread" : "threads"))"
    }

    private static func hasLengths(_ advice: Advice) -> Bool { Set(advice.layers.map(\.length)).count > 1 }

    private static func points(_ results: [Advice.Result], timesFor subject: String) -> [FrontChart.Point] {
        results.compactMap { result in
            guard let seconds = result.seconds, let error = result.error else { return nil }
            return FrontChart.Point(
                name: result.name, family: result.family, seconds: seconds, error: error, isOnFront: result.isOnFront,
                title: "\(result.name): \(Quantity.seconds(seconds)) for \(subject), error "
                    + AdviceText.part(error) + (result.isOnFront ? ", on the front" : ""))
        }
    }

    private static func legend(_ families: [String], y: Double) -> String {
        var x = margin + 6
        var body = ""
        for (index, family) in families.enumerated() {
            body += Markup.mark(index, x: x, y: y - 4, title: family)
            body += Markup.text(family, x: x + 11, y: y, kind: "other")
            x += 34 + Double(family.count) * 6.6
        }
        return body
    }

    private static var style: String {
        """
        :root{--ground:#fbfbf9;--ink:#1b1c1d;--soft:#5b6066;--rule:#e4e5e3;--edge:#9aa0a6;--front:#1b1c1d;\
        \(Palette.variables(Palette.light))}\
        @media(prefers-color-scheme:dark){:root{--ground:#141517;--ink:#e9eaeb;--soft:#a5abb2;--rule:#2b2e33;\
        --edge:#777e87;--front:#e9eaeb;\(Palette.variables(Palette.dark))}}\(Palette.classes)\
        text{font:11px system-ui,"DejaVu Sans",sans-serif;fill:var(--soft)}.title{font-size:17px;font-weight:600;\
        fill:var(--ink)}.note{font-size:12px}.name{font-size:13px;font-weight:600;fill:var(--ink)}\
        .best,.other{paint-order:stroke;stroke:var(--ground);stroke-width:3px;stroke-linejoin:round}\
        .best{font-weight:600;fill:var(--ink)}.ground{fill:var(--ground)}line.grid{stroke:var(--rule)}\
        line.axis{stroke:var(--edge)}.frontline{fill:none;stroke:var(--front);stroke-width:1.4;\
        stroke-dasharray:4 3;opacity:.6}.ring{fill:none;stroke:var(--front);stroke-width:1.4}\
        .mark{fill:var(--c);stroke:var(--ground);stroke-width:1}.beaten{opacity:.75}
        """
    }
}
