import BenchHarness
import Testing

@Suite struct TextTableTests {
    private func table() -> TextTable {
        var table = TextTable([
            .init("name"), .init("value", .right, dropOrder: 1), .init("unit", dropOrder: 2),
        ])
        table.add(["flash", "1.5", "ms"])
        table.add(["full", "12.25", "ms"])
        return table
    }

    @Test func columnsAlign() {
        let expected = """
            name   value  unit
            -----  -----  ----
            flash    1.5  ms
            full   12.25  ms

            """
        #expect(table().render() == expected)
    }

    @Test func narrowTerminalsLoseTheLeastColumnsFirst() {
        let narrow = """
            name   value
            -----  -----
            flash    1.5
            full   12.25

            """
        #expect(table().render(width: 17) == narrow)
        #expect(
            table().render(width: 11).split(separator: "\n").map(String.init) == ["name", "-----", "flash", "full"])
    }

    @Test func longestColumnIsCutWhenNothingCanGo() {
        var table = TextTable([.init("text")])
        table.add(["abcdefghijklmnop"])
        #expect(table.render(width: 10).contains("abcdefghi…\n"))
    }

    @Test func notesSpanAndWrap() {
        var table = TextTable([.init("case"), .init("operator"), .init("median", .right)])
        table.add(["a", "flash", "1 ms"])
        table.addNote(["", "local"], "window: left is unlimited; set window to [left, right]")
        let lines = table.render(width: 44).split(separator: "\n").map(String.init)
        #expect(lines[3] == "      local     window: left is unlimited;")
        #expect(lines[4] == "                set window to [left, right]")
    }

    @Test func wideCharactersTakeTwoColumns() {
        #expect(TextWidth.of("注意") == 4)
        #expect(TextWidth.of("🦒") == 2)
        #expect(TextWidth.of("naïve") == 5)
        #expect(TextWidth.of("e\u{301}") == 1)
        #expect(TextWidth.cut("注意力", to: 5) == "注意…")
        var table = TextTable([.init("text"), .init("n", .right)])
        table.add(["注意", "1"])
        table.add(["ab", "2"])
        #expect(table.render() == "text  n\n----  -\n注意  1\nab    2\n")
    }
}
