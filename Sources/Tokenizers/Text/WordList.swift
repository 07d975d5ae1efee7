/// A text on its way through the pre-tokenizers: scalars, and the words among them.
struct WordList {
    /// The text; what is in no word is passed over.
    var scalars: [Unicode.Scalar]
    /// The words, from left to right, none empty.
    var words: [Range<Int>]
    /// Whether the first word begins the whole text, with no added token before it.
    let startsText: Bool

    /// A text as one word.
    init(_ scalars: [Unicode.Scalar], startsText: Bool) {
        self.scalars = scalars
        words = scalars.isEmpty ? [] : [0..<scalars.count]
        self.startsText = startsText
    }

    /// Cuts every word at its matches.
    mutating func split(
        _ behavior: SplitBehavior, isInverted: Bool = false,
        matches: (ArraySlice<Unicode.Scalar>) throws(TokenizerError) -> [Range<Int>]
    ) throws(TokenizerError) {
        var result: [Range<Int>] = []
        for word in words {
            var pieces: [SplitBehavior.Piece] = []
            var done = word.lowerBound
            for match in try matches(scalars[word]) {
                if done < match.lowerBound { pieces.append((done..<match.lowerBound, isInverted)) }
                pieces.append((match, !isInverted))
                done = match.upperBound
            }
            if done < word.upperBound { pieces.append((done..<word.upperBound, isInverted)) }
            behavior.join(pieces, into: &result)
        }
        words = result.filter { !$0.isEmpty }
    }

    /// Cuts every word at each scalar of a kind.
    mutating func split(_ behavior: SplitBehavior, where isMatch: (Unicode.Scalar) -> Bool) throws(TokenizerError) {
        try split(behavior) { (text) throws(TokenizerError) in
            text.indices.filter { isMatch(text[$0]) }.map { $0..<$0 + 1 }
        }
    }

    /// Writes every word anew.
    mutating func rewrite(_ body: (_ word: ArraySlice<Unicode.Scalar>, _ isFirst: Bool, inout [Unicode.Scalar]) -> Void)
    {
        var result: [Unicode.Scalar] = []
        result.reserveCapacity(scalars.count + scalars.count / 4)
        for (index, word) in words.enumerated() {
            let start = result.count
            body(scalars[word], index == 0 && startsText, &result)
            words[index] = start..<result.count
        }
        scalars = result
        words.removeAll(where: \.isEmpty)
    }
}

/// What becomes of the matches when a text is cut at them.
public enum SplitBehavior: String, Sendable, Hashable, CaseIterable {
    /// They go.
    case removed = "Removed"
    /// They are words of their own.
    case isolated = "Isolated"
    /// They end the word before them.
    case mergedWithPrevious = "MergedWithPrevious"
    /// They begin the word after them.
    case mergedWithNext = "MergedWithNext"
    /// Those side by side are one word.
    case contiguous = "Contiguous"

    /// A part of a text, and whether it is a match.
    typealias Piece = (range: Range<Int>, isMatch: Bool)

    /// Appends the words that the pieces of a text make.
    func join(_ pieces: [Piece], into words: inout [Range<Int>]) {
        switch self {
        case .removed: for piece in pieces where !piece.isMatch { words.append(piece.range) }
        case .isolated: for piece in pieces { words.append(piece.range) }
        case .contiguous, .mergedWithPrevious: joinBackwards(pieces, into: &words)
        case .mergedWithNext:
            var start: Int?
            for (index, piece) in pieces.enumerated() {
                let first = start ?? piece.range.lowerBound
                // Of matches side by side only the last begins the next word.
                let goesOn = index + 1 < pieces.count && piece.isMatch && !pieces[index + 1].isMatch
                start = goesOn ? first : nil
                if !goesOn { words.append(first..<piece.range.upperBound) }
            }
        }
    }

    private func joinBackwards(_ pieces: [Piece], into words: inout [Range<Int>]) {
        for (index, piece) in pieces.enumerated() {
            let previous = index > 0 && pieces[index - 1].isMatch
            let joins = self == .contiguous ? piece.isMatch == previous : piece.isMatch && !previous
            if index > 0, joins, let last = words.popLast() {
                words.append(last.lowerBound..<piece.range.upperBound)
            } else {
                words.append(piece.range)
            }
        }
    }
}
