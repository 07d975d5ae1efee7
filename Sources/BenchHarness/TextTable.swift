/// A table of aligned columns for terminals.
///
/// When a table is wider than the terminal, whole columns of the least importance go first; then the widest column is
/// cut. Nothing wraps, so rows stay rows; only notes, which span the columns, wrap.
public struct TextTable: Sendable {
    /// Where a column's text stands.
    public enum Alignment: Sendable, Hashable {
        /// Words.
        case left
        /// Numbers.
        case right
    }

    /// A column.
    public struct Column: Sendable, Hashable {
        /// The heading.
        public var title: String
        /// Where its text stands.
        public var alignment: Alignment
        /// Columns of higher numbers are dropped first on narrow terminals; 0 stays always.
        public var dropOrder: Int

        /// A column.
        public init(_ title: String, _ alignment: Alignment = .left, dropOrder: Int = 0) {
            self.title = title
            self.alignment = alignment
            self.dropOrder = dropOrder
        }
    }

    private enum Row: Sendable {
        case cells([String])
        case note(leading: [String], text: String)
        case blank
    }

    private let columns: [Column]
    private var rows: [Row] = []

    /// A table without rows.
    public init(_ columns: [Column]) { self.columns = columns }

    /// Adds a row; missing cells are empty.
    public mutating func add(_ cells: [String]) {
        rows.append(.cells(cells + Array(repeating: "", count: max(0, columns.count - cells.count))))
    }

    /// Adds a row of a few cells and a text that spans the other columns.
    public mutating func addNote(_ leading: [String], _ text: String) {
        rows.append(.note(leading: leading, text: text))
    }

    /// Adds an empty line.
    public mutating func addBlank() { rows.append(.blank) }

    /// The table as lines.
    ///
    /// Cost: O(cells).
    /// - Parameter width: the terminal's; `nil` sets no limit.
    public func render(width: Int? = nil) -> String {
        var shown = Array(columns.indices)
        var widths = self.widths()
        if let width {
            while total(shown, widths) > width,
                let victim = shown.filter({ columns[$0].dropOrder > 0 }).max(by: {
                    columns[$0].dropOrder < columns[$1].dropOrder
                })
            {
                shown.removeAll { $0 == victim }
            }
            while total(shown, widths) > width, let widest = shown.max(by: { widths[$0] < widths[$1] }),
                widths[widest] > 8
            {
                widths[widest] -= 1
            }
        }
        var lines = [line(columns.map(\.title), shown, widths)]
        lines.append(shown.map { String(repeating: "-", count: widths[$0]) }.joined(separator: "  "))
        for row in rows {
            switch row {
            case .cells(let cells): lines.append(line(cells, shown, widths))
            case .blank: lines.append("")
            case .note(let leading, let text):
                let limit = width ?? max(total(shown, widths), 100)
                lines += note(leading, text, shown, widths, limit: limit)
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func widths() -> [Int] {
        var widths = columns.map { TextWidth.of($0.title) }
        for row in rows {
            let cells: [String]
            switch row {
            case .cells(let values): cells = values
            case .note(let leading, _): cells = leading
            case .blank: cells = []
            }
            for (index, cell) in cells.enumerated() where index < widths.count {
                widths[index] = max(widths[index], TextWidth.of(cell))
            }
        }
        return widths
    }

    private func total(_ shown: [Int], _ widths: [Int]) -> Int {
        shown.reduce(0) { $0 + widths[$1] } + 2 * max(0, shown.count - 1)
    }

    private func line(_ cells: [String], _ shown: [Int], _ widths: [Int]) -> String {
        let padded = shown.map { index in
            TextWidth.pad(TextWidth.cut(cells[index], to: widths[index]), to: widths[index], columns[index].alignment)
        }
        return TextWidth.trimmingEnd(padded.joined(separator: "  "))
    }

    private func note(_ leading: [String], _ text: String, _ shown: [Int], _ widths: [Int], limit: Int) -> [String] {
        let kept = shown.filter { $0 < leading.count }
        let head = kept.map { TextWidth.pad(TextWidth.cut(leading[$0], to: widths[$0]), to: widths[$0], .left) }
            .joined(separator: "  ")
        let indent = head.isEmpty ? 0 : TextWidth.of(head) + 2
        let parts = TextWidth.wrap(text, to: max(24, limit - indent))
        return parts.enumerated().map { index, part in
            let start = index == 0 ? (head.isEmpty ? "" : head + "  ") : String(repeating: " ", count: indent)
            return TextWidth.trimmingEnd(start + part)
        }
    }
}

/// Columns that text takes on a terminal.
public enum TextWidth {
    /// Columns of a text: wide characters of East Asia and emoji take two, combining marks none.
    public static func of(_ text: String) -> Int {
        text.reduce(0) { $0 + of($1) }
    }

    private static func of(_ character: Character) -> Int {
        guard let scalar = character.unicodeScalars.first else { return 0 }
        if scalar.properties.generalCategory == .nonspacingMark || scalar.value == 0x200B { return 0 }
        if scalar.properties.isEmojiPresentation { return 2 }
        switch scalar.value {
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xA000...0xA4CF,
            0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE4F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x20000...0x3FFFD:
            return 2
        default:
            return 1
        }
    }

    /// The text, or its start and an ellipsis where it is too wide.
    public static func cut(_ text: String, to width: Int) -> String {
        guard of(text) > width else { return text }
        var result = ""
        var used = 0
        for character in text {
            guard used + of(character) < width else { break }
            result.append(character)
            used += of(character)
        }
        return result + "…"
    }

    static func pad(_ text: String, to width: Int, _ alignment: TextTable.Alignment) -> String {
        let space = String(repeating: " ", count: max(0, width - of(text)))
        return alignment == .left ? text + space : space + text
    }

    /// The text in lines of at most a width, broken between words.
    public static func wrap(_ text: String, to width: Int) -> [String] {
        var lines: [String] = []
        var current = ""
        for word in text.split(separator: " ") {
            if !current.isEmpty, of(current) + 1 + of(String(word)) > width {
                lines.append(current)
                current = ""
            }
            current += current.isEmpty ? String(word) : " \(word)"
        }
        return current.isEmpty && !lines.isEmpty ? lines : lines + [current]
    }

    static func trimmingEnd(_ text: String) -> String {
        guard let last = text.lastIndex(where: { $0 != " " }) else { return "" }
        return String(text[...last])
    }
}
