/// A value while a template runs.
enum JinjaValue: Sendable {
    /// What is not there; the name is for messages.
    case undefined(String)
    case null
    case bool(Bool)
    case integer(Int)
    case float(Double)
    case string(String)
    case list(JinjaList)
    case dictionary(JinjaDictionary)
    /// An object whose fields can be assigned.
    case namespace(JinjaNamespace)
    case macro(JinjaClosure)
    /// The `loop` of a `for`.
    case loop(JinjaLoopState)
    /// A method that is named but not called.
    case method(String)

    /// A list of these.
    static func array(_ items: [JinjaValue]) -> JinjaValue { .list(JinjaList(items)) }

    /// A tuple of these.
    static func tuple(_ items: [JinjaValue]) -> JinjaValue { .list(JinjaList(items, isTuple: true)) }

    /// Converts what a caller gave.
    init(_ value: TemplateValue) {
        switch value {
        case .null: self = .null
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .integer(value)
        case .number(let value): self = .float(value)
        case .string(let value): self = .string(value)
        case .array(let items): self = .array(items.map(JinjaValue.init))
        case .object(let fields):
            var dictionary = JinjaDictionary()
            for field in fields { dictionary[.string(field.name)] = JinjaValue(field.value) }
            self = .dictionary(dictionary)
        }
    }

    /// Python's truth.
    var isTrue: Bool {
        switch self {
        case .undefined, .null: false
        case .bool(let value): value
        case .integer(let value): value != 0
        case .float(let value): value != 0
        case .string(let value): !value.utf8.isEmpty
        case .list(let list): !list.items.isEmpty
        case .dictionary(let dictionary): !dictionary.entries.isEmpty
        case .namespace, .macro, .loop, .method: true
        }
    }

    /// The name of the type, as Python has it.
    var typeName: String {
        switch self {
        case .undefined: "Undefined"
        case .null: "NoneType"
        case .bool: "bool"
        case .integer: "int"
        case .float: "float"
        case .string: "str"
        case .list(let list): list.isTuple ? "tuple" : "list"
        case .dictionary: "dict"
        case .namespace: "Namespace"
        case .macro: "Macro"
        case .loop: "LoopContext"
        case .method: "method"
        }
    }

    /// The number this is; truth values are 0 and 1.
    var number: Double? {
        switch self {
        case .bool(let value): value ? 1 : 0
        case .integer(let value): Double(value)
        case .float(let value): value
        default: nil
        }
    }

    /// The whole number this is; truth values are 0 and 1.
    var whole: Int? {
        switch self {
        case .bool(let value): value ? 1 : 0
        case .integer(let value): value
        default: nil
        }
    }

    /// Python's equality.
    static func equal(_ left: JinjaValue, _ right: JinjaValue) -> Bool {
        switch (left, right) {
        case (.undefined, .undefined), (.null, .null): return true
        case (.string(let left), .string(let right)): return JinjaText.equal(left, right)
        case (.list(let left), .list(let right)):
            return left.isTuple == right.isTuple && left.items.count == right.items.count
                && zip(left.items, right.items).allSatisfy(equal)
        case (.dictionary(let left), .dictionary(let right)):
            return left.entries.count == right.entries.count
                && left.entries.allSatisfy { entry in right[entry.key].map { equal(entry.value, $0) } ?? false }
        case (.namespace(let left), .namespace(let right)): return left === right
        case (.macro(let left), .macro(let right)): return left === right
        default:
            if let left = left.whole, let right = right.whole { return left == right }
            if let left = left.number, let right = right.number { return left == right }
            return false
        }
    }

    /// Python's order, or `nil` when there is none.
    static func isLess(_ left: JinjaValue, _ right: JinjaValue) -> Bool? {
        if let left = left.whole, let right = right.whole { return left < right }
        if let left = left.number, let right = right.number { return left < right }
        switch (left, right) {
        case (.string(let left), .string(let right)):
            return left.unicodeScalars.lexicographicallyPrecedes(right.unicodeScalars)
        case (.list(let left), .list(let right)):
            for (first, second) in zip(left.items, right.items) where !equal(first, second) {
                return isLess(first, second)
            }
            return left.items.count < right.items.count
        default: return nil
        }
    }
}

extension JinjaValue {
    /// How deep lists and dictionaries are nested.
    var depth: Int {
        switch self {
        case .list(let list): list.depth
        case .dictionary(let dictionary): dictionary.depth
        case .loop(let loop): loop.list.depth
        default: 0
        }
    }

