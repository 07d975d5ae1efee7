import Foundation

/// Python's operators.
enum JinjaArithmetic {
    static func minus(_ value: JinjaValue, _ run: JinjaInterpreter) throws(JinjaFailure) -> JinjaValue {
        if let whole = value.whole, whole != .min { return .integer(-whole) }
        guard let number = value.number else { throw run.failure("minus a value of type \(value.typeName)") }
        return .float(-number)
    }

    static func apply(
        _ symbol: String, _ left: JinjaValue, _ right: JinjaValue, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> JinjaValue {
        for case .undefined(let name) in [left, right] where symbol != "~" {
            throw run.failure("'\(name)' is undefined, so \(symbol) has no value")
        }
        switch (symbol, left, right) {
        case ("~", _, _):
            let (first, second) = (try run.text(of: left), try run.text(of: right))
            return .string(first + second)
        case ("+", .string(let left), .string(let right)):
            try run.spend(left.utf8.count + right.utf8.count)
            return .string(left + right)
        case ("+", .list(let left), .list(let right)):
            try run.spend(JinjaInterpreter.itemBytes * (left.items.count + right.items.count))
            return .array(left.items + right.items)
        case ("*", .string(let text), _) where right.whole != nil:
            let count = try times(right, text.utf8.count, run)
            return .string(String(repeating: text, count: count))
        case ("*", _, .string) where left.whole != nil, ("*", _, .list) where left.whole != nil:
            return try apply(symbol, right, left, run)
        case ("*", .list(let list), _) where right.whole != nil:
            let count = try times(right, JinjaInterpreter.itemBytes * list.items.count, run)
            return .array((0..<count).flatMap { _ in list.items })
        default: break
        }
        if let first = left.whole, let second = right.whole, let value = try whole(symbol, first, second, run) {
            return value
        }
        guard let first = left.number, let second = right.number else {
            throw run.failure("\(symbol) of values of types \(left.typeName) and \(right.typeName)")
        }
        return .float(try float(symbol, first, second, run))
    }

    private static func times(_ value: JinjaValue, _ size: Int, _ run: JinjaInterpreter) throws(JinjaFailure) -> Int {
        let count = max(0, value.whole ?? 0)
        let (bytes, overflows) = size.multipliedReportingOverflow(by: count)
        try run.spend(overflows ? .max : bytes)
        return size == 0 ? 0 : count
    }

    /// `nil` leaves it to floats.
    private static func whole(
        _ symbol: String, _ left: Int, _ right: Int, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> JinjaValue? {
        var result: (partialValue: Int, overflow: Bool)
        switch symbol {
        case "+": result = left.addingReportingOverflow(right)
        case "-": result = left.subtractingReportingOverflow(right)
        case "*": result = left.multipliedReportingOverflow(by: right)
        case "//", "%":
            guard right != 0 else { throw run.failure("a division by zero") }
            result =
                symbol == "%"
                ? left.remainderReportingOverflow(dividingBy: right) : left.dividedReportingOverflow(by: right)
            let remainder = left.remainderReportingOverflow(dividingBy: right).partialValue
            // Python rounds down, so that a remainder has the sign of the divisor.
            if remainder != 0, (remainder < 0) != (right < 0) { result.partialValue += symbol == "%" ? right : -1 }
        case "**" where right >= 0:
            result = (1, false)
            // Whatever grows overflows within 64 factors; of the others only odd or even matters.
            for _ in 0..<min(right, (-1...1).contains(left) ? 2 - right % 2 : 64) where !result.overflow {
                result = result.partialValue.multipliedReportingOverflow(by: left)
            }
        default: return nil
        }
        guard !result.overflow else { throw run.failure("a number that is too large") }
        return .integer(result.partialValue)
    }

    private static func float(
        _ symbol: String, _ left: Double, _ right: Double, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> Double {
        switch symbol {
        case "+": return left + right
        case "-": return left - right
        case "*": return left * right
        case "**": return pow(left, right)
        default: break
        }
        guard right != 0 else { throw run.failure("a division by zero") }
        switch symbol {
        case "/": return left / right
        case "//": return (left / right).rounded(.down)
        default: return left - right * (left / right).rounded(.down)
        }
    }
}
