/// The functions that every template has.
enum JinjaFunctions {
    /// Their parameters; `nil` takes any.
    static let parameters: [String: [String]?] = [
        "raise_exception": ["message"], "strftime_now": ["format"], "range": ["start", "stop", "step"],
        "namespace": nil, "dict": nil,
    ]

    /// The most numbers of a range, as in Jinja's sandbox.
    private static let maximumRange = 100_000

    static func call(
        _ name: String, _ given: JinjaGiven, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> JinjaValue {
        switch name {
        case "raise_exception":
            let message = try given.value(0, "message").map { (value) throws(JinjaFailure) in try run.text(of: value) }
            throw JinjaFailure(.raised(message ?? ""), line: run.line)
        case "strftime_now":
            guard case .string(let format)? = given.value(0, "format"), format.utf8.count <= 256 else {
                throw run.failure("strftime_now needs a format of at most 256 bytes")
            }
            return .string(JinjaText.time(format, secondsSince1970: run.secondsSince1970))
        case "range": return try range(given, run)
        case "namespace": return run.makeNamespace(try fields(given, run))
        default: return .dictionary(try fields(given, run))
        }
    }

    private static func fields(_ given: JinjaGiven, _ run: JinjaInterpreter) throws(JinjaFailure) -> JinjaDictionary {
        var dictionary = JinjaDictionary()
        if let first = given.positional.first {
            guard case .dictionary(let start) = first, given.positional.count == 1 else {
                throw run.failure("expected one dictionary")
            }
            dictionary = start
        }
        for (name, value) in given.named { dictionary[.string(name)] = value }
        return dictionary
    }

    private static func range(_ given: JinjaGiven, _ run: JinjaInterpreter) throws(JinjaFailure) -> JinjaValue {
        var numbers: [Int] = []
        for value in given.positional {
            guard let number = value.whole else { throw run.failure("range of a value of type \(value.typeName)") }
            numbers.append(number)
        }
        guard (1...3).contains(numbers.count) else { throw run.failure("range takes one to three numbers") }
        let start = numbers.count == 1 ? 0 : numbers[0]
        let stop = numbers.count == 1 ? numbers[0] : numbers[1]
        let step = numbers.count == 3 ? numbers[2] : 1
        guard step != 0 else { throw run.failure("a range with step 0") }
        var items: [JinjaValue] = []
        for number in stride(from: start, to: stop, by: step) {
            guard items.count < maximumRange else {
                throw JinjaFailure(.tooCostly("\(maximumRange) numbers in a range"), line: run.line)
            }
            items.append(.integer(number))
        }
        try run.spend(JinjaInterpreter.itemBytes * items.count)
        return .array(items)
    }
}
