/// The methods of Python's strings, dictionaries and lists that change nothing.
enum JinjaMethods {
    /// Their parameters; `nil` takes any.
    static let parameters: [String: [String]?] = [
        "strip": ["chars"], "lstrip": ["chars"], "rstrip": ["chars"], "split": ["sep", "maxsplit"],
        "rsplit": ["sep", "maxsplit"], "startswith": ["prefix"], "endswith": ["suffix"], "removeprefix": ["prefix"],
        "removesuffix": ["suffix"], "upper": [], "lower": [], "title": [], "capitalize": [],
        "replace": ["old", "new", "count"], "find": ["sub"], "rfind": ["sub"], "count": ["sub"], "index": ["sub"],
        "join": ["iterable"], "splitlines": [], "isdigit": [], "isalpha": [], "isalnum": [], "isspace": [],
        "isupper": [], "islower": [], "items": [], "keys": [], "values": [], "get": ["key", "default"], "cycle": nil,
    ]

    /// Methods of Python's dictionaries: their names hide items.
    static let ofDictionaries: Set<String> = [
        "items", "keys", "values", "get", "pop", "popitem", "copy", "update", "clear", "setdefault", "fromkeys",
    ]

    /// Methods of strings.
    static let ofStrings = Set(parameters.keys).subtracting(["items", "keys", "values", "get", "cycle"])

