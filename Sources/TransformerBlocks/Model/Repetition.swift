/// A stretch of a list that follows itself a number of times.
struct Repetition: Hashable {
    /// The first occurrence.
    let range: Range<Int>
    /// How often it occurs, one after the other.
    let count: Int

    /// Cuts a list into stretches, each as often repeated as it can be.
    ///
    /// Cost: O(items³) comparisons at worst, O(items · period) for a stack of equal blocks.
    static func fold<Item: Equatable>(_ items: [Item]) -> [Repetition] {
        var parts: [Repetition] = []
        var start = 0
        while start < items.count {
            let best = longest(items, from: start)
            parts.append(best)
            start += best.range.count * best.count
        }
        return parts
    }

    private static func longest<Item: Equatable>(_ items: [Item], from start: Int) -> Repetition {
        var best = Repetition(range: start..<start + 1, count: 1)
        var period = 1
        while start + 2 * period <= items.count {
            var end = start + period
            while end < items.count, items[end] == items[end - period] { end += 1 }
            let count = (end - start) / period
            if count > 1, count * period > best.count * best.range.count {
                best = Repetition(range: start..<start + period, count: count)
            }
            period += 1
        }
        return best
    }
}