    /// About how many bytes it takes to write this or to walk over it.
    ///
    /// Kept in lists and dictionaries, because the same list may stand in many places: walking could take for ever.
    var weight: Int {
        switch self {
        case .string(let text): text.utf8.count
        case .list(let list): list.weight
        case .dictionary(let dictionary): dictionary.weight
        default: 8
        }
    }

    /// A sum that stops at the largest number.
    static func sum(_ left: Int, _ right: Int) -> Int {
        let (sum, overflows) = left.addingReportingOverflow(right)
        return overflows ? .max : sum
    }
}

/// A list that knows its size.
struct JinjaList: Sendable {
    let items: [JinjaValue]
    /// Python's tuples are written, and compared, apart from its lists.
    let isTuple: Bool
    let depth: Int
    let weight: Int

    init(_ items: [JinjaValue], isTuple: Bool = false) {
        self.items = items
        self.isTuple = isTuple
        depth = 1 + (items.map(\.depth).max() ?? 0)
        weight = items.reduce(8) { JinjaValue.sum($0, JinjaValue.sum($1.weight, 2)) }
    }
}

/// Keys and values in order of arrival.
struct JinjaDictionary: Sendable {
    private(set) var depth = 1
    private(set) var weight = 8
    private(set) var entries: [(key: JinjaValue, value: JinjaValue)] = []
    /// The places of text keys by their UTF-8, which `String` would compare by canonical equivalence.
    private var places: [[UInt8]: Int] = [:]

    subscript(key: JinjaValue) -> JinjaValue? {
        get { place(of: key).map { entries[$0].value } }
        set {
            guard let newValue else { return }
            depth = max(depth, 1 + max(key.depth, newValue.depth))
            weight = JinjaValue.sum(weight, JinjaValue.sum(key.weight, newValue.weight))
            if let place = place(of: key) {
                entries[place].value = newValue
                return
            }
            if case .string(let text) = key { places[Array(text.utf8)] = entries.count }
            entries.append((key, newValue))
        }
    }

    private func place(of key: JinjaValue) -> Int? {
        if case .string(let text) = key { return places[Array(text.utf8)] }
        return places.count == entries.count ? nil : entries.firstIndex { JinjaValue.equal($0.key, key) }
    }
}

/// The fields of a `namespace()`; one run of one template uses it, on one thread.
final class JinjaNamespace: @unchecked Sendable {
    var fields = JinjaDictionary()
}

/// A macro and the scope it was made in; one run of one template uses it, on one thread.
final class JinjaClosure: @unchecked Sendable {
    let macro: JinjaMacro
    let scope: JinjaScope

    init(_ macro: JinjaMacro, _ scope: JinjaScope) {
        self.macro = macro
        self.scope = scope
    }
}

/// Names and values, with a scope around.
///
/// Names are few, and a loop makes a scope for every turn: a list is faster than a table.
final class JinjaScope {
    private var values: [(name: String, value: JinjaValue)] = []
    private let outer: JinjaScope?

    init(outer: JinjaScope?) { self.outer = outer }

    func find(_ name: String) -> JinjaValue? {
        var scope: JinjaScope? = self
        while let here = scope {
            if let place = here.place(of: name) { return here.values[place].value }
            scope = here.outer
        }
        return nil
    }

    func set(_ name: String, _ value: JinjaValue) {
        if let place = place(of: name) {
            values[place].value = value
        } else {
            values.append((name, value))
        }
    }

    /// Forgets everything: a macro and the scope that holds it refer to each other.
    func clear() { values = [] }

    private func place(of name: String) -> Int? { values.firstIndex { $0.name == name } }
}

/// Where a loop is.
struct JinjaLoopState: Sendable {
    let list: JinjaList
    let index: Int

    /// What is looped over.
    var items: [JinjaValue] { list.items }

    /// A field of `loop`, or `nil`.
    func field(_ name: String) -> JinjaValue? {
        switch name {
        case "index": .integer(index + 1)
        case "index0": .integer(index)
        case "first": .bool(index == 0)
        case "last": .bool(index == items.count - 1)
        case "length": .integer(items.count)
        case "revindex": .integer(items.count - index)
        case "revindex0": .integer(items.count - index - 1)
        // It counts recursive loops, which are not built.
        case "depth": .integer(1)
        case "depth0": .integer(0)
        case "previtem": index > 0 ? items[index - 1] : .undefined("loop.previtem")
        case "nextitem": index + 1 < items.count ? items[index + 1] : .undefined("loop.nextitem")
        default: nil
        }
    }
}
