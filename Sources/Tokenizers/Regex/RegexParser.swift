/// Reads the part of Oniguruma's syntax that tokenizers use.
///
/// Sets, `\p{…}`, groups without captures, look-around, greedy, lazy and possessive repetition, `(?i)`; anything else
/// is refused by name.
struct RegexParser {
    private let pattern: [Unicode.Scalar]
    private var position = 0
    private var foldsCase = false
    private var depth = 0

    /// Deeper nesting than any pattern in use; keeps hostile files from exhausting the stack.
    private static let maximumDepth = 50
    /// Repetition is done by copying.
    private static let maximumCount = 1000

    private init(_ pattern: String) { self.pattern = Array(pattern.unicodeScalars) }

    /// Reads a pattern.
    static func parse(_ pattern: String) throws(RegexFailure) -> RegexNode {
        var parser = RegexParser(pattern)
        let node = try parser.alternatives()
        guard parser.position == parser.pattern.count else { throw parser.failure("an unmatched )") }
        return node
    }

    private func failure(_ construct: String, at offset: Int? = nil) -> RegexFailure {
        RegexFailure(construct: construct, offset: offset ?? position)
    }

    private var current: Unicode.Scalar? { position < pattern.count ? pattern[position] : nil }

    private mutating func take(_ text: String) -> Bool {
        guard pattern[position...].starts(with: text.unicodeScalars) else { return false }
        position += text.unicodeScalars.count
        return true
    }

    private mutating func next() throws(RegexFailure) -> Unicode.Scalar {
        guard let scalar = current else { throw failure("the end of the pattern") }
        position += 1
        return scalar
    }

    private mutating func alternatives() throws(RegexFailure) -> RegexNode {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.maximumDepth else { throw failure("groups nested deeper than \(Self.maximumDepth)") }
        var branches = [try sequence()]
        while take("|") { branches.append(try sequence()) }
        return branches.count == 1 ? branches[0] : .alternatives(branches)
    }

    private mutating func sequence() throws(RegexFailure) -> RegexNode {
        var items: [RegexNode] = []
        var letters = ""
        while let scalar = current, scalar != "|", scalar != ")" {
            // (?i) without a group holds until the group around it ends.
            if take("(?i)") {
                foldsCase = true
                items.append(try alternatives())
                continue
            }
            let start = position
            let item = try quantified(try atom())
            if case .scalar(let value, true) = item, let scalar = Unicode.Scalar(value) {
                guard CaseFolding.isSingle(scalar) else { throw failure("'\(scalar)' without case", at: start) }
                letters.unicodeScalars.append(scalar)
                try checkFolding(letters, at: start)
            } else {
                letters = ""
            }
            items.append(item)
        }
        return items.count == 1 ? items[0] : .sequence(items)
    }

    /// Refuses letters that, without case, equal one scalar (ß, ﬁ): that scalar would have to match them.
    private func checkFolding(_ letters: String, at offset: Int) throws(RegexFailure) {
        for pair in ["ss", "ff", "fi", "fl", "st"] where letters.lowercased().hasSuffix(pair) {
            throw failure("'\(pair)' without case", at: offset)
        }
    }

    private mutating func quantified(_ atom: RegexNode) throws(RegexFailure) -> RegexNode {
        let start = position
        guard let (minimum, maximum, isBraced) = try count() else { return atom }
        var greed = RegexGreed.greedy
        if take("?") {
            greed = .lazy
        } else if !isBraced, take("+") {
            greed = .possessive
        }
        if let scalar = current, "*+?".unicodeScalars.contains(scalar) { throw failure("a repeated repetition") }
        switch atom {
        case .look, .assertion: throw failure("a repeated assertion", at: start)
        default: break
        }
        guard !atom.canBeEmpty || maximum == 1 else { throw failure("a repetition of what may be empty", at: start) }
        return .repeated(atom, minimum: minimum, maximum: maximum, greed)
    }

