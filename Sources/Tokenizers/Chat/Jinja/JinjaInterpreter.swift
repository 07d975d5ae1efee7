/// Runs a template, with bounds on its work.
final class JinjaInterpreter {
    /// How a statement ends.
    enum Flow { case onward, leave, again }

    /// Statements and expressions that may be run: a few thousand suffice for a long conversation.
    static let maximumSteps = 5_000_000
    /// Bytes that may be made, all strings and lists together.
    static let maximumBytes = 1 << 28
    /// Bytes that an item of a list takes, about.
    static let itemBytes = 64
    /// Statements, expressions and macros inside each other.
    static let maximumDepth = 120
    /// Lists inside lists.
    static let maximumNesting = 200

    private var output = ""
    private var steps = 0
    private var bytes = 0
    private var depth = 0
    /// The line that runs.
    private(set) var line = 1
    /// What refers to itself and has to be cleared in the end.
    private var namespaces: [JinjaNamespace] = []
    private var scopes: [JinjaScope] = []
    let secondsSince1970: Double

    init(secondsSince1970: Double) { self.secondsSince1970 = secondsSince1970 }

    /// The text that statements write.
    func render(_ statements: [JinjaStatement], _ variables: JinjaScope) throws(JinjaFailure) -> String {
        defer {
            for namespace in namespaces { namespace.fields = JinjaDictionary() }
            for scope in scopes { scope.clear() }
        }
        _ = try run(statements, JinjaScope(outer: variables))
        return output
    }

    /// A complaint about the line that runs.
    func failure(_ reason: String) -> JinjaFailure { JinjaFailure(.evaluation(reason), line: line) }

    /// Counts bytes that are made.
    func spend(_ count: Int) throws(JinjaFailure) {
        bytes = JinjaValue.sum(bytes, count)
        guard bytes <= Self.maximumBytes else {
            throw JinjaFailure(.tooCostly("\(Self.maximumBytes) bytes of text and lists"), line: line)
        }
    }

    private func step(_ line: Int) throws(JinjaFailure) {
        self.line = line
        steps += 1
        guard steps <= Self.maximumSteps else {
            throw JinjaFailure(.tooCostly("\(Self.maximumSteps) steps"), line: line)
        }
    }

    private func deeper<Result>(
        _ body: () throws(JinjaFailure) -> Result
    ) throws(JinjaFailure) -> Result {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.maximumDepth else {
            throw JinjaFailure(.tooCostly("\(Self.maximumDepth) levels of statements and expressions"), line: line)
        }
        return try body()
    }

    // MARK: Statements

    private func run(_ statements: [JinjaStatement], _ scope: JinjaScope) throws(JinjaFailure) -> Flow {
        try deeper { () throws(JinjaFailure) in
            for statement in statements {
                try step(statement.line)
                let flow = try run(statement, scope)
                if flow != .onward { return flow }
            }
            return .onward
        }
    }

    private func run(_ statement: JinjaStatement, _ scope: JinjaScope) throws(JinjaFailure) -> Flow {
        switch statement.kind {
        case .text(let text): try write(text)
        case .output(let value): try write(try text(of: try evaluate(value, scope)))
        case .condition(let branches, let otherwise):
            for branch in branches where try evaluate(branch.test, scope).isTrue {
                return try run(branch.body, scope)
            }
            return try run(otherwise, scope)
        case .loop(let loop): return try run(loop, scope)
        case .assign(let target, let value): try assign(target, try evaluate(value, scope), scope)
        case .capture(let target, let body, let filters):
            var value = JinjaValue.string(try captured(body, JinjaScope(outer: scope)))
            for filter in filters {
                value = try JinjaFilters.apply(filter.name, value, try evaluate(filter.arguments, scope), self)
            }
            try assign(target, value, scope)
        case .macro(let macro):
            scopes.append(scope)
            scope.set(macro.name, .macro(JinjaClosure(macro, scope)))
        case .scope(let body): return try run(body, JinjaScope(outer: scope))
        case .leave: return .leave
        case .again: return .again
        }
        return .onward
    }

