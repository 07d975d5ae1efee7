import AttentionCore

/// Reads texts of a plugin's tables and says whose they are when they cannot be used.
struct PluginFields {
    let file: String
    let owner: String

    /// A text that must be there.
    func text(_ pointer: UnsafePointer<CChar>?, _ field: String) throws(PluginError) -> String {
        let text = try optional(pointer, field)
        guard !text.isEmpty else { throw PluginError(file: file, .missingField(owner: owner, field: field)) }
        return text
    }

    /// A text that may be missing: then it is empty.
    func optional(_ pointer: UnsafePointer<CChar>?, _ field: String) throws(PluginError) -> String {
        guard let pointer else { return "" }
        guard let text = String(validatingCString: pointer) else {
            throw invalid(field, expected: "UTF-8 text", actual: "other bytes")
        }
        return text
    }

    /// The items of a set of bits; a bit without an item is an error.
    func set<Bits: FixedWidthInteger & Sendable, Item>(
        _ bits: Bits, _ field: String, known: [(bit: Bits, item: Item)]
    ) throws(PluginError) -> [Item] {
        let all = known.reduce(0) { $0 | $1.bit }
        guard bits & ~all == 0 else {
            throw invalid(
                field, expected: "bits of 0x\(String(all, radix: 16))", actual: "0x\(String(bits, radix: 16))")
        }
        return known.filter { bits & $0.bit != 0 }.map(\.item)
    }

    /// An error about a field.
    func invalid(_ field: String, expected: String, actual: String) -> PluginError {
        PluginError(file: file, .invalidField(owner: owner, field: field, expected: expected, actual: actual))
    }
}
