/// Finds the first stop text to be completed in a text that comes in pieces, however it is cut.
///
/// For each stop text the matcher keeps how many of its bytes the text so far ends with (Knuth, Morris and Pratt,
/// 1977): that is all it needs to continue, and the largest of these numbers is how much of the text might still become
/// a stop text. Bytes of UTF-8 are compared, so a stop text is found where exactly its code points stand; grapheme
/// clusters that a piece might complete play no part.
struct StopMatcher: Sendable {
    /// A stop text that has been completed.
    struct Match: Hashable {
        /// Its number in the list.
        let stop: Int
        /// Where it ends, in bytes of the piece that completed it.
        let end: Int
        /// Its length in bytes.
        let length: Int
    }

    private let patterns: [Pattern]
    private var lengths: [Int]

    /// A matcher of texts that are not empty.
    init(_ stops: [String]) {
        patterns = stops.map { Pattern(Array($0.utf8)) }
        lengths = [Int](repeating: 0, count: stops.count)
    }

    /// How many bytes at the end of the text may be the beginning of a stop text.
    var pending: Int { lengths.max() ?? 0 }

    /// Reads a piece up to the first completed stop text, the first of the list where several end together; reads all
    /// of it without `stopping`.
    mutating func read(_ piece: [UInt8], stopping: Bool) -> Match? {
        guard !patterns.isEmpty else { return nil }
        for (offset, byte) in piece.enumerated() {
            var match: Match?
            for stop in patterns.indices {
                let pattern = patterns[stop]
                lengths[stop] = pattern.next(after: lengths[stop], byte)
                if lengths[stop] == pattern.bytes.count {
                    match = match ?? Match(stop: stop, end: offset + 1, length: lengths[stop])
                    // A stop that does not count goes on as the longest beginning of another.
                    lengths[stop] = pattern.borders[lengths[stop]]
                }
            }
            if stopping, let match { return match }
        }
        return nil
    }

    private struct Pattern: Sendable {
        let bytes: [UInt8]
        /// For each length of a beginning, the length of its longest proper end that is a beginning too.
        let borders: [Int]

        init(_ bytes: [UInt8]) {
            self.bytes = bytes
            var borders = [Int](repeating: 0, count: bytes.count + 1)
            var length = 0
            for index in bytes.indices.dropFirst() {
                while length > 0, bytes[index] != bytes[length] { length = borders[length] }
                if bytes[index] == bytes[length] { length += 1 }
                borders[index + 1] = length
            }
            self.borders = borders
        }

        func next(after matched: Int, _ byte: UInt8) -> Int {
            var length = matched
            while length > 0, bytes[length] != byte { length = borders[length] }
            return bytes[length] == byte ? length + 1 : 0
        }
    }
}
