/// What can stand after `is`, and the comparisons.
enum JinjaTests {
    /// Their names.
    static let names: Set<String> = [
        "defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "true", "false", "mapping",
        "iterable", "sequence", "callable", "odd", "even", "divisibleby", "eq", "equalto", "==", "ne", "!=", "lt",
        "lessthan", "le", "gt", "greaterthan", "ge", "in", "sameas", "lower", "upper",
    ]

    private static let comparisons = [
        "eq": "==", "equalto": "==", "ne": "!=", "lt": "<", "lessthan": "<", "le": "<=", "gt": ">", "greaterthan": ">",
        "ge": ">=", "in": "in", "==": "==", "!=": "!=",
    ]

    static func holds(
        _ name: String, _ value: JinjaValue, _ argument: JinjaValue?, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> Bool {
        if let symbol = comparisons[name] {
            guard let argument else { throw run.failure("the test '\(name)' needs an argument") }
            return try compare(symbol, value, argument, run)
        }
        switch (name, value) {
        case ("defined", .undefined), ("undefined", .undefined): return name == "undefined"
        case ("defined", _): return true
        case ("none", .null), ("string", .string), ("boolean", .bool), ("mapping", .dictionary), ("integer", .integer),
            ("float", .float), ("callable", .macro), ("callable", .method), ("true", .bool(true)),
            ("false", .bool(false)):
            return true
        case ("number", _): return value.number != nil
        case ("iterable", .list), ("iterable", .string), ("iterable", .dictionary), ("iterable", .undefined),
            ("sequence", .list), ("sequence", .string), ("sequence", .dictionary), ("sequence", .undefined):
            return true
        case ("odd", _), ("even", _), ("divisibleby", _):
            let divisor = name == "divisibleby" ? argument?.whole : 2
            guard let number = value.whole, let divisor, divisor != 0 else {
                throw run.failure("the test '\(name)' of a value of type \(value.typeName)")
            }
            // The smallest number by −1 has no quotient, but no remainder either.
            let isDivisible = number.remainderReportingOverflow(dividingBy: divisor).partialValue == 0
            return isDivisible != (name == "odd")
        case ("sameas", _):
            guard let argument else { throw run.failure("the test 'sameas' needs an argument") }
            return value.typeName == argument.typeName && JinjaValue.equal(value, argument)
        case ("lower", .string(let text)):
            return text.unicodeScalars.contains(where: \.properties.isCased)
                && JinjaText.equal(text, text.lowercased())
        case ("upper", .string(let text)):
            return text.unicodeScalars.contains(where: \.properties.isCased)
                && JinjaText.equal(text, text.uppercased())
        default: return false
        }
    }

    static func compare(
        _ symbol: String, _ left: JinjaValue, _ right: JinjaValue, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> Bool {
        try run.spend(min(left.weight, right.weight))
        switch symbol {
        case "==": return JinjaValue.equal(left, right)
        case "!=": return !JinjaValue.equal(left, right)
        case "in": return try contains(right, left, run)
        case "not in": return try !contains(right, left, run)
        case "<", ">=":
            guard let isLess = JinjaValue.isLess(left, right) else { break }
            return isLess == (symbol == "<")
        default:
            guard let isLess = JinjaValue.isLess(right, left) else { break }
            return isLess == (symbol == ">")
        }
        throw run.failure("\(symbol) between values of types \(left.typeName) and \(right.typeName)")
    }

    private static func contains(
        _ whole: JinjaValue, _ part: JinjaValue, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> Bool {
        switch (whole, part) {
        case (.undefined, _): return false
        case (.list(let list), _):
            try run.spend(whole.weight)
            return list.items.contains { JinjaValue.equal($0, part) }
        case (.dictionary(let dictionary), _): return dictionary[part] != nil
        case (.string(let text), .string(let part)):
            try run.spend(text.utf8.count)
            let scalars = Array(part.unicodeScalars)
            return scalars.isEmpty || !JinjaText.occurrences(of: scalars, in: Array(text.unicodeScalars)).isEmpty
        default: throw run.failure("'in' between values of types \(part.typeName) and \(whole.typeName)")
        }
    }
}
