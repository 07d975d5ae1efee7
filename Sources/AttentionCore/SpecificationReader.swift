/// Takes the common keys out of an object, one by one; what is left is the operator's own.
struct SpecificationReader {
    private(set) var rest: [String: ConfigurationValue]

    init(_ fields: [String: ConfigurationValue]) { rest = fields }

    mutating func string(_ key: String) throws(AttentionError) -> String? {
        guard let value = rest.removeValue(forKey: key) else { return nil }
        guard case .string(let text) = value else {
            throw .invalidOption(name: key, expected: "a string", actual: value.jsonText)
        }
        return text
    }

    mutating func float(_ key: String) throws(AttentionError) -> Float? {
        guard let value = rest.removeValue(forKey: key), value != .null else { return nil }
        guard let number = value.asDouble else {
            throw .invalidOption(name: key, expected: "a number", actual: value.jsonText)
        }
        return Float(number)
    }

    mutating func seed() throws(AttentionError) -> UInt64 {
        guard let value = rest.removeValue(forKey: "seed"), value != .null else { return 0 }
        // Seeds beyond Int.max are written as the negative number of the same bits.
        guard let number = value.asInteger else {
            throw .invalidOption(name: "seed", expected: "a whole number", actual: value.jsonText)
        }
        return UInt64(bitPattern: Int64(number))
    }

    mutating func mask() throws(AttentionError) -> AttentionMask {
        let corner = try causal()
        let window = try window(corner ?? .bottomRight)
        var parts: [AttentionMask] = []
        if let value = rest.removeValue(forKey: "mask"), value != .null { parts.append(try AttentionMask(value)) }
        if let corner { parts.append(.causal(corner)) }
        if let window { parts.append(window) }
        return parts.isEmpty ? .full : parts.count == 1 ? parts[0] : .and(parts)
    }

    private mutating func causal() throws(AttentionError) -> MaskCorner? {
        switch rest.removeValue(forKey: "causal") {
        case nil, .bool(false), .null: return nil
        case .bool(true): return .bottomRight
        case .string(let text) where MaskCorner(rawValue: text) != nil: return MaskCorner(rawValue: text)
        case .some(let value):
            throw .invalidOption(
                name: "causal", expected: "true, false, \"top-left\" or \"bottom-right\"", actual: value.jsonText)
        }
    }

    private mutating func window(_ corner: MaskCorner) throws(AttentionError) -> AttentionMask? {
        guard let value = rest.removeValue(forKey: "window"), value != .null else { return nil }
        let mask = try AttentionMask.window(value, corner: corner)
        return mask == .window(left: nil, right: nil, corner: corner) ? nil : mask
    }
}
