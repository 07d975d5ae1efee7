/// What stands after a value: subscripts, calls, filters, tests.
extension JinjaCursor {
    /// After the opening bracket.
    mutating func subscripted(_ value: JinjaExpression, _ line: Int) throws(JinjaFailure) -> JinjaExpression {
        var parts: [JinjaExpression?] = [nil]
        while !take(symbol: "]") {
            if take(symbol: ":") {
                parts.append(nil)
            } else if next == .symbol(",") {
                throw failure(.unsupported("a subscript of several values"))
            } else {
                guard case nil = parts[parts.count - 1] else {
                    _ = take()
                    throw unexpected("]")
                }
                parts[parts.count - 1] = try expression()
            }
        }
        guard parts.count <= 3 else { throw failure(.syntax("a slice of more than three parts")) }
        if parts.count == 1 {
            guard let index = parts[0] else { throw failure(.syntax("an empty subscript")) }
            return JinjaExpression(kind: .item(value, index), line: line)
        }
        return JinjaExpression(kind: .slice(value, parts[0], parts[1], parts.count == 3 ? parts[2] : nil), line: line)
    }

    /// After the opening bracket.
    mutating func called(_ value: JinjaExpression, _ line: Int) throws(JinjaFailure) -> JinjaExpression {
        switch value.kind {
        case .name(let name): called.append((name, line))
        case .attribute(_, let name):
            guard JinjaMethods.parameters[name] != nil else {
                throw JinjaFailure(.unsupported("the method '\(name)'"), line: line)
            }
        default: throw JinjaFailure(.unsupported("a call of what is no name"), line: line)
        }
        let given = try arguments()
        if case .attribute(_, let name) = value.kind {
            try check(given, against: JinjaMethods.parameters[name] ?? nil, of: "the method '\(name)'", line)
        } else if case .name(let name) = value.kind, !assigned.contains(name) {
            try check(given, against: JinjaFunctions.parameters[name] ?? nil, of: "the function '\(name)'", line)
        }
        return JinjaExpression(kind: .call(value, given), line: line)
    }

    /// After the opening bracket.
    private mutating func arguments() throws(JinjaFailure) -> JinjaArguments {
        var result = JinjaArguments()
        _ = try listed(until: ")") { (cursor) throws(JinjaFailure) in
            if cursor.next == .symbol("*") || cursor.next == .symbol("**") {
                throw cursor.failure(.unsupported("an unpacked argument"))
            }
            if case .name(let name) = cursor.next, cursor.tokens[cursor.position + 1].kind == .symbol("=") {
                _ = cursor.take()
                _ = cursor.take()
                result.named.append((name, try cursor.expression()))
            } else {
                guard result.named.isEmpty else { throw cursor.failure(.syntax("a plain argument after a named one")) }
                result.positional.append(try cursor.expression())
            }
        }
        return result
    }

    /// Filters and tests.
    mutating func filtered(_ start: JinjaExpression, _ count: inout Int) throws(JinjaFailure) -> JinjaExpression {
        var value = start
        while true {
            let line = line
            if take(symbol: "|") {
                let (name, arguments) = try filter()
                value = JinjaExpression(kind: .filter(value, name, arguments), line: line)
            } else if take(name: "is") {
                value = try test(value, line)
            } else if next == .symbol("(") {
                throw failure(.unsupported("a call of what is no name"))
            } else {
                return value
            }
            try grow(&count)
        }
    }

    /// After the bar.
    mutating func filter() throws(JinjaFailure) -> (name: String, arguments: JinjaArguments) {
        let line = line
        guard case .name(let name) = take() else { throw unexpected("the name of a filter") }
        guard JinjaFilters.parameters[name] != nil else {
            throw JinjaFailure(.unsupported("the filter '\(name)'"), line: line)
        }
        let given = take(symbol: "(") ? try arguments() : JinjaArguments()
        try check(given, against: JinjaFilters.parameters[name] ?? nil, of: "the filter '\(name)'", line)
        return (name, given)
    }

    /// Refuses arguments that have no parameter; `nil` takes any.
    private func check(
        _ given: JinjaArguments, against parameters: [String]?, of callee: String, _ line: Int
    ) throws(JinjaFailure) {
        guard let parameters else { return }
        if let stray = given.named.first(where: { !parameters.contains($0.name) }) {
            throw JinjaFailure(.unsupported("the argument '\(stray.name)' of \(callee)"), line: line)
        }
        if given.positional.count > parameters.count {
            throw JinjaFailure(.syntax("too many arguments of \(callee)"), line: line)
        }
    }

    private mutating func test(_ value: JinjaExpression, _ line: Int) throws(JinjaFailure) -> JinjaExpression {
        let isNegated = take(name: "not")
        let name: String
        switch take() {
        case .name(let word): name = word
        default: throw unexpected("the name of a test")
        }
        guard JinjaTests.names.contains(name) else {
            throw JinjaFailure(.unsupported("the test '\(name)'"), line: line)
        }
        var given = JinjaArguments()
        if take(symbol: "(") {
            given = try arguments()
        } else if startsArgument {
            var count = 0
            given.positional = [try postfix(try primary(), &count)]
        }
        if given.positional.count > 1 || !given.named.isEmpty {
            throw JinjaFailure(.syntax("too many arguments of the test '\(name)'"), line: line)
        }
        let result = JinjaExpression(kind: .test(value, name, given), line: line)
        return isNegated ? JinjaExpression(kind: .negated(result), line: line) : result
    }

    private var startsArgument: Bool {
        switch next {
        case .name(let name): !["else", "or", "and", "is", "if", "in", "not", "recursive"].contains(name)
        case .string, .integer, .float, .symbol("["), .symbol("{"): true
        default: false
        }
    }
}
