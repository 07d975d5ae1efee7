import Foundation

/// A place in a JSON file that knows its own name, so that every complaint says where.
struct JSONCursor {
    /// The way to a value; it is only spelt out for a complaint.
    private indirect enum Path {
        case root
        case key(Path, String)
        case index(Path, Int)

        var text: String {
            switch self {
            case .root: ""
            case .key(.root, let key): key
            case .key(let parent, let key): "\(parent.text).\(key)"
            case .index(let parent, let index): "\(parent.text)[\(index)]"
            }
        }
    }

    let file: String
    private let path: Path
    let value: JSONValue

    /// Opens a file.
    /// - Throws: ``TokenizerError``.
    init(path: String) throws(TokenizerError) {
        try self.init(json: try Self.bytes(path), name: path)
    }

    /// Reads a document that is in memory.
    /// - Throws: ``TokenizerError/malformedJSON(file:byte:reason:)``.
    init(json: [UInt8], name: String) throws(TokenizerError) {
        self.init(file: name, path: .root, value: try JSONValue(json, file: name))
    }

    private init(file: String, path: Path, value: JSONValue) {
        self.file = file
        self.path = path
        self.value = value
    }

    /// The bytes of a file.
    static func bytes(_ path: String) throws(TokenizerError) -> [UInt8] {
        do {
            return [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        } catch {
            throw .unreadable(
                path: path, reason: FileManager.default.fileExists(atPath: path) ? "cannot be read" : "no such file")
        }
    }

    /// The complaint that this value is not what it should be.
    func expected(_ what: String) -> TokenizerError {
        let field = path.text
        return .invalidField(
            file: file, field: field.isEmpty ? "the document" : field, expected: what, actual: value.summary)
    }

    /// The complaint that this value names something that is not built.
    func unsupported(_ component: String, _ type: String, supported: [String]) -> TokenizerError {
        .unsupported(file: file, component: component, type: type, supported: supported)
    }

    /// A field, or `nil` when it is absent or null.
    func optional(_ key: String) throws(TokenizerError) -> JSONCursor? {
        guard case .object(let fields) = value else { throw expected("an object") }
        guard let field = fields.last(where: { $0.key.utf8.elementsEqual(key.utf8) }) else { return nil }
        if case .null = field.value { return nil }
        return child(key, field.value)
    }

    /// A field that must be there.
    func field(_ key: String) throws(TokenizerError) -> JSONCursor {
        guard let field = try optional(key) else {
            throw .invalidField(
                file: file, field: Path.key(path, key).text, expected: "a value", actual: "missing")
        }
        return field
    }

    /// Every field of an object, in the file's order.
    var fields: [(key: String, cursor: JSONCursor)] {
        get throws(TokenizerError) {
            guard case .object(let fields) = value else { throw expected("an object") }
            return fields.map { ($0.key, child($0.key, $0.value)) }
        }
    }

    /// Every item of an array.
    var items: [JSONCursor] {
        get throws(TokenizerError) {
            guard case .array(let items) = value else { throw expected("an array") }
            return items.enumerated().map {
                JSONCursor(file: file, path: .index(path, $0.offset), value: $0.element)
            }
        }
    }

    /// Every item of an array, read.
    func list<Item>(
        _ read: (JSONCursor) throws(TokenizerError) -> Item
    ) throws(TokenizerError) -> [Item] {
        var result: [Item] = []
        for item in try items { result.append(try read(item)) }
        return result
    }

    /// The string that stands here.
    var string: String {
        get throws(TokenizerError) {
            guard case .string(let text) = value else { throw expected("a string") }
            return text
        }
    }

    /// The whole number from 0 up that stands here.
    var natural: Int {
        get throws(TokenizerError) {
            guard case .integer(let number) = value, number >= 0, number <= Int(Int32.max) else {
                throw expected("a whole number from 0 to \(Int32.max)")
            }
            return number
        }
    }

    /// The number that stands here.
    var number: Double {
        get throws(TokenizerError) {
            switch value {
            case .integer(let number): return Double(number)
            case .number(let number): return number
            default: throw expected("a number")
            }
        }
    }

    /// The only scalar of the string that stands here, or `nil` when it has more or none.
    var oneScalar: Unicode.Scalar? {
        get throws(TokenizerError) {
            let scalars = try string.unicodeScalars
            return scalars.count == 1 ? scalars.first : nil
        }
    }

    /// The truth value that stands here.
    var bool: Bool {
        get throws(TokenizerError) {
            guard case .bool(let flag) = value else { throw expected("true or false") }
            return flag
        }
    }

    private func child(_ key: String, _ value: JSONValue) -> JSONCursor {
        JSONCursor(file: file, path: .key(path, key), value: value)
    }
}
