/// How many pages the tokens of sequences take.
package struct PageGeometry: Sendable, Hashable {
    /// The tokens of a page.
    package let pageSize: Int
    /// The last keys that a token sees, its own among them; `nil` where it sees all.
    package let window: Int?

    /// Pages of so many tokens, for attention with so wide a window.
    package init(pageSize: Int, window: Int?) {
        self.pageSize = pageSize
        self.window = window
    }

    /// The pages of so many tokens.
    package func pageCount(forTokens tokens: Int) -> Int { (tokens + pageSize - 1) / pageSize }

    /// How many pages at the beginning of a sequence hold no key that a token after the computed ones sees.
    package func hiddenPages(computed: Int) -> Int {
        window.map { max(0, computed - $0 + 1) / pageSize } ?? 0
    }

    /// The most pages that sequences of so many tokens each have at once, where a step computes at most `stepTokens` of
    /// all together.
    ///
    /// With a window a sequence that computes `n` tokens needs the pages of `window - 1 + n` keys in a row. Keys in a row
    /// lie in at most `(keys + pageSize - 2) / pageSize + 1` pages, and the sum of quotients rounded down is at most that
    /// of their sum.
    package func mostPages(sequences: Int, tokens: Int, stepTokens: Int) -> Int {
        let all = sequences * pageCount(forTokens: tokens)
        guard let window, window < tokens else { return all }
        let keys = sequences * (window + pageSize - 3) + min(stepTokens, sequences * tokens)
        return min(all, sequences + max(0, keys) / pageSize)
    }
}
