/// A place among the tokens of a template, from which expressions are read.
struct JinjaCursor {
    let tokens: [JinjaToken]
    private(set) var position = 0
    private var depth = 0
    /// Loops around this place.
    var loops = 0
    /// Every name that the template gives a value: these may be called, as they may be macros.
    var assigned: Set<String> = []
    var called: [(name: String, line: Int)] = []

    /// Deeper nesting than any template in use; keeps hostile ones from exhausting the stack.
    static let maximumDepth = 60
    /// The most operators in a row, for the same reason.
    private static let maximumChain = 200

    init(_ tokens: [JinjaToken]) { self.tokens = tokens }

    /// The line of the next token.
    var line: Int { tokens[position].line }

    /// The next token.
    var next: JinjaToken.Kind { tokens[position].kind }

    func failure(_ kind: JinjaFailure.Kind) -> JinjaFailure { JinjaFailure(kind, line: line) }

    /// The complaint that the token before this place is not what it should be.
    func unexpected(_ expected: String) -> JinjaFailure {
        let token = tokens[max(0, position - 1)]
        return JinjaFailure(.syntax("expected \(expected), found \(Self.name(of: token.kind))"), line: token.line)
    }

    private static func name(of kind: JinjaToken.Kind) -> String {
        switch kind {
        case .text: "text"
        case .variableBegin: "{{"
        case .variableEnd: "}}"
        case .blockBegin: "{%"
        case .blockEnd: "%}"
        case .name(let text), .symbol(let text): "'\(text)'"
        case .string: "a string"
        case .integer, .float: "a number"
        case .end: "the end of the template"
        }
    }

    /// Takes the next token; the last stays.
    mutating func take() -> JinjaToken.Kind {
        let kind = next
        if position + 1 < tokens.count { position += 1 }
        return kind
    }

    mutating func take(symbol: String) -> Bool { take(.symbol(symbol)) }

    mutating func take(name: String) -> Bool { take(.name(name)) }

    private mutating func take(_ kind: JinjaToken.Kind) -> Bool {
        guard next == kind else { return false }
        _ = take()
        return true
    }

    /// Takes a symbol that has to be there.
    mutating func require(symbol: String) throws(JinjaFailure) {
        guard take() == .symbol(symbol) else { throw unexpected(symbol) }
    }

    /// Whether a name comes next.
    var isName: Bool {
        if case .name = next { return true }
        return next == .symbol("(")
    }

    /// Whether this name comes next.
    func isName(_ name: String) -> Bool { next == .name(name) }

    /// Refuses calls of names that nothing can make callable.
    func checkCalls() throws(JinjaFailure) {
        for (name, line) in called where JinjaFunctions.parameters[name] == nil && !assigned.contains(name) {
            throw JinjaFailure(.unsupported("the function '\(name)'"), line: line)
        }
    }

    // MARK: Expressions, loosest first

    /// One expression, or several with commas, which are a tuple.
    mutating func tuple() throws(JinjaFailure) -> JinjaExpression {
        let line = line
        let first = try expression()
        guard next == .symbol(",") else { return first }
        var items = [first]
        while take(symbol: ",") {
            if next == .variableEnd || next == .blockEnd || next == .symbol(")") { break }
            items.append(try expression())
        }
        return JinjaExpression(kind: .list(items, isTuple: true), line: line)
    }

    mutating func expression(allowsConditional: Bool = true) throws(JinjaFailure) -> JinjaExpression {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.maximumDepth else {
            throw failure(.unsupported("an expression nested deeper than \(Self.maximumDepth)"))
        }
        let line = line
        let value = try disjunction()
        guard allowsConditional, take(name: "if") else { return value }
        let condition = try disjunction()
        let otherwise = take(name: "else") ? try expression() : nil
        return JinjaExpression(kind: .conditional(value, condition: condition, otherwise: otherwise), line: line)
    }

    private mutating func disjunction() throws(JinjaFailure) -> JinjaExpression {
        let line = line
        var left = try conjunction()
        var count = 0
        while take(name: "or") {
            try grow(&count)
            left = JinjaExpression(kind: .or(left, try conjunction()), line: line)
        }
        return left
    }

    private mutating func conjunction() throws(JinjaFailure) -> JinjaExpression {
        let line = line
        var left = try negation()
        var count = 0
        while take(name: "and") {
            try grow(&count)
            left = JinjaExpression(kind: .and(left, try negation()), line: line)
        }
        return left
    }

    private mutating func negation() throws(JinjaFailure) -> JinjaExpression {
        let line = line
        var count = 0
        while take(name: "not") { try grow(&count) }
        var value = try comparison()
        // Of many only whether they are odd or even matters; one is needed for the truth value.
        for _ in 0..<(count == 0 ? 0 : 2 - count % 2) { value = JinjaExpression(kind: .negated(value), line: line) }
        return value
    }

