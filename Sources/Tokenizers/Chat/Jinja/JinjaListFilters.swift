/// The filters over lists.
enum JinjaListFilters {
    static func apply(
        _ name: String, _ value: JinjaValue, _ given: JinjaGiven, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> JinjaValue {
        if case .dictionary(let dictionary) = value, name == "items" || name == "dictsort" {
            let entries = dictionary.entries.map { JinjaValue.tuple([$0.key, $0.value]) }
            try run.spend(2 * JinjaInterpreter.itemBytes * entries.count)
            guard name == "dictsort" else { return .array(entries) }
            return .array(
                try sorted(entries, run) { entry in
                    if case .list(let pair) = entry { JinjaListFilters.folded(pair.items[0]) } else { entry }
                })
        }
        if case .string(let text) = value, name == "reverse" {
            return .string(JinjaText.string(text.unicodeScalars.reversed()))
        }
        let items = try run.items(of: value)
        try run.spend(JinjaInterpreter.itemBytes * items.count)
        switch name {
        case "length", "count": return .integer(items.count)
        case "first": return items.first ?? .undefined("the first of nothing")
        case "last": return items.last ?? .undefined("the last of nothing")
        case "list": return .array(items)
        case "reverse": return .array(items.reversed())
        case "join":
            let separator = try given.value(0, "d").map { (value) throws(JinjaFailure) in try run.text(of: value) }
            var parts = items
            if let path = given.value(1, "attribute") {
                parts = []
                for item in items { parts.append(try part(path.text, of: item, run)) }
            }
            return .string(try JinjaFilters.join(parts, by: separator ?? "", run))
        case "unique":
            let minds = given.value(0, "case_sensitive")?.isTrue ?? false
            return .array(try unique(items, mindsCase: minds, run))
        case "sort":
            let minds = given.value(1, "case_sensitive")?.isTrue ?? false
            let ordered = try sorted(items, run) { minds ? $0 : JinjaListFilters.folded($0) }
            // Equal items keep their order either way.
            guard given.value(0, "reverse")?.isTrue ?? false else { return .array(ordered) }
            return .array(try sorted(items.reversed(), run) { minds ? $0 : JinjaListFilters.folded($0) }.reversed())
        default: throw run.failure("\(name) of a value of type \(value.typeName)")
        }
    }

    /// `map`, `select`, `reject`, `selectattr`, `rejectattr`.
    static func choose(
        _ name: String, _ value: JinjaValue, _ given: JinjaGiven, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> JinjaValue {
        let items = try run.items(of: value)
        if name == "map" { return .array(try map(items, given, run)) }
        var rest = given.positional[...]
        var path: String?
        if name.hasSuffix("attr") {
            guard let first = rest.popFirst() else { throw run.failure("\(name) without an attribute") }
            path = first.text
        }
        let test = rest.popFirst()?.text
        if let test, !JinjaTests.names.contains(test) {
            throw JinjaFailure(.unsupported("the test '\(test)'"), line: run.line)
        }
        guard rest.count <= 1, given.named.isEmpty else { throw run.failure("too many arguments of \(name)") }
        var chosen: [JinjaValue] = []
        for item in items {
            try run.spend(8)
            var tested = item
            if let path { tested = try part(path, of: item, run) }
            let holds = try test.map { (test) throws(JinjaFailure) in
                try JinjaTests.holds(test, tested, rest.first, run)
            }
            if holds ?? tested.isTrue != name.hasPrefix("reject") { chosen.append(item) }
        }
        return .array(chosen)
    }

    private static func map(
        _ items: [JinjaValue], _ given: JinjaGiven, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> [JinjaValue] {
        var result: [JinjaValue] = []
        if let path = given.named.first(where: { $0.name == "attribute" })?.value {
            let preset = given.named.first { $0.name == "default" }?.value
            for item in items {
                try run.spend(8)
                result.append(try part(path.text, of: item, preset: preset, run))
            }
            return result
        }
        guard let filter = given.positional.first?.text, JinjaFilters.parameters[filter] != nil else {
            throw JinjaFailure(.unsupported("map by what is neither a filter nor an attribute"), line: run.line)
        }
        let rest = JinjaGiven(positional: Array(given.positional.dropFirst()), named: given.named)
        for item in items { result.append(try JinjaFilters.apply(filter, item, rest, run)) }
        return result
    }

    /// A part by a path such as `function.name` or `0`; what is missing on the way is `preset`, or a failure.
    private static func part(
        _ path: String, of value: JinjaValue, preset: JinjaValue? = nil, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> JinjaValue {
        var value = value
        for name in path.split(separator: ".") {
            let index = Int(name).map { JinjaValue.integer($0) } ?? .string(String(name))
            value = try run.item(index, of: value)
            if case .undefined = value, let preset { value = preset }
        }
        return value
    }

    private static func folded(_ value: JinjaValue) -> JinjaValue {
        if case .string(let text) = value { return .string(text.lowercased()) }
        return value
    }

    private static func unique(
        _ items: [JinjaValue], mindsCase: Bool, _ run: JinjaInterpreter
    ) throws(JinjaFailure) -> [JinjaValue] {
        var keys = JinjaDictionary()
        var result: [JinjaValue] = []
        for item in items {
            let key = mindsCase ? item : folded(item)
            if case .string = key {} else { try run.spend(8 * keys.entries.count) }
            guard keys[key] == nil else { continue }
            keys[key] = .null
            result.append(item)
        }
        return result
    }

    /// A stable merge sort that can fail.
    private static func sorted(
        _ items: [JinjaValue], _ run: JinjaInterpreter, by key: (JinjaValue) -> JinjaValue
    ) throws(JinjaFailure) -> [JinjaValue] {
        guard items.count > 1 else { return items }
        let middle = items.count / 2
        let left = try sorted(Array(items[..<middle]), run, by: key)
        let right = try sorted(Array(items[middle...]), run, by: key)
        var result: [JinjaValue] = []
        var (first, second) = (0, 0)
        while first < left.count, second < right.count {
            if try JinjaTests.compare("<", key(right[second]), key(left[first]), run) {
                result.append(right[second])
                second += 1
            } else {
                result.append(left[first])
                first += 1
            }
        }
        return result + left[first...] + right[second...]
    }
}
