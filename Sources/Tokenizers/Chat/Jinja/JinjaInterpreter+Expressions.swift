extension JinjaInterpreter {
    /// The value of an expression, whose step is counted already.
    func compute(_ expression: JinjaExpression, _ scope: JinjaScope) throws(JinjaFailure) -> JinjaValue {
        switch expression.kind {
        case .constant(let value): return value
        case .name(let name):
            if let value = scope.find(name) { return value }
            return JinjaFunctions.parameters[name] == nil ? .undefined(name) : .method(name)
        case .list(let items, let isTuple):
            var values: [JinjaValue] = []
            for item in items { values.append(try evaluate(item, scope)) }
            try spend(JinjaInterpreter.itemBytes * values.count)
            return .list(JinjaList(values, isTuple: isTuple))
        case .dictionary(let entries):
            var dictionary = JinjaDictionary()
            for entry in entries {
                dictionary[try evaluate(entry.key, scope)] = try evaluate(entry.value, scope)
            }
            return .dictionary(dictionary)
        case .attribute(let object, let name): return try attribute(name, of: try evaluate(object, scope))
        case .item(let object, let index):
            return try item(try evaluate(index, scope), of: try evaluate(object, scope))
        case .slice(let object, let start, let stop, let step):
            return try slice(
                try evaluate(object, scope), try bound(start, scope), try bound(stop, scope), try bound(step, scope))
        case .call(let callee, let arguments): return try call(callee, arguments, scope)
        case .filter(let value, let name, let arguments):
            return try JinjaFilters.apply(name, try evaluate(value, scope), try evaluate(arguments, scope), self)
        case .test(let value, let name, let arguments):
            let given = try evaluate(arguments, scope).positional.first
            return .bool(try JinjaTests.holds(name, try evaluate(value, scope), given, self))
        case .negated(let value): return .bool(!(try evaluate(value, scope).isTrue))
        case .minus(let value): return try JinjaArithmetic.minus(try evaluate(value, scope), self)
        case .plus(let value): return try evaluate(value, scope)
        case .binary(let symbol, let left, let right):
            return try JinjaArithmetic.apply(symbol, try evaluate(left, scope), try evaluate(right, scope), self)
        case .and(let left, let right):
            let value = try evaluate(left, scope)
            return value.isTrue ? try evaluate(right, scope) : value
        case .or(let left, let right):
            let value = try evaluate(left, scope)
            return value.isTrue ? value : try evaluate(right, scope)
        case .comparison(let left, let chain): return try compare(left, chain, scope)
        case .conditional(let value, let condition, let otherwise):
            if try evaluate(condition, scope).isTrue { return try evaluate(value, scope) }
            guard let otherwise else { return .undefined("a condition without else") }
            return try evaluate(otherwise, scope)
        }
    }

    private func bound(_ expression: JinjaExpression?, _ scope: JinjaScope) throws(JinjaFailure) -> Int? {
        guard let expression else { return nil }
        let value = try evaluate(expression, scope)
        if case .null = value { return nil }
        guard let whole = value.whole else { throw failure("a slice from a value of type \(value.typeName)") }
        return whole
    }

    private func compare(
        _ left: JinjaExpression, _ chain: [(operation: String, right: JinjaExpression)], _ scope: JinjaScope
    ) throws(JinjaFailure) -> JinjaValue {
        var value = try evaluate(left, scope)
        for (operation, right) in chain {
            let other = try evaluate(right, scope)
            guard try JinjaTests.compare(operation, value, other, self) else { return .bool(false) }
            value = other
        }
        return .bool(true)
    }

    // MARK: Parts of values

    /// `object.name`.
    func attribute(_ name: String, of object: JinjaValue) throws(JinjaFailure) -> JinjaValue {
        switch object {
        case .undefined(let missing): throw failure("'\(missing)' is undefined, so it has no field '\(name)'")
        case .dictionary(let dictionary):
            // In Python a method hides an item of its name.
            if JinjaMethods.ofDictionaries.contains(name) { return .method(name) }
            return dictionary[.string(name)] ?? .undefined(name)
        case .namespace(let namespace): return namespace.fields[.string(name)] ?? .undefined(name)
        case .loop(let loop): return loop.field(name) ?? .undefined(name)
        case .string: return JinjaMethods.ofStrings.contains(name) ? .method(name) : .undefined(name)
        default: return .undefined(name)
        }
    }

    /// `object[index]`.
    func item(_ index: JinjaValue, of object: JinjaValue) throws(JinjaFailure) -> JinjaValue {
        switch (object, index) {
        case (.undefined(let missing), _):
            throw failure("'\(missing)' is undefined, so it has no item \(index.representation)")
        case (.dictionary(let dictionary), .string(let name)):
            if let value = dictionary[index] { return value }
            return try attribute(name, of: object)
        case (.dictionary(let dictionary), _): return dictionary[index] ?? .undefined("an item")
        case (.list(let list), _):
            guard let place = index.whole else { return .undefined("an item") }
            return Self.place(place, list.items.count).map { list.items[$0] } ?? .undefined("an item")
        case (.string(let text), _):
            if let place = index.whole {
                try spend(text.utf8.count)
                let scalars = Array(text.unicodeScalars)
                return Self.place(place, scalars.count).map { .string(String(scalars[$0])) } ?? .undefined("an item")
            }
            return .undefined("an item")
        case (_, .string(let name)): return try attribute(name, of: object)
        default: return .undefined("an item")
        }
    }

    /// An index, counted from the end when it is negative.
    private static func place(_ index: Int, _ count: Int) -> Int? {
        let place = index < 0 ? index + count : index
        return (0..<count).contains(place) ? place : nil
    }

    private func slice(
        _ object: JinjaValue, _ start: Int?, _ stop: Int?, _ step: Int?
    ) throws(JinjaFailure) -> JinjaValue {
        func chosen<Item>(_ items: [Item]) throws(JinjaFailure) -> [Item] {
            try spend(MemoryLayout<Item>.stride * items.count)
            let stride = step ?? 1
            guard stride != 0 else { throw failure("a slice with step 0") }
            func clamp(_ index: Int?, _ preset: Int) -> Int {
                guard let index else { return preset }
                let low = stride > 0 ? 0 : -1
                let place = index < 0 ? index + items.count : index
                return min(max(place, low), stride > 0 ? items.count : items.count - 1)
            }
            let first = clamp(start, stride > 0 ? 0 : items.count - 1)
            let end = clamp(stop, stride > 0 ? items.count : -1)
            return Swift.stride(from: first, to: end, by: stride).map { items[$0] }
        }
        switch object {
        case .list(let list): return .array(try chosen(list.items))
        case .string(let text): return .string(JinjaText.string(try chosen(Array(text.unicodeScalars))))
        case .undefined(let missing): throw failure("'\(missing)' is undefined, so it has no part")
        default: throw failure("a value of type \(object.typeName) has no parts")
        }
    }

    // MARK: Calls

    private func call(
        _ callee: JinjaExpression, _ arguments: JinjaArguments, _ scope: JinjaScope
    ) throws(JinjaFailure) -> JinjaValue {
        if case .attribute(let object, let name) = callee.kind {
            let value = try evaluate(object, scope)
            return try JinjaMethods.call(name, of: value, try evaluate(arguments, scope), self)
        }
        guard case .name(let name) = callee.kind else { throw failure("a call of what is no name") }
        let given = try evaluate(arguments, scope)
        switch scope.find(name) {
        case .macro(let closure): return try call(closure, given)
        case nil where JinjaFunctions.parameters[name] != nil: return try JinjaFunctions.call(name, given, self)
        case nil: throw failure("'\(name)' is undefined, so it cannot be called")
        case let value?: throw failure("'\(name)' is of type \(value.typeName), so it cannot be called")
        }
    }
}
