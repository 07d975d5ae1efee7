/// Finds what a misspelt name was meant to be.
public enum NearestName {
    /// At most three known names near to `name`, nearest first.
    ///
    /// Near means an edit distance of at most two, or a third of the name. Cost: O(known · length²).
    public static func suggestions(for name: String, among known: [String]) -> [String] {
        let limit = max(2, name.count / 3)
        let wanted = Array(name.lowercased())
        return known.map { (name: $0, distance: distance(wanted, Array($0.lowercased()))) }
            .filter { $0.distance <= limit && $0.distance < max(wanted.count, $0.name.count) }
            .sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }
            .prefix(3).map(\.name)
    }

    /// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
    static func distance(_ left: [Character], _ right: [Character]) -> Int {
        var previous = [Int](repeating: 0, count: right.count + 1)
        var current = Array(0...right.count)
        for i in 0..<left.count {
            let before = previous
            previous = current
            current[0] = i + 1
            for j in 0..<right.count {
                let cost = left[i] == right[j] ? 0 : 1
                var best = min(current[j] + 1, previous[j + 1] + 1, previous[j] + cost)
                let isSwap = i > 0 && j > 0 && left[i] == right[j - 1] && left[i - 1] == right[j]
                if isSwap { best = min(best, before[j - 1] + 1) }
                current[j + 1] = best
            }
        }
        return current[right.count]
    }
}
