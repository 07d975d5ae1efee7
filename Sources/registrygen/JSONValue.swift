/// A JSON value whose types are kept apart: unlike `JSONSerialization`, true is no number here.
enum JSONValue: Decodable {
    case string(String)
    case integer(Int)
    case list([JSONValue])
    case object([String: JSONValue])
    /// null, true, false or a number that is not whole.
    case other

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode(Int.self) {
            self = .integer(value)
        } else if let value = try? container.decode([JSONValue].self) {
            self = .list(value)
        } else if let value = try? container.decode([String: JSONValue].self) {
            self = .object(value)
        } else {
            self = .other
        }
    }

    /// The text of a string.
    var text: String? {
        guard case .string(let value) = self else { return nil }
        return value
    }
}
