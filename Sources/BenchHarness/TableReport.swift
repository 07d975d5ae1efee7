import Foundation

/// A report of one table and some drawings, as a page or as a picture.
public struct TableReport: Sendable {
    /// Values over numbers.
    public struct Plot: Sendable {
        /// Points of one colour.
        public struct Series: Sendable {
            /// What they have in common.
            public var name: String
            /// The places, and what a browser shows at each.
            public var points: [Point]
            /// Whether a line joins them.
            public var isJoined: Bool

            /// Points of one colour.
            public init(name: String, points: [Point], isJoined: Bool = true) {
                self.name = name
                self.points = points
                self.isJoined = isJoined
            }
        }

        /// One value.
        public struct Point: Sendable {
            /// The number it belongs to.
            public var x: Double
            /// The value.
            public var y: Double
            /// What a browser shows.
            public var title: String

            /// One value.
            public init(x: Double, y: Double, title: String) {
                self.x = x
                self.y = y
                self.title = title
            }
        }

        /// What is shown.
        public var title: String
        /// What the numbers are.
        public var xLabel: String
        /// What the values are.
        public var yLabel: String
        /// Whether values go by powers of ten; those that are not above 0 are left out then.
        public var isLogarithmic: Bool
        /// The colours.
        public var series: [Series]
        /// A value that others are compared with, and its name.
        public var level: (name: String, y: Double)?

        /// Values over numbers.
        public init(
            title: String, xLabel: String, yLabel: String, isLogarithmic: Bool, series: [Series],
            level: (name: String, y: Double)? = nil
        ) {
            self.title = title
            self.xLabel = xLabel
            self.yLabel = yLabel
            self.isLogarithmic = isLogarithmic
            self.series = series
            self.level = level
        }
    }

    /// The heading.
    public var title: String
    /// Facts that hold for all of it.
    public var facts: [String]
    /// The drawings.
    public var plots: [Plot]
    /// The table's columns; those with numbers stand at the right.
    public var columns: [TextTable.Column]
    /// The table's rows.
    public var rows: [[String]]

    /// A report.
    public init(title: String, facts: [String], plots: [Plot], columns: [TextTable.Column], rows: [[String]]) {
        self.title = title
        self.facts = facts
        self.plots = plots
        self.columns = columns
        self.rows = rows
    }

    /// The table for a terminal.
    public func text(width: Int? = nil) -> String {
        var table = TextTable(columns)
        for row in rows { table.add(row) }
        return facts.joined(separator: "\n") + "\n\n" + table.render(width: width)
    }

    /// A page that needs nothing else: no script, no other host, light and dark.
    public var html: String {
        let figures = plots.map { plot in
            Markup.element(
                "figure", [:],
                Markup.element("figcaption", [:], Markup.escape(plot.title))
                    + Markup.element(
                        "svg",
                        [
                            "viewBox": "0 0 \(Int(PointChart.width)) \(Int(PointChart.height))", "role": "img",
                            "aria-label": plot.title,
                        ], PointChart(plot: plot).pieces()))
        }
        let head = columns.map { column in
            Markup.element("th", ["scope": "col", "class": Self.kind(column)], Markup.escape(column.title))
        }.joined()
        let body = rows.map { row in
            Markup.element(
                "tr", [:],
                zip(row, columns).map { Markup.element("td", ["class": Self.kind($1)], Markup.escape($0)) }.joined())
        }.joined(separator: "\n")
        let table = Markup.element(
            "table", [:],
            Markup.element("thead", [:], Markup.element("tr", [:], head)) + Markup.element("tbody", [:], body))
        let list = facts.map { Markup.element("li", [:], Markup.escape($0)) }.joined()
        return Markup.page(
            title: title,
            style: """
                \(ReportStyle.text)
                line.level { stroke: var(--edge); stroke-dasharray: 5 4; } text.label { fill: var(--ink); }
                section { margin-top: 24px; }
                """,
            body: [
                Markup.element("h1", [:], Markup.escape(title)), Markup.element("ul", ["class": "facts"], list),
                Markup.element("section", ["class": "grid"], figures.joined(separator: "\n")),
                Markup.element("section", [:], Markup.element("div", ["class": "scroll", "tabindex": "0"], table)),
            ].joined(separator: "\n"))
    }

    /// The drawings one below the other, as a picture that stands alone.
    public var svg: String {
        let step = PointChart.height + 34
        let height = 40 + step * Double(plots.count)
        var body = Markup.element(
            "rect", ["width": Markup.number(PointChart.width), "height": Markup.number(height), "class": "ground"])
        body += Markup.text(title, x: 16, y: 26, kind: "title")
        for (index, plot) in plots.enumerated() {
            let top = 40 + step * Double(index)
            body += Markup.text(plot.title, x: 16, y: top + 18, kind: "label")
            body += Markup.element(
                "g", ["transform": "translate(0 \(Markup.number(top + 24)))"], PointChart(plot: plot).pieces())
        }
        return Markup.element(
            "svg",
            [
                "xmlns": "http://www.w3.org/2000/svg",
                "viewBox": "0 0 \(Int(PointChart.width)) \(Int(height))", "role": "img", "aria-label": title,
            ], Markup.element("style", [:], PointChart.style) + body) + "\n"
    }

    private static func kind(_ column: TextTable.Column) -> String { column.alignment == .right ? "num" : "text" }
}
