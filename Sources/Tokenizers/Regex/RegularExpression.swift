/// A regular expression in Oniguruma's syntax, as `tokenizer.json` has them.
///
/// A backtracking machine with an explicit stack, so that no text exhausts the call stack, and a bound on its steps.
/// The platform's expressions are not used: their classes follow another version of Unicode than Hugging Face's.
struct RegularExpression: Sendable {
    /// The pattern as written.
    let pattern: String
    private let program: RegexProgram

    /// Reads a pattern.
    init(_ pattern: String) throws(RegexFailure) {
        self.pattern = pattern
        program = try RegexProgram(try RegexParser.parse(pattern))
    }

    /// Where the pattern matches: from the left, without overlap; empty matches too, but not right after another.
    ///
    /// Cost: for the usual patterns O(length).
    /// - Throws: ``TokenizerError/tooCostly(pattern:steps:)``.
    func matches(_ text: ArraySlice<Unicode.Scalar>) throws(TokenizerError) -> [Range<Int>] {
        var machine = RegexMachine(program, text)
        var found: [Range<Int>] = []
        var start = text.startIndex
        while start <= text.endIndex {
            guard let end = machine.match(at: start) else {
                if machine.isExhausted { throw .tooCostly(pattern: pattern, steps: machine.limit) }
                start += 1
                continue
            }
            if end > start || found.last?.upperBound != start { found.append(start..<end) }
            start = max(end, start + 1)
        }
        return found
    }
}

/// One run of a program over a text.
private struct RegexMachine {
    /// A place to go back to; for a run, every place from `low` to `position`.
    private struct Retreat {
        var instruction: Int
        var low: Int
        var position: Int
        /// +1 for lazy runs, which grow instead of shrinking towards `low`.
        var isLazy: Bool
    }

    let program: RegexProgram
    let text: ArraySlice<Unicode.Scalar>
    /// The most steps; the usual patterns need fewer than ten for each scalar.
    let limit: Int
    private var steps = 0
    private var stack: [Retreat] = []

    init(_ program: RegexProgram, _ text: ArraySlice<Unicode.Scalar>) {
        self.program = program
        self.text = text
        limit = 1_000_000 + 200 * text.count
    }

    var isExhausted: Bool { steps > limit }

    /// The end of a match that starts here, or `nil`.
    mutating func match(at start: Int) -> Int? { run(0, start) }

    private mutating func run(_ first: Int, _ start: Int) -> Int? {
        let base = stack.count
        defer { stack.removeSubrange(base...) }
        var instruction = first
        var position = start
        while true {
            steps += 1
            if steps > limit { return nil }
            let goes: Bool
            switch program.instructions[instruction] {
            case .match: return position
            case .scalar(let value):
                goes = position < text.endIndex && text[position].value == value
                position += 1
                instruction += 1
            case .folded(let value):
                goes = position < text.endIndex && CaseFolding.fold(text[position].value) == value
                position += 1
                instruction += 1
            case .set(let set):
                goes = position < text.endIndex && program.sets[set].contains(text[position])
                position += 1
                instruction += 1
            case .branch(let now, let later):
                stack.append(Retreat(instruction: later, low: position, position: position, isLazy: false))
                instruction = now
                goes = true
            case .jump(let target):
                instruction = target
                goes = true
            case .run(let set, let minimum, let maximum, let greed):
                goes = take(set, minimum, maximum, greed, next: instruction + 1, &position)
                instruction += 1
            case .look(let behind, let isNegated, let end):
                let place = position - behind
                goes = (place >= text.startIndex && run(instruction + 1, place) != nil) != isNegated
                instruction = end
            case .atomic(let end):
                if let stop = run(instruction + 1, position) {
                    position = stop
                    goes = true
                } else {
                    goes = false
                }
                instruction = end
            case .assertion(let kind):
                goes = holds(kind, position)
                instruction += 1
            }
            if !goes {
                guard stack.count > base, retreat(&instruction, &position) else { return nil }
            }
        }
    }

    /// Takes scalars of a set, and remembers where it may stop earlier or later.
    private mutating func take(
        _ index: Int, _ minimum: Int, _ maximum: Int, _ greed: RegexGreed, next: Int, _ position: inout Int
    ) -> Bool {
        let set = program.sets[index]
        let start = position
        let end = maximum > text.endIndex - start ? text.endIndex : start + maximum
        var stop = start
        while stop < end, set.contains(text[stop]) { stop += 1 }
        steps += (stop - start) / 8
        guard stop - start >= minimum else { return false }
        let least = start + minimum
        switch greed {
        case .possessive: position = stop
        case .greedy:
            position = stop
            if stop > least {
                stack.append(Retreat(instruction: next, low: least, position: stop - 1, isLazy: false))
            }
        case .lazy:
            position = least
            if stop > least {
                stack.append(Retreat(instruction: next, low: stop, position: least + 1, isLazy: true))
            }
        }
        return true
    }

    private mutating func retreat(_ instruction: inout Int, _ position: inout Int) -> Bool {
        guard var top = stack.popLast() else { return false }
        instruction = top.instruction
        position = top.position
        if top.position != top.low {
            top.position += top.isLazy ? 1 : -1
            stack.append(top)
        }
        return true
    }

    private func holds(_ assertion: RegexAssertion, _ position: Int) -> Bool {
        let isStart = position == text.startIndex
        let isEnd = position == text.endIndex
        switch assertion {
        case .textStart: return isStart
        case .textEnd: return isEnd
        // Ruby's syntax: a line ends before every line feed; the last line feed begins no line.
        case .lineStart: return isStart || (text[position - 1] == "\n" && !isEnd)
        case .lineEnd: return isEnd || text[position] == "\n"
        case .wordBoundary: return isWord(position - 1) != isWord(position)
        case .noWordBoundary: return isWord(position - 1) == isWord(position)
        }
    }

    private func isWord(_ position: Int) -> Bool {
        guard text.indices.contains(position) else { return false }
        let value = text[position].value
        return ScalarClasses.of(value).contains(.word) || ScalarClasses.latinNumbers.contains { $0.contains(value) }
    }
}
