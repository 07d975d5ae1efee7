/// A piece of a template.
struct JinjaToken {
    enum Kind: Equatable {
        /// Text between tags, white space control done.
        case text(String)
        case variableBegin, variableEnd, blockBegin, blockEnd
        case name(String)
        case string(String)
        case integer(Int)
        case float(Double)
        case symbol(String)
        case end
    }

    let kind: Kind
    let line: Int
}

/// Cuts a template into tokens, with `trim_blocks` and `lstrip_blocks` on and one last line feed off, as transformers
/// sets Jinja up.
struct JinjaLexer {
    private let source: [Unicode.Scalar]
    private var position = 0
    private var line = 1
    private var tokens: [JinjaToken] = []
    /// Whether what comes next begins a line.
    private var startsLine = true

    private init(_ template: String) {
        var scalars: [Unicode.Scalar] = []
        let raw = Array(template.unicodeScalars)
        for (index, scalar) in raw.enumerated() {
            // Every kind of line end becomes a line feed.
            if scalar == "\n", index > 0, raw[index - 1] == "\r" { continue }
            scalars.append(scalar == "\r" ? "\n" : scalar)
        }
        if scalars.last == "\n" { scalars.removeLast() }
        source = scalars
    }

    /// The tokens of a template.
    ///
    /// Cost: O(length).
    static func tokens(_ template: String) throws(JinjaFailure) -> [JinjaToken] {
        var lexer = JinjaLexer(template)
        while lexer.position < lexer.source.count { try lexer.text() }
        lexer.add(.end)
        return lexer.tokens
    }

    private mutating func add(_ kind: JinjaToken.Kind) { tokens.append(JinjaToken(kind: kind, line: line)) }

    private func failure(_ reason: String) -> JinjaFailure { JinjaFailure(.syntax(reason), line: line) }

    private func at(_ text: String) -> Bool { source[position...].starts(with: text.unicodeScalars) }

    private mutating func advance(_ count: Int) {
        for _ in 0..<count {
            if source[position] == "\n" { line += 1 }
            position += 1
        }
        if count > 0 { startsLine = source[position - 1] == "\n" }
    }

    private static func string(_ scalars: ArraySlice<Unicode.Scalar>) -> String {
        var view = String.UnicodeScalarView()
        view.append(contentsOf: scalars)
        return String(view)
    }

    /// Text up to the next tag, and that tag.
    private mutating func text() throws(JinjaFailure) {
        let start = position
        var end = start
        while end < source.count {
            if source[end] == "{", end + 1 < source.count, ["{", "%", "#"].contains(source[end + 1]) { break }
            end += 1
        }
        var kept = source[start..<end]
        if end < source.count {
            let isVariable = source[end + 1] == "{"
            let sign = end + 2 < source.count ? source[end + 2] : " "
            if sign == "-" {
                while let last = kept.last, JinjaText.isSpace(last) { kept.removeLast() }
            } else if sign != "+", !isVariable {
                let lineStart = kept.lastIndex(of: "\n").map { $0 + 1 }
                if lineStart != nil || startsLine {
                    let first = lineStart ?? kept.startIndex
                    if kept[first...].allSatisfy(JinjaText.isSpace) { kept = kept[..<first] }
                }
            }
        }
        if !kept.isEmpty { add(.text(Self.string(kept))) }
        advance(end - start)
        if position < source.count { try tag() }
    }

    private mutating func tag() throws(JinjaFailure) {
        let kind = source[position + 1]
        advance(2)
        if at("-") || at("+") { advance(1) }
        switch kind {
        case "#":
            while position < source.count, !at("#}"), !at("-#}"), !at("+#}") { advance(1) }
            guard position < source.count else { throw failure("a comment without end") }
            close(trims: true)
        case "{":
            add(.variableBegin)
            try inside(end: "}}", trims: false)
            add(.variableEnd)
        default:
            add(.blockBegin)
            try inside(end: "%}", trims: true)
            add(.blockEnd)
        }
    }

    /// Takes the end of a tag, and the white space that goes with it.
    private mutating func close(trims: Bool) {
        if at("-") {
            advance(3)
            while position < source.count, JinjaText.isSpace(source[position]) { advance(1) }
        } else if at("+") {
            advance(3)
        } else {
            advance(2)
            if trims, at("\n") { advance(1) }
        }
    }

    private mutating func inside(end: String, trims: Bool) throws(JinjaFailure) {
        var brackets: [Unicode.Scalar] = []
        while true {
            while position < source.count, JinjaText.isSpace(source[position]) { advance(1) }
            guard position < source.count else { throw failure("a tag without end") }
            if brackets.isEmpty, at(end) || at("-" + end) || trims && at("+" + end) {
                close(trims: trims)
                return
            }
            let scalar = source[position]
            if scalar == "_" || scalar.properties.isXIDStart {
                name()
            } else if ("0"..."9").contains(scalar) {
                try number()
            } else if scalar == "'" || scalar == "\"" {
                try string(quote: scalar)
            } else {
                try symbol(&brackets)
            }
        }
    }

    private mutating func name() {
        let start = position
        var end = start
        while end < source.count, source[end] == "_" || source[end].properties.isXIDContinue { end += 1 }
        add(.name(Self.string(source[start..<end])))
        advance(end - start)
    }

    private mutating func number() throws(JinjaFailure) {
        func digits(_ start: Int) -> Int {
            var end = start
            while end < source.count, ("0"..."9").contains(source[end]) || source[end] == "_" { end += 1 }
            return end
        }
        let start = position
        var end = digits(start)
        var isFloat = false
        if end + 1 < source.count, source[end] == ".", ("0"..."9").contains(source[end + 1]) {
            isFloat = true
            end = digits(end + 1)
        }
        if end < source.count, source[end] == "e" || source[end] == "E" {
            let signed = end + 1 < source.count && ["+", "-"].contains(source[end + 1]) ? end + 2 : end + 1
            if signed < source.count, ("0"..."9").contains(source[signed]) {
                isFloat = true
                end = digits(signed)
            }
        }
        let text = Self.string(source[start..<end].filter { $0 != "_" }[...])
        if isFloat, let value = Double(text) {
            add(.float(value))
        } else if let value = Int(text), text == "0" || !text.hasPrefix("0") {
            add(.integer(value))
        } else {
            throw failure("the number \(text)")
        }
        advance(end - start)
    }

    private mutating func string(quote: Unicode.Scalar) throws(JinjaFailure) {
        let start = position
        var end = start + 1
        while end < source.count, source[end] != quote { end += source[end] == "\\" ? 2 : 1 }
        guard end < source.count else { throw failure("a string without end") }
        guard let text = JinjaText.unescaped(source[start + 1..<end]) else { throw failure("a broken escape") }
        add(.string(text))
        advance(end + 1 - start)
    }

    private static let symbols = [
        "**", "//", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=",
        ".",
        ":", "|", ",",
    ]

    private mutating func symbol(_ brackets: inout [Unicode.Scalar]) throws(JinjaFailure) {
        guard let symbol = Self.symbols.first(where: at) else { throw failure("the character '\(source[position])'") }
        let pairs: [Unicode.Scalar: Unicode.Scalar] = ["[": "]", "(": ")", "{": "}"]
        if let closing = pairs[source[position]] {
            brackets.append(closing)
        } else if ["]", ")", "}"].contains(symbol), brackets.popLast() != source[position] {
            throw failure("'\(symbol)' without its opening bracket")
        }
        add(.symbol(symbol))
        advance(symbol.utf8.count)
    }
}
