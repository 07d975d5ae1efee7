/// Reads the statements of a template.
struct JinjaParser {
    var cursor: JinjaCursor

    /// Statements inside statements, and targets inside targets.
    private var depth = 0

    /// Reads a template.
    static func parse(_ template: String) throws(JinjaFailure) -> [JinjaStatement] {
        var parser = JinjaParser(cursor: JinjaCursor(try JinjaLexer.tokens(template)))
        let (statements, _) = try parser.statements(until: [])
        try parser.cursor.checkCalls()
        return statements
    }

    private init(cursor: JinjaCursor) { self.cursor = cursor }

    /// Reads up to a tag of one of these names, whose name is taken.
    private mutating func statements(
        until ends: [String]
    ) throws(JinjaFailure) -> (body: [JinjaStatement], end: String) {
        depth += 1
        defer { depth -= 1 }
        guard depth <= JinjaCursor.maximumDepth else {
            throw cursor.failure(.unsupported("a statement nested deeper than \(JinjaCursor.maximumDepth)"))
        }
        var body: [JinjaStatement] = []
        while true {
            let line = cursor.line
            switch cursor.take() {
            case .text(let text): body.append(JinjaStatement(kind: .text(text), line: line))
            case .variableBegin:
                let value = try cursor.tuple()
                guard cursor.take() == .variableEnd else { throw cursor.unexpected("}}") }
                body.append(JinjaStatement(kind: .output(value), line: line))
            case .blockBegin:
                guard case .name(let name) = cursor.take() else { throw cursor.unexpected("the name of a statement") }
                if ends.contains(name) { return (body, name) }
                body.append(JinjaStatement(kind: try statement(name, line), line: line))
            case .end:
                guard ends.isEmpty else {
                    throw cursor.failure(.syntax("the template ends before \(ends.joined(separator: " or "))"))
                }
                return (body, "")
            default: throw cursor.unexpected("text or a tag")
            }
        }
    }

    private mutating func endTag() throws(JinjaFailure) {
        guard cursor.take() == .blockEnd else { throw cursor.unexpected("%}") }
    }

    private mutating func statement(_ name: String, _ line: Int) throws(JinjaFailure) -> JinjaStatement.Kind {
        switch name {
        case "if": return try condition()
        case "for": return try loop()
        case "set": return try assignment()
        case "macro": return try macro()
        case "generation":
            // Marks what the assistant said, for training; the text is the same.
            try endTag()
            let (body, _) = try statements(until: ["endgeneration"])
            try endTag()
            return .scope(body)
        case "break", "continue":
            guard cursor.loops > 0 else { throw JinjaFailure(.syntax("\(name) outside of a loop"), line: line) }
            try endTag()
            return name == "break" ? .leave : .again
        case "else", "elif", "endif", "endfor", "endset", "endmacro", "endgeneration":
            throw JinjaFailure(.syntax("\(name) without its beginning"), line: line)
        default: throw JinjaFailure(.unsupported("the statement '\(name)'"), line: line)
        }
    }

    private mutating func condition() throws(JinjaFailure) -> JinjaStatement.Kind {
        var branches: [(test: JinjaExpression, body: [JinjaStatement])] = []
        while true {
            let test = try cursor.tuple()
            try endTag()
            let (body, end) = try statements(until: ["elif", "else", "endif"])
            branches.append((test, body))
            if end == "elif" { continue }
            try endTag()
            guard end == "else" else { return .condition(branches, otherwise: []) }
            let (otherwise, _) = try statements(until: ["endif"])
            try endTag()
            return .condition(branches, otherwise: otherwise)
        }
    }

    private mutating func loop() throws(JinjaFailure) -> JinjaStatement.Kind {
        let target = try self.target(ends: "in")
        guard cursor.take(name: "in") else { throw cursor.unexpected("in") }
        let items = try cursor.expression(allowsConditional: false)
        let condition = cursor.take(name: "if") ? try cursor.expression() : nil
        if cursor.take(name: "recursive") { throw cursor.failure(.unsupported("a recursive loop")) }
        try endTag()
        cursor.loops += 1
        let (body, end) = try statements(until: ["else", "endfor"])
        cursor.loops -= 1
        try endTag()
        var otherwise: [JinjaStatement] = []
        if end == "else" {
            otherwise = try statements(until: ["endfor"]).body
            try endTag()
        }
        return .loop(
            JinjaLoop(target: target, items: items, condition: condition, body: body, otherwise: otherwise))
    }

    private mutating func target(ends: String) throws(JinjaFailure) -> JinjaTarget {
        depth += 1
        defer { depth -= 1 }
        guard depth <= JinjaCursor.maximumDepth else {
            throw cursor.failure(.unsupported("a target nested deeper than \(JinjaCursor.maximumDepth)"))
        }
        var targets: [JinjaTarget] = []
        var isTuple = false
        repeat {
            if cursor.take(symbol: "(") {
                targets.append(try target(ends: ")"))
                guard cursor.take(symbol: ")") else { throw cursor.unexpected(")") }
            } else {
                guard case .name(let name) = cursor.take() else { throw cursor.unexpected("a name") }
                if cursor.take(symbol: ".") {
                    guard case .name(let field) = cursor.take() else { throw cursor.unexpected("a field") }
                    targets.append(.field(name, field))
                } else {
                    cursor.assigned.insert(name)
                    targets.append(.name(name))
                }
            }
            guard cursor.take(symbol: ",") else { break }
            isTuple = true
        } while cursor.isName && !cursor.isName(ends)
        return isTuple ? .tuple(targets) : targets[0]
    }

    private mutating func assignment() throws(JinjaFailure) -> JinjaStatement.Kind {
        let target = try self.target(ends: "=")
        if cursor.take(symbol: "=") {
            let value = try cursor.tuple()
            try endTag()
            return .assign(target, value)
        }
        var filters: [(name: String, arguments: JinjaArguments)] = []
        while cursor.take(symbol: "|") { filters.append(try cursor.filter()) }
        try endTag()
        let (body, _) = try statements(until: ["endset"])
        try endTag()
        return .capture(target, body, filters: filters)
    }

    private mutating func macro() throws(JinjaFailure) -> JinjaStatement.Kind {
        guard case .name(let name) = cursor.take() else { throw cursor.unexpected("the name of the macro") }
        cursor.assigned.insert(name)
        guard cursor.take(symbol: "(") else { throw cursor.unexpected("(") }
        var parameters: [(name: String, preset: JinjaExpression?)] = []
        while !cursor.take(symbol: ")") {
            if !parameters.isEmpty, !cursor.take(symbol: ",") { throw cursor.unexpected("a comma") }
            guard case .name(let parameter) = cursor.take() else { throw cursor.unexpected("a parameter") }
            cursor.assigned.insert(parameter)
            parameters.append((parameter, cursor.take(symbol: "=") ? try cursor.expression() : nil))
        }
        try endTag()
        let loops = cursor.loops
        cursor.loops = 0
        let (body, _) = try statements(until: ["endmacro"])
        cursor.loops = loops
        try endTag()
        return .macro(JinjaMacro(name: name, parameters: parameters, body: body))
    }
}