    private mutating func count() throws(RegexFailure) -> (minimum: Int, maximum: Int?, isBraced: Bool)? {
        if take("*") { return (0, nil, false) }
        if take("+") { return (1, nil, false) }
        if take("?") { return (0, 1, false) }
        guard current == "{" else { return nil }
        let start = position
        position += 1
        let low = try number()
        var high = low
        if take(",") { high = try number() }
        guard take("}"), low != nil || high != nil, low ?? 0 <= high ?? Int.max else {
            throw failure("a brace that is no repetition", at: start)
        }
        return (low ?? 0, high, true)
    }

    private mutating func number() throws(RegexFailure) -> Int? {
        var value: Int?
        while let digit = current.flatMap({ Int(String($0)) }) {
            position += 1
            value = (value ?? 0) * 10 + digit
            guard value ?? 0 <= Self.maximumCount else { throw failure("a count over \(Self.maximumCount)") }
        }
        return value
    }

    private mutating func atom() throws(RegexFailure) -> RegexNode {
        let start = position
        switch try next() {
        case "(": return try group(start)
        case "[": return .set(try set())
        case ".": return .set(ScalarSet([ScalarSet.Part(ranges: [0x0A...0x0A])], isNegated: true))
        case "^": return .assertion(.lineStart)
        case "$": return .assertion(.lineEnd)
        case "\\": return try escape(start)
        case let scalar where "*+?{".unicodeScalars.contains(scalar):
            throw failure("\(scalar) with nothing to repeat", at: start)
        case let scalar: return .scalar(foldsCase ? CaseFolding.fold(scalar.value) : scalar.value, foldsCase: foldsCase)
        }
    }

    private mutating func group(_ start: Int) throws(RegexFailure) -> RegexNode {
        let outer = foldsCase
        defer { foldsCase = outer }
        var wrap: (RegexNode) -> RegexNode = { $0 }
        if take("?:") {
        } else if take("?i:") {
            foldsCase = true
        } else if take("?=") {
            wrap = { .look($0, isBehind: false, isNegated: false) }
        } else if take("?!") {
            wrap = { .look($0, isBehind: false, isNegated: true) }
        } else if take("?<=") {
            wrap = { .look($0, isBehind: true, isNegated: false) }
        } else if take("?<!") {
            wrap = { .look($0, isBehind: true, isNegated: true) }
        } else if take("?>") {
            wrap = { .atomic($0) }
        } else if current == "?" || current == "*" {
            let name = String(String.UnicodeScalarView(pattern[start..<min(start + 4, pattern.count)]))
            throw failure("a group that begins \(name)", at: start)
        }
        let body = try alternatives()
        guard take(")") else { throw failure("an unclosed group", at: start) }
        let node = wrap(body)
        if case .look(let body, true, _) = node, body.width == nil {
            throw failure("a look behind of unknown width", at: start)
        }
        return node
    }

    private mutating func escape(_ start: Int) throws(RegexFailure) -> RegexNode {
        switch current {
        case "A": return try assertion(.textStart)
        case "z": return try assertion(.textEnd)
        case "b": return try assertion(.wordBoundary)
        case "B": return try assertion(.noWordBoundary)
        default: break
        }
        if var part = try classEscape(start) {
            if part.classes == .word { part.ranges = ScalarClasses.latinNumbers }
            return .set(ScalarSet([part]))
        }
        let value = try scalarEscape(start)
        return .scalar(foldsCase ? CaseFolding.fold(value) : value, foldsCase: foldsCase)
    }

    private mutating func assertion(_ kind: RegexAssertion) throws(RegexFailure) -> RegexNode {
        position += 1
        return .assertion(kind)
    }

