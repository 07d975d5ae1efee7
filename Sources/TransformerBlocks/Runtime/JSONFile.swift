import AttentionCore
import Foundation

/// One of the JSON files of a model's directory.
struct JSONFile {
    let path: String
    private let fields: [String: ConfigurationValue]

    /// Opens a file.
    /// - Throws: ``ModelError``.
    init(path: String) throws(ModelError) {
        guard case .object(let fields) = try Self.value(path) else {
            throw .invalidField(place: path, field: "the document", expected: "an object", actual: "something else")
        }
        self.path = path
        self.fields = fields
    }

    /// Opens a file, or gives `nil` when there is none.
    static func optional(path: String) throws(ModelError) -> JSONFile? {
        FileManager.default.fileExists(atPath: path) ? try JSONFile(path: path) : nil
    }

    /// The document in a file.
    static func value(_ path: String) throws(ModelError) -> ConfigurationValue {
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            let exists = FileManager.default.fileExists(atPath: path)
            throw .unreadable(file: path, reason: exists ? "cannot be read" : "no such file")
        }
        guard let value = try? JSONDecoder().decode(ConfigurationValue.self, from: data) else {
            throw .unreadable(file: path, reason: "is not JSON")
        }
        return value
    }

    func failure(_ key: String, _ expected: String) -> ModelError {
        .invalidField(place: path, field: key, expected: expected, actual: fields[key]?.jsonText ?? "missing")
    }

    subscript(key: String) -> ConfigurationValue? { fields[key] == .null ? nil : fields[key] }

    /// A whole number from 1 up.
    func positive(_ key: String) throws(ModelError) -> Int {
        guard let number = self[key]?.asInteger, number > 0 else { throw failure(key, "a whole number from 1 up") }
        return number
    }

    func optionalPositive(_ key: String) throws(ModelError) -> Int? { self[key] == nil ? nil : try positive(key) }

    func float(_ key: String) throws(ModelError) -> Float? {
        guard let value = self[key] else { return nil }
        guard let number = value.asDouble else { throw failure(key, "a number") }
        return Float(number)
    }

    func string(_ key: String) throws(ModelError) -> String? {
        guard let value = self[key] else { return nil }
        guard case .string(let text) = value else { throw failure(key, "a string") }
        return text
    }

    func flag(_ key: String) throws(ModelError) -> Bool? {
        guard let value = self[key] else { return nil }
        guard case .bool(let flag) = value else { throw failure(key, "true or false") }
        return flag
    }
}
