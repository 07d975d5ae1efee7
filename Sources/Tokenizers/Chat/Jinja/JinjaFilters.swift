/// Jinja's filters, and `tojson` as transformers has it.
enum JinjaFilters {
    /// Their parameters; `nil` takes any.
    static let parameters: [String: [String]?] = [
        "trim": ["chars"], "upper": [], "lower": [], "title": [], "capitalize": [], "string": [], "safe": [],
        "length": [], "count": [], "first": [], "last": [], "list": [], "reverse": [], "items": [], "abs": [],
        "join": ["d", "attribute"], "default": ["default_value", "boolean"], "d": ["default_value", "boolean"],
        "tojson": ["ensure_ascii", "indent", "separators", "sort_keys"], "int": ["default"], "float": ["default"],
        "replace": ["old", "new", "count"], "indent": ["width", "first", "blank"],
        "sort": ["reverse", "case_sensitive"],
        "unique": ["case_sensitive"], "dictsort": [], "sum": [], "min": [], "max": [], "round": ["precision"],
        "map": nil, "select": nil, "reject": nil, "selectattr": nil, "rejectattr": nil, "wordcount": [],
    ]

    static func apply(
        _ name: String, _ value: JinjaValue, _ given: JinjaGiven, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> JinjaValue {
        switch name {
        case "default", "d":
            let isMissing = if case .undefined = value { true } else { false }
            let counts = given.value(1, "boolean")?.isTrue ?? false
            return isMissing || counts && !value.isTrue ? given.value(0, "default_value") ?? .string("") : value
        case "tojson": return .string(try json(value, given, run))
        case "int", "float", "abs", "round", "sum", "min", "max": return try number(name, value, given, run)
        case "trim", "upper", "lower", "title", "capitalize", "string", "safe", "replace", "indent", "wordcount":
            return try text(name, try run.text(of: value), given, run)
        case "length", "count", "first", "last", "list", "reverse", "items", "join", "unique", "sort", "dictsort":
            return try JinjaListFilters.apply(name, value, given, run)
        default: return try JinjaListFilters.choose(name, value, given, run)
        }
    }

    private static func text(
        _ name: String, _ text: String, _ given: JinjaGiven, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> JinjaValue {
        switch name {
        case "trim": return .string(try JinjaMethods.strip("strip", text, given, run))
        case "upper": return .string(text.uppercased())
        case "lower": return .string(text.lowercased())
        case "title": return .string(titled(text))
        case "capitalize": return .string(JinjaText.capitalized(text))
        case "replace":
            guard let old = given.value(0, "old"), let new = given.value(1, "new") else {
                throw run.failure("replace needs what is replaced and by what")
            }
            return .string(
                try JinjaMethods.replace(
                    text, try run.text(of: old), try run.text(of: new), given.value(2, "count")?.whole ?? -1, run))
        case "indent": return .string(try indented(text, given, run))
        case "wordcount":
            let words = text.unicodeScalars.split { !UnicodeRules.isWord($0) }
            return .integer(words.count)
        default: return .string(text)
        }
    }

    /// Jinja's own rule: words begin after white space and opening punctuation.
    private static func titled(_ text: String) -> String {
        var result = ""
        var begins = true
        for scalar in text.unicodeScalars {
            result += begins ? scalar.properties.uppercaseMapping : scalar.properties.lowercaseMapping
            begins = scalar == "-" || JinjaText.isSpace(scalar) || "({[<".unicodeScalars.contains(scalar)
        }
        return result
    }

    private static func indented(
        _ text: String, _ given: JinjaGiven, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> String {
        let margin: String
        switch given.value(0, "width") {
        case .string(let own)?: margin = own
        case let value: margin = String(repeating: " ", count: max(0, min(value?.whole ?? 4, 1000)))
        }
        let lines = JinjaText.lines(text + "\n")
        try run.spend(JinjaValue.sum(text.utf8.count, lines.count * margin.utf8.count))
        let fillsBlank = given.value(2, "blank")?.isTrue ?? false
        let rest = lines.dropFirst().map { fillsBlank || !$0.isEmpty ? margin + $0 : $0 }
        let isFirstToo = given.value(1, "first")?.isTrue ?? false
        return ([(isFirstToo ? margin : "") + (lines.first ?? "")] + rest).joined(separator: "\n")
    }

    private static func json(
        _ value: JinjaValue, _ given: JinjaGiven, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> String {
        var style = JinjaValue.JSONStyle()
        style.isASCII = given.value(0, "ensure_ascii")?.isTrue ?? false
        style.sortsKeys = given.value(3, "sort_keys")?.isTrue ?? false
        if let indent = given.value(1, "indent")?.whole {
            style.indent = max(0, min(indent, 64))
            // Python leaves the blank out where a line ends.
            style.itemSeparator = ","
        }
        if case .list(let separators)? = given.value(2, "separators"), separators.items.count == 2 {
            style.itemSeparator = separators.items[0].text
            style.keySeparator = separators.items[1].text
        }
        // Indentation costs at most the depth on each of the lines.
        try run.spend(JinjaValue.sum(value.weight, (style.indent ?? 0) * value.depth))
        do {
            let text = try value.json(style)
            try run.spend(text.utf8.count)
            return text
        } catch let mismatch as JinjaTypeMismatch {
            throw run.failure("a value of type \(mismatch.typeName) cannot be written as JSON")
        } catch let failure as JinjaFailure {
            throw failure
        } catch {
            throw run.failure("a value cannot be written as JSON")
        }
    }

    private static func number(
        _ name: String, _ value: JinjaValue, _ given: JinjaGiven, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> JinjaValue {
        switch name {
        case "int", "float": return converted(value, given.value(0, "default"), isWhole: name == "int")
        case "abs":
            if let whole = value.whole, whole != .min { return .integer(abs(whole)) }
            if let number = value.number { return .float(abs(number)) }
        case "round":
            let precision = given.value(0, "precision")?.whole ?? 0
            guard let number = value.number, (0...15).contains(precision) else { break }
            let scale = (0..<precision).reduce(1.0) { scale, _ in scale * 10 }
            return .float((number * scale).rounded(.toNearestOrEven) / scale)
        default:
            let items = try run.items(of: value)
            if name == "sum" {
                var sum = JinjaValue.integer(0)
                for item in items { sum = try JinjaArithmetic.apply("+", sum, item, run) }
                return sum
            }
            guard var best = items.first else { return .undefined(name) }
            for item in items.dropFirst()
            where try JinjaTests.compare(name == "min" ? "<" : ">", item, best, run) { best = item }
            return best
        }
        throw run.failure("\(name) of a value of type \(value.typeName)")
    }

    private static func converted(_ value: JinjaValue, _ preset: JinjaValue?, isWhole: Bool) -> JinjaValue {
        var number = value.number
        if isWhole, let whole = value.whole { return .integer(whole) }
        if case .string(let text) = value {
            let trimmed = JinjaText.stripped(text)
            if isWhole, let whole = Int(trimmed) { return .integer(whole) }
            number = Double(trimmed)
        }
        guard let number else { return preset ?? (isWhole ? .integer(0) : .float(0)) }
        guard isWhole else { return .float(number) }
        return Int(exactly: number.rounded(.towardZero)).map { .integer($0) } ?? preset ?? .integer(0)
    }

    /// Values as text, with a separator between them.
    static func join(
        _ items: [JinjaValue], by separator: String, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> String {
        var parts: [String] = []
        for item in items { parts.append(try run.text(of: item)) }
        let (bytes, overflows) = separator.utf8.count.multipliedReportingOverflow(by: parts.count)
        try run.spend(overflows ? .max : bytes)
        return parts.joined(separator: separator)
    }
}
