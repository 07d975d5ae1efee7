import Foundation

/// Pieces of HTML and SVG.
///
/// Everything is well-formed XML, so that a test can parse it.
enum Markup {
    /// Text with the characters that markup reserves replaced.
    static func escape(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;")
    }

    /// An element with its attributes in order.
    static func element(_ name: String, _ attributes: KeyValuePairs<String, String> = [:], _ content: String = "")
        -> String
    {
        let pairs = attributes.map { " \($0)=\"\(escape($1))\"" }.joined()
        return content.isEmpty ? "<\(name)\(pairs)/>" : "<\(name)\(pairs)>\(content)</\(name)>"
    }

    /// A coordinate with a tenth of a pixel.
    static func number(_ value: Double) -> String {
        let rounded = (value * 10).rounded() / 10
        return rounded == rounded.rounded() ? String(Int(rounded)) : String(format: "%.1f", rounded)
    }

    /// A label of a drawing.
    static func text(
        _ content: String, x: Double, y: Double, anchor: String = "start", kind: String = "tick"
    ) -> String {
        element(
            "text", ["x": number(x), "y": number(y), "text-anchor": anchor, "class": kind], escape(content))
    }

    /// A straight line of a drawing.
    static func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, kind: String) -> String {
        element("line", ["x1": number(x1), "y1": number(y1), "x2": number(x2), "y2": number(y2), "class": kind])
    }

    /// A mark of a series at a place: colour and shape both tell the series, and hovering tells the value.
    static func mark(_ series: Int, x: Double, y: Double, title: String) -> String {
        let shape: String
        switch series % 4 {
        case 0: shape = element("circle", ["cx": number(x), "cy": number(y), "r": "4.5"], hover(title))
        case 1: shape = polygon([(-4.2, -4.2), (4.2, -4.2), (4.2, 4.2), (-4.2, 4.2)], x, y, title)
        case 2: shape = polygon([(0, -5.6), (5.2, 3.9), (-5.2, 3.9)], x, y, title)
        default: shape = polygon([(0, -5.8), (5.8, 0), (0, 5.8), (-5.8, 0)], x, y, title)
        }
        return element("g", ["class": "mark s\(series % Palette.count)"], shape)
    }

    private static func polygon(_ corners: [(Double, Double)], _ x: Double, _ y: Double, _ title: String) -> String {
        let points = corners.map { "\(number(x + $0.0)),\(number(y + $0.1))" }.joined(separator: " ")
        return element("polygon", ["points": points], hover(title))
    }

    /// A page that needs nothing else: no script, no other host.
    static func page(title: String, style: String, body: String) -> String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8"/>
        <meta name="viewport" content="width=device-width, initial-scale=1"/>
        <title>\(escape(title))</title>
        <style>
        \(style)
        </style>
        </head>
        <body>
        \(body)
        </body>
        </html>

        """
    }

    /// What a browser shows when the pointer rests on the parent.
    static func hover(_ title: String) -> String { title.isEmpty ? "" : element("title", [:], escape(title)) }
}

/// Colours of series on light and on dark ground, told apart by people with the common colour blindnesses too.
enum Palette {
    static let light = ["#2a78d6", "#c2571a", "#008300", "#4a3aa7", "#d6498f", "#b07d00", "#119a77", "#d03b3b"]
    static let dark = ["#5ba0ee", "#f08a4b", "#3fb950", "#a79bf5", "#ee86b8", "#dcae3c", "#3cc9a3", "#f07f7f"]
    static var count: Int { light.count }

    /// Colours as variables of a style sheet: what pictures that stand alone begin with.
    static func variables(_ colours: [String]) -> String {
        colours.enumerated().map { "--s\($0):\($1);" }.joined()
    }

    /// A class for each colour.
    static var classes: String { light.indices.map { ".s\($0){--c:var(--s\($0))}" }.joined() }
}