    private func run(_ loop: JinjaLoop, _ scope: JinjaScope) throws(JinjaFailure) -> Flow {
        var items = try self.items(of: try evaluate(loop.items, scope))
        if let condition = loop.condition {
            var kept: [JinjaValue] = []
            for item in items {
                let inner = JinjaScope(outer: scope)
                try assign(loop.target, item, inner)
                if try evaluate(condition, inner).isTrue { kept.append(item) }
            }
            items = kept
        }
        guard !items.isEmpty else { return try run(loop.otherwise, scope) }
        let list = JinjaList(items)
        try spend(8 * items.count)
        for (index, item) in items.enumerated() {
            try step(line)
            let inner = JinjaScope(outer: scope)
            try assign(loop.target, item, inner)
            inner.set("loop", .loop(JinjaLoopState(list: list, index: index)))
            if try run(loop.body, inner) == .leave { break }
        }
        return .onward
    }

    private func assign(_ target: JinjaTarget, _ value: JinjaValue, _ scope: JinjaScope) throws(JinjaFailure) {
        switch target {
        case .name(let name): scope.set(name, value)
        case .field(let name, let field):
            guard case .namespace(let namespace)? = scope.find(name) else {
                throw failure("only a field of a namespace can be set, and '\(name)' is none")
            }
            namespace.fields[.string(field)] = value
        case .tuple(let targets):
            let items = try items(of: value)
            guard items.count == targets.count else {
                throw failure("\(items.count) values for \(targets.count) names")
            }
            for (target, item) in zip(targets, items) { try assign(target, item, scope) }
        }
    }

    private func write(_ text: String) throws(JinjaFailure) {
        try spend(text.utf8.count)
        output += text
    }

    private func captured(_ body: [JinjaStatement], _ scope: JinjaScope) throws(JinjaFailure) -> String {
        let before = output
        output = ""
        defer { output = before }
        _ = try run(body, scope)
        return output
    }

    // MARK: Values

    /// What is written for a value.
    func text(of value: JinjaValue) throws(JinjaFailure) -> String {
        try spend(value.weight)
        return value.text
    }

    /// What a loop over a value gives.
    func items(of value: JinjaValue) throws(JinjaFailure) -> [JinjaValue] {
        switch value {
        case .undefined: return []
        case .list(let list): return list.items
        case .dictionary(let dictionary): return dictionary.entries.map(\.key)
        case .string(let text):
            try spend(JinjaInterpreter.itemBytes * text.utf8.count)
            return text.unicodeScalars.map { .string(String($0)) }
        default: throw failure("a value of type \(value.typeName) cannot be looped over")
        }
    }

    /// A namespace with fields.
    func makeNamespace(_ fields: JinjaDictionary) -> JinjaValue {
        let namespace = JinjaNamespace()
        namespace.fields = fields
        namespaces.append(namespace)
        return .namespace(namespace)
    }

    /// The value of an expression.
    func evaluate(_ expression: JinjaExpression, _ scope: JinjaScope) throws(JinjaFailure) -> JinjaValue {
        try step(expression.line)
        let value = try deeper { () throws(JinjaFailure) in try compute(expression, scope) }
        guard value.depth <= Self.maximumNesting else {
            throw JinjaFailure(.tooCostly("\(Self.maximumNesting) lists inside each other"), line: line)
        }
        return value
    }

    /// The values of arguments.
    func evaluate(_ arguments: JinjaArguments, _ scope: JinjaScope) throws(JinjaFailure) -> JinjaGiven {
        var given = JinjaGiven()
        for argument in arguments.positional { given.positional.append(try evaluate(argument, scope)) }
        for (name, value) in arguments.named { given.named.append((name, try evaluate(value, scope))) }
        return given
    }

    /// Runs a macro: the text it writes.
    func call(_ closure: JinjaClosure, _ given: JinjaGiven) throws(JinjaFailure) -> JinjaValue {
        let macro = closure.macro
        guard given.positional.count <= macro.parameters.count,
            given.named.allSatisfy({ argument in macro.parameters.contains { $0.name == argument.name } })
        else { throw failure("the macro '\(macro.name)' has no such parameter") }
        let scope = JinjaScope(outer: closure.scope)
        for (index, parameter) in macro.parameters.enumerated() {
            if let value = given.value(index, parameter.name) {
                scope.set(parameter.name, value)
            } else if let preset = parameter.preset {
                scope.set(parameter.name, try evaluate(preset, scope))
            } else {
                scope.set(parameter.name, .undefined(parameter.name))
            }
        }
        return .string(try captured(macro.body, scope))
    }
}

/// The values of a call's arguments.
struct JinjaGiven {
    var positional: [JinjaValue] = []
    var named: [(name: String, value: JinjaValue)] = []

    /// The value of a parameter by its place or name.
    func value(_ index: Int, _ name: String) -> JinjaValue? {
        positional.indices.contains(index) ? positional[index] : named.last { $0.name == name }?.value
    }
}