    static func call(
        _ name: String, of value: JinjaValue, _ given: JinjaGiven, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> JinjaValue {
        switch value {
        case .undefined(let missing): throw run.failure("'\(missing)' is undefined, so it has no method '\(name)'")
        case .string(let text):
            try run.spend(text.utf8.count)
            if let result = try string(name, text, given, run) { return result }
        case .dictionary(let dictionary):
            try run.spend(JinjaInterpreter.itemBytes * dictionary.entries.count)
            switch name {
            case "items": return .array(dictionary.entries.map { .tuple([$0.key, $0.value]) })
            case "keys": return .array(dictionary.entries.map(\.key))
            case "values": return .array(dictionary.entries.map(\.value))
            case "get":
                guard let key = given.value(0, "key") else { throw run.failure("get without a key") }
                return dictionary[key] ?? given.value(1, "default") ?? .null
            default: break
            }
        case .list(let list) where name == "index" || name == "count":
            try run.spend(list.weight)
            let part = given.value(0, "sub") ?? .null
            let places = list.items.indices.filter { JinjaValue.equal(list.items[$0], part) }
            if name == "count" { return .integer(places.count) }
            guard let first = places.first else { throw run.failure("the value is not in the list") }
            return .integer(first)
        case .loop(let loop) where name == "cycle" && !given.positional.isEmpty:
            return given.positional[loop.index % given.positional.count]
        case .namespace(let namespace):
            if case .macro(let closure)? = namespace.fields[.string(name)] { return try run.call(closure, given) }
        default: break
        }
        throw run.failure("a value of type \(value.typeName) has no method '\(name)'")
    }

    private static func string(
        _ name: String, _ text: String, _ given: JinjaGiven, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> JinjaValue? {
        func part(_ index: Int, _ name: String) throws(JinjaFailure) -> String {
            guard case .string(let part)? = given.value(index, name) else { throw run.failure("expected a string") }
            return part
        }
        switch name {
        case "strip", "lstrip", "rstrip": return .string(try strip(name, text, given, run))
        case "split", "rsplit": return try split(text, given, fromRight: name == "rsplit", run)
        case "startswith": return .bool(try affixes(given, run).contains { text.utf8.starts(with: $0.utf8) })
        case "endswith":
            return .bool(try affixes(given, run).contains { text.utf8.reversed().starts(with: $0.utf8.reversed()) })
        case "removeprefix":
            let prefix = try part(0, "prefix")
            guard text.utf8.starts(with: prefix.utf8) else { return .string(text) }
            return .string(JinjaText.string(text.unicodeScalars.dropFirst(prefix.unicodeScalars.count)))
        case "removesuffix":
            let suffix = try part(0, "suffix")
            guard text.utf8.reversed().starts(with: suffix.utf8.reversed()) else { return .string(text) }
            return .string(JinjaText.string(text.unicodeScalars.dropLast(suffix.unicodeScalars.count)))
        case "upper": return .string(text.uppercased())
        case "lower": return .string(text.lowercased())
        case "title": return .string(JinjaText.title(text))
        case "capitalize": return .string(JinjaText.capitalized(text))
        case "replace":
            return .string(
                try replace(text, try part(0, "old"), try part(1, "new"), given.value(2, "count")?.whole ?? -1, run))
        case "find", "rfind", "index", "count": return try search(name, text, try part(0, "sub"), run)
        case "join":
            guard let list = given.value(0, "iterable") else { throw run.failure("join without a list") }
            return .string(try JinjaFilters.join(try run.items(of: list), by: text, run))
        case "splitlines": return .array(JinjaText.lines(text).map { .string($0) })
        default: return .bool(check(name, text))
        }
    }

    private static func affixes(_ given: JinjaGiven, _ run: JinjaInterpreter) throws(JinjaFailure) -> [String] {
        var affixes: [String] = []
        var values = given.positional
        if case .list(let list)? = values.first { values = list.items }
        for value in values {
            guard case .string(let text) = value else { throw run.failure("expected a string") }
            affixes.append(text)
        }
        guard !given.positional.isEmpty else { throw run.failure("expected a string") }
        return affixes
    }

    /// Takes white space, or the scalars of an argument, off the ends.
    static func strip(
        _ name: String, _ text: String, _ given: JinjaGiven, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> String {
        let (left, right) = (name != "rstrip", name != "lstrip")
        switch given.value(0, "chars") {
        case nil, JinjaValue.null?: return JinjaText.stripped(text, left: left, right: right)
        case .string(let characters)?:
            let gone = Set(characters.unicodeScalars)
            return JinjaText.stripped(text, left: left, right: right) { gone.contains($0) }
        case let value?: throw run.failure("\(name) by a value of type \(value.typeName)")
        }
    }

    private static func split(
        _ text: String, _ given: JinjaGiven, fromRight: Bool, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> JinjaValue {
        let limit = given.value(1, "maxsplit")?.whole ?? -1
        try run.spend(8 * text.utf8.count)
        let parts: [String]
        switch given.value(0, "sep") {
        case nil, JinjaValue.null?: parts = JinjaText.words(text, limit: limit, fromRight: fromRight)
        case .string(let separator)? where !separator.isEmpty:
            parts = JinjaText.split(text, at: separator, limit: limit, fromRight: fromRight)
        default: throw run.failure("split needs a separator that is a string and not empty")
        }
        try run.spend(JinjaInterpreter.itemBytes * parts.count)
        return .array(parts.map { .string($0) })
    }

    /// A string with occurrences of another replaced, at most `limit`.
    static func replace(
        _ text: String, _ old: String, _ new: String, _ limit: Int, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> String {
        // Bytes do as well as code points, and are faster.
        let units = Array(text.utf8)
        let part = Array(old.utf8)
        var places = JinjaText.occurrences(of: part, in: units)
        // Nothing is found between any two code points and at both ends.
        if part.isEmpty { places = units.indices.filter { units[$0] & 0xC0 != 0x80 } + [units.count] }
        if limit >= 0 { places = Array(places.prefix(limit)) }
        let (bytes, overflows) = places.count.multipliedReportingOverflow(by: new.utf8.count)
        try run.spend(overflows ? .max : JinjaValue.sum(bytes, text.utf8.count))
        var result: [UInt8] = []
        var done = 0
        for place in places {
            result += units[done..<place]
            result += new.utf8
            done = place + part.count
        }
        result += units[done...]
        return String(decoding: result, as: UTF8.self)
    }

    private static func search(
        _ name: String, _ text: String, _ part: String, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> JinjaValue {
        let scalars = Array(text.unicodeScalars)
        let sought = Array(part.unicodeScalars)
        if name == "count" {
            return .integer(
                sought.isEmpty ? scalars.count + 1 : JinjaText.occurrences(of: sought, in: scalars).count)
        }
        if sought.isEmpty { return .integer(name == "rfind" ? scalars.count : 0) }
        if name == "rfind" {
            let last = JinjaText.occurrences(of: sought.reversed(), in: scalars.reversed()).first
            return .integer(last.map { scalars.count - $0 - sought.count } ?? -1)
        }
        let first = JinjaText.occurrences(of: sought, in: scalars).first
        guard first != nil || name == "find" else { throw run.failure("the substring is not found") }
        return .integer(first ?? -1)
    }

    private static func check(_ name: String, _ text: String) -> Bool {
        func all(_ holds: (Unicode.Scalar) -> Bool) -> Bool { !text.isEmpty && text.unicodeScalars.allSatisfy(holds) }
        func isLetter(_ scalar: Unicode.Scalar) -> Bool {
            switch scalar.properties.generalCategory {
            case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
            default: false
            }
        }
        func isDigit(_ scalar: Unicode.Scalar) -> Bool {
            scalar.properties.numericType == .decimal || scalar.properties.numericType == .digit
        }
        let hasCase = text.unicodeScalars.contains(where: \.properties.isCased)
        return switch name {
        case "isdigit": all(isDigit)
        case "isalpha": all(isLetter)
        case "isalnum": all { isLetter($0) || $0.properties.numericType != nil }
        case "isspace": all(JinjaText.isSpace)
        case "isupper": hasCase && JinjaText.equal(text, text.uppercased())
        default: hasCase && JinjaText.equal(text, text.lowercased())
        }
    }
}
