/// Matching the names of modules as Python's `re.match` does: from the start, not to the end.
enum NamePattern {
    /// The end of the match of a pattern from the start of a name, or `nil`.
    /// - Throws: ``CheckpointFormatError`` when the pattern is no regular expression.
    static func end(
        of pattern: String, in name: String, field: String, file: String
    ) throws(CheckpointFormatError) -> String.Index? {
        let regex: Regex<AnyRegexOutput>
        do {
            regex = try Regex(pattern)
        } catch {
            throw CheckpointFormatError(
                place: file, field: field, expected: "a regular expression", actual: "\"\(pattern)\"")
        }
        do {
            return try regex.prefixMatch(in: name)?.range.upperBound
        } catch {
            throw CheckpointFormatError(
                place: file, field: field, expected: "a regular expression that can be matched with \(name)",
                actual: "\"\(pattern)\"")
        }
    }

    /// Whether one of AWQ's `modules_to_not_convert` names a module.
    ///
    /// As transformers has it: as its end, or as a regular expression that ends where a part of the name does.
    static func leavesOut(_ key: String, _ name: String, file: String) throws(CheckpointFormatError) -> Bool {
        if name.hasSuffix(key) { return true }
        let field = "modules_to_not_convert"
        if try end(of: "(?:\(key))(?=\\.|$)", in: name, field: field, file: file) != nil { return true }
        guard let end = try end(of: key, in: name, field: field, file: file) else { return false }
        return end > name.startIndex && name[name.index(before: end)] == "."
    }

    /// Whether an entry of compressed-tensors' `targets` or `ignore` names a module: whole, or after `re:` as a regular
    /// expression.
    static func names(
        _ entry: String, _ name: String, field: String, file: String
    ) throws(CheckpointFormatError) -> Bool {
        guard entry.hasPrefix("re:") else { return entry == name }
        return try end(of: String(entry.dropFirst(3)), in: name, field: field, file: file) != nil
    }
}
