/// The fields of an object in a configuration, with errors that name the file and the field.
struct ConfigurationFields {
    let object: OrderedJSON
    let file: String
    /// What stands before a field's name in errors.
    var prefix = ""

    func failure(_ field: String, _ expected: String, _ actual: String) -> CheckpointFormatError {
        CheckpointFormatError(place: file, field: prefix + field, expected: expected, actual: actual)
    }

    /// The value of the first of these names that is there and not null, and that name.
    func value(_ names: String...) -> (name: String, value: OrderedJSON)? {
        for name in names {
            guard let value = object[name] else { continue }
            if case .null = value { continue }
            return (name, value)
        }
        return nil
    }

    func integer(_ names: String...) throws(CheckpointFormatError) -> Int? {
        for name in names {
            guard let (_, value) = value(name) else { continue }
            guard case .integer(let number) = value else { throw failure(name, "a whole number", value.text) }
            return number
        }
        return nil
    }

    func number(_ name: String) throws(CheckpointFormatError) -> Double? {
        switch value(name)?.value {
        case nil: return nil
        case .integer(let number): return Double(number)
        case .number(let number): return number
        case .some(let other): throw failure(name, "a number", other.text)
        }
    }

    func bool(_ name: String) throws(CheckpointFormatError) -> Bool? {
        guard let (_, value) = value(name) else { return nil }
        guard case .bool(let flag) = value else { throw failure(name, "true or false", value.text) }
        return flag
    }

    func string(_ name: String) throws(CheckpointFormatError) -> String? {
        guard let (_, value) = value(name) else { return nil }
        guard case .string(let text) = value else { throw failure(name, "a string", value.text) }
        return text
    }

    func strings(_ name: String) throws(CheckpointFormatError) -> [String]? {
        guard let (_, value) = value(name) else { return nil }
        guard case .array(let items) = value else { throw failure(name, "an array of strings", value.text) }
        var result: [String] = []
        for item in items {
            guard case .string(let text) = item else { throw failure(name, "an array of strings", value.text) }
            result.append(text)
        }
        return result
    }

    /// `group_size` as files have it: `.some(nil)` for −1.
    func groupSize(_ names: String...) throws(CheckpointFormatError) -> Int?? {
        for name in names {
            guard let size = try integer(name) else { continue }
            guard size == -1 || size > 0 else { throw failure(name, "a number from 1, or -1", "\(size)") }
            return .some(size == -1 ? nil : size)
        }
        return nil
    }

    /// Refuses a field that is there and says something.
    func refuse(_ names: String..., because reason: String) throws(CheckpointFormatError) {
        for name in names {
            guard let (_, value) = value(name) else { continue }
            switch value {
            case .bool(false): continue
            case .object(let fields) where fields.isEmpty: continue
            case .array(let items) where items.isEmpty: continue
            default: throw failure(name, "nothing: \(reason)", value.text)
            }
        }
    }
}