    /// After a backslash: `s`, `S`, `d`, `D`, `w`, `W`, `p{…}`, `P{…}`; else `nil`, and nothing is taken.
    private mutating func classEscape(_ start: Int) throws(RegexFailure) -> ScalarSet.Part? {
        guard let letter = current else { throw failure("a backslash at the end") }
        let isNegated = letter.properties.isUppercase
        switch letter {
        case "s", "S":
            position += 1
            return ScalarSet.Part(classes: .space, isNegated: isNegated)
        case "d", "D":
            position += 1
            return ScalarSet.Part(classes: .digit, isNegated: isNegated)
        case "w", "W":
            position += 1
            return ScalarSet.Part(classes: .word, isNegated: isNegated)
        case "p", "P":
            position += 1
            guard take("{") else { throw failure("\\\(letter) without {", at: start) }
            let hat = take("^")
            var name = ""
            while let scalar = current, scalar != "}" {
                name.unicodeScalars.append(scalar)
                position += 1
            }
            guard take("}"), let classes = ScalarClasses(property: name) else {
                throw failure("the property '\(name)'", at: start)
            }
            return ScalarSet.Part(classes: classes, isNegated: isNegated != hat)
        default: return nil
        }
    }

    /// After a backslash: a character by its name, its number or, for punctuation, itself.
    private mutating func scalarEscape(_ start: Int) throws(RegexFailure) -> UInt32 {
        let scalar = try next()
        switch scalar {
        case "n": return 0x0A
        case "r": return 0x0D
        case "t": return 0x09
        case "f": return 0x0C
        case "v": return 0x0B
        case "a": return 0x07
        case "e": return 0x1B
        case "x" where take("{"):
            let value = try hex(digits: 1...8, start)
            guard take("}") else { throw failure("\\x{ without }", at: start) }
            return value
        case "x": return try hex(digits: 1...2, start)
        case "u": return try hex(digits: 4...4, start)
        default: break
        }
        guard !scalar.properties.isAlphabetic, !("0"..."9").contains(scalar) else {
            throw failure("\\\(scalar)", at: start)
        }
        return scalar.value
    }

    private mutating func hex(digits: ClosedRange<Int>, _ start: Int) throws(RegexFailure) -> UInt32 {
        var text = ""
        while text.count < digits.upperBound, let scalar = current, scalar.properties.isASCIIHexDigit {
            text.unicodeScalars.append(scalar)
            position += 1
        }
        guard text.count >= digits.lowerBound, let value = UInt32(text, radix: 16), Unicode.Scalar(value) != nil else {
            throw failure("a number that is no character", at: start)
        }
        // Oniguruma reads \x80 and up as bytes of UTF-8.
        guard digits.upperBound != 2 || value < 0x80 else { throw failure("\\x\(text)", at: start) }
        return value
    }

    private mutating func set() throws(RegexFailure) -> ScalarSet {
        let start = position - 1
        let isNegated = take("^")
        var parts: [ScalarSet.Part] = []
        var own = ScalarSet.Part()
        var isFirst = true
        while true {
            let place = position
            if current == "]", !isFirst {
                position += 1
                break
            }
            isFirst = false
            guard current != nil else { throw failure("an unclosed set", at: start) }
            if current == "[" { throw failure("a set inside a set") }
            if take("&&") { throw failure("an intersection of sets", at: place) }
            if current == "\\" {
                position += 1
                if let part = try classEscape(place) {
                    if part.isNegated { parts.append(part) } else { own.classes.formUnion(part.classes) }
                    continue
                }
                position -= 1
            }
            let first = try setScalar()
            var last = first
            if current == "-", position + 1 < pattern.count, pattern[position + 1] != "]" {
                position += 1
                last = try setScalar()
            }
            guard first <= last else { throw failure("a range that runs backwards", at: place) }
            own.ranges.append(first...last)
        }
        if foldsCase {
            // Beyond ASCII and the classes that know no case, folding may take several scalars.
            let isPlain = (parts + [own]).allSatisfy { part in
                part.ranges.allSatisfy { $0.upperBound < 0x80 } && part.classes.isDisjoint(with: .cased)
            }
            guard isPlain else { throw failure("such a set without case", at: start) }
        }
        return ScalarSet(parts + [own], isNegated: isNegated, foldsCase: foldsCase)
    }

    private mutating func setScalar() throws(RegexFailure) -> UInt32 {
        let start = position
        let scalar = try next()
        return scalar == "\\" ? try scalarEscape(start) : scalar.value
    }
}