    private mutating func comparison() throws(JinjaFailure) -> JinjaExpression {
        let line = line
        let left = try sum()
        var chain: [(operation: String, right: JinjaExpression)] = []
        while true {
            if case .symbol(let symbol) = next, ["==", "!=", "<", "<=", ">", ">="].contains(symbol) {
                _ = take()
                chain.append((symbol, try sum()))
            } else if take(name: "in") {
                chain.append(("in", try sum()))
            } else if isName("not"), position + 1 < tokens.count, tokens[position + 1].kind == .name("in") {
                _ = take()
                _ = take()
                chain.append(("not in", try sum()))
            } else {
                return chain.isEmpty ? left : JinjaExpression(kind: .comparison(left, chain), line: line)
            }
        }
    }

    private mutating func binary(
        _ symbols: [String], _ operand: (inout JinjaCursor) throws(JinjaFailure) -> JinjaExpression
    ) throws(JinjaFailure) -> JinjaExpression {
        let line = line
        var left = try operand(&self)
        var count = 0
        while case .symbol(let symbol) = next, symbols.contains(symbol) {
            _ = take()
            try grow(&count)
            left = JinjaExpression(kind: .binary(symbol, left, try operand(&self)), line: line)
        }
        return left
    }

    private mutating func sum() throws(JinjaFailure) -> JinjaExpression {
        try binary(["+", "-"]) { (cursor) throws(JinjaFailure) in
            try cursor.binary(["~"]) { (cursor) throws(JinjaFailure) in
                try cursor.binary(["*", "/", "//", "%"]) { (cursor) throws(JinjaFailure) in
                    try cursor.binary(["**"]) { (cursor) throws(JinjaFailure) in try cursor.unary(filters: true) }
                }
            }
        }
    }

    /// Counts an operator of a chain.
    mutating func grow(_ count: inout Int) throws(JinjaFailure) {
        count += 1
        guard count <= Self.maximumChain else {
            throw failure(.unsupported("a chain of more than \(Self.maximumChain) operators"))
        }
    }

    private mutating func unary(filters: Bool) throws(JinjaFailure) -> JinjaExpression {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.maximumDepth else {
            throw failure(.unsupported("an expression nested deeper than \(Self.maximumDepth)"))
        }
        let line = line
        var value: JinjaExpression
        if take(symbol: "-") {
            value = JinjaExpression(kind: .minus(try unary(filters: false)), line: line)
        } else if take(symbol: "+") {
            value = JinjaExpression(kind: .plus(try unary(filters: false)), line: line)
        } else {
            value = try primary()
        }
        var count = 0
        value = try postfix(value, &count)
        return filters ? try filtered(value, &count) : value
    }

    /// A name, a constant or what stands in brackets.
    mutating func primary() throws(JinjaFailure) -> JinjaExpression {
        let line = line
        func constant(_ value: JinjaValue) -> JinjaExpression { JinjaExpression(kind: .constant(value), line: line) }
        switch take() {
        case .name("true"), .name("True"): return constant(.bool(true))
        case .name("false"), .name("False"): return constant(.bool(false))
        case .name("none"), .name("None"): return constant(.null)
        case .name(let name):
            guard !["in", "not", "is", "and", "or", "if", "else"].contains(name) else { throw unexpected("a value") }
            return JinjaExpression(kind: .name(name), line: line)
        case .string(var text):
            while case .string(let more) = next {
                _ = take()
                text += more
            }
            return constant(.string(text))
        case .integer(let value): return constant(.integer(value))
        case .float(let value): return constant(.float(value))
        case .symbol("("):
            if take(symbol: ")") { return JinjaExpression(kind: .list([], isTuple: true), line: line) }
            let value = try tuple()
            try require(symbol: ")")
            return value
        case .symbol("["):
            let items = try listed(until: "]") { (cursor) throws(JinjaFailure) in try cursor.expression() }
            return JinjaExpression(kind: .list(items, isTuple: false), line: line)
        case .symbol("{"):
            let entries = try listed(until: "}") { (cursor) throws(JinjaFailure) in
                let key = try cursor.expression()
                try cursor.require(symbol: ":")
                return (key: key, value: try cursor.expression())
            }
            return JinjaExpression(kind: .dictionary(entries), line: line)
        default: throw unexpected("a value")
        }
    }

    /// Items with commas between them, up to a closing bracket.
    mutating func listed<Item>(
        until end: String, _ item: (inout JinjaCursor) throws(JinjaFailure) -> Item
    ) throws(JinjaFailure) -> [Item] {
        var items: [Item] = []
        while !take(symbol: end) {
            if !items.isEmpty {
                try require(symbol: ",")
                if take(symbol: end) { break }
            }
            items.append(try item(&self))
        }
        return items
    }

    /// Fields, subscripts and calls after a value.
    mutating func postfix(
        _ start: JinjaExpression, _ count: inout Int
    ) throws(JinjaFailure) -> JinjaExpression {
        var value = start
        while true {
            let line = line
            if take(symbol: ".") {
                switch take() {
                case .name(let name): value = JinjaExpression(kind: .attribute(value, name), line: line)
                case .integer(let index):
                    let place = JinjaExpression(kind: .constant(.integer(index)), line: line)
                    value = JinjaExpression(kind: .item(value, place), line: line)
                default: throw unexpected("the name of a field")
                }
            } else if take(symbol: "[") {
                value = try subscripted(value, line)
            } else if take(symbol: "(") {
                value = try called(value, line)
            } else {
                return value
            }
            try grow(&count)
        }
    }
}
