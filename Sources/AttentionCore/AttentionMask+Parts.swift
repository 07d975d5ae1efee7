/// The fields of a mask in a configuration, with errors that name it.
private struct MaskFields {
    let name: String
    let value: ConfigurationValue
    private let fields: [String: ConfigurationValue]

    /// - Throws: ``AttentionError`` when the value is no object or has a key that is not known.
    init(_ name: String, _ value: ConfigurationValue, known: [String]) throws(AttentionError) {
        self.name = name
        self.value = value
        guard case .object(let fields) = value else {
            throw .invalidOption(
                name: name, expected: "an object with \(known.joined(separator: ", "))", actual: value.jsonText)
        }
        if let stray = fields.keys.sorted().first(where: { !known.contains($0) }) {
            throw .unknownOption(
                name: stray, owner: "mask '\(name)'", suggestions: NearestName.suggestions(for: stray, among: known),
                known: known)
        }
        self.fields = fields
    }

    subscript(_ key: String) -> ConfigurationValue? { fields[key] }

    /// A whole number.
    func integer(_ key: String, _ expected: String) throws(AttentionError) -> Int {
        guard let number = fields[key]?.asInteger else { throw failure(key, expected) }
        return number
    }

    /// Two whole numbers.
    func pair(_ key: String, _ expected: String) throws(AttentionError) -> (Int, Int) {
        guard let numbers = Self.integers(fields[key]), numbers.count == 2 else { throw failure(key, expected) }
        return (numbers[0], numbers[1])
    }

    /// Ranges as pairs of start and count.
    func ranges(_ key: String) throws(AttentionError) -> [Range<Int>] {
        let expected = "[[start, count], ...] from 0 up"
        guard case .array(let pairs)? = fields[key] else { throw failure(key, expected) }
        var result: [Range<Int>] = []
        for pair in pairs {
            guard let numbers = Self.integers(pair), numbers.count == 2, numbers[1] >= 0,
                !numbers[0].addingReportingOverflow(numbers[1]).overflow
            else { throw failure(key, expected) }
            result.append(numbers[0]..<numbers[0] + numbers[1])
        }
        return result
    }

    func failure(_ key: String, _ expected: String) -> AttentionError {
        .invalidOption(name: "\(name).\(key)", expected: expected, actual: fields[key]?.jsonText ?? "missing")
    }

    static func integers(_ value: ConfigurationValue?) -> [Int]? {
        guard case .array(let elements)? = value else { return nil }
        let numbers = elements.compactMap(\.asInteger)
        return numbers.count == elements.count ? numbers : nil
    }
}

extension DocumentMask {
    /// Reads `{"queries": [[start, count], ...], "keys": [[start, count], ...], "inner": mask}`, or
    /// `{"lengths": [...], "keyLengths": [...], "inner": mask}` for documents one behind the other.
    /// - Throws: ``AttentionError``.
    init(_ value: ConfigurationValue) throws(AttentionError) {
        let fields = try MaskFields(
            "documents", value, known: ["queries", "keys", "lengths", "keyLengths", "inner"])
        var inner = AttentionMask.full
        if let written = fields["inner"] { inner = try AttentionMask(written) }
        guard fields["lengths"] == nil else {
            if let stray = ["queries", "keys"].first(where: { fields[$0] != nil }) {
                throw fields.failure(stray, "either lengths or ranges")
            }
            guard let lengths = MaskFields.integers(fields["lengths"]) else {
                throw fields.failure("lengths", "whole numbers from 0 up")
            }
            let keyLengths = MaskFields.integers(fields["keyLengths"])
            if keyLengths == nil, fields["keyLengths"] != nil {
                throw fields.failure("keyLengths", "whole numbers from 0 up")
            }
            try self.init(lengths: lengths, keyLengths: keyLengths, inner: inner)
            return
        }
        if fields["keyLengths"] != nil { throw fields.failure("keyLengths", "lengths beside it") }
        try self.init(queries: fields.ranges("queries"), keys: fields.ranges("keys"), inner: inner)
    }

    /// The form with ranges.
    var configuration: ConfigurationValue {
        func pairs(_ ranges: [Range<Int>]) -> ConfigurationValue {
            .array(ranges.map { .array([.integer($0.lowerBound), .integer($0.count)]) })
        }
        var fields: [String: ConfigurationValue] = ["queries": pairs(queries), "keys": pairs(keys)]
        if inner != .full { fields["inner"] = inner.configuration }
        return .object(["documents": .object(fields)])
    }
}

extension TreeMask {
    /// Reads the parents.
    /// - Throws: ``AttentionError``.
    init(_ value: ConfigurationValue) throws(AttentionError) {
        guard let parents = MaskFields.integers(value) else {
            throw .invalidOption(
                name: "tree", expected: "the parents of the nodes, -1 for a root", actual: value.jsonText)
        }
        try self.init(parents: parents)
    }
}

extension ShiftedMask {
    /// Reads `{"mask": mask, "by": [queries, keys], "lengths": [queries, keys]}`.
    /// - Throws: ``AttentionError``.
    init(_ value: ConfigurationValue) throws(AttentionError) {
        let fields = try MaskFields("shift", value, known: ["mask", "by", "lengths"])
        guard let mask = fields["mask"] else { throw fields.failure("mask", "the mask that is shifted") }
        let limit = -AttentionMask.maximumSide...AttentionMask.maximumSide
        let (queries, keys) = try fields.pair("by", "[queries, keys]")
        guard limit.contains(queries), limit.contains(keys) else {
            throw fields.failure("by", "[queries, keys] of at most \(AttentionMask.maximumSide)")
        }
        var lengths: MaskLengths?
        if fields["lengths"] != nil {
            let (queryLength, keyLength) = try fields.pair("lengths", "[queries, keys] of the whole")
            guard queryLength >= 0, keyLength >= 0, queryLength <= limit.upperBound, keyLength <= limit.upperBound
            else { throw fields.failure("lengths", "[queries, keys] of the whole, from 0 up") }
            lengths = MaskLengths(queryLength: queryLength, keyLength: keyLength)
        }
        self.init(try AttentionMask(mask), queries: queries, keys: keys, lengths: lengths)
    }

    /// The form that is read.
    var configuration: ConfigurationValue {
        var fields: [String: ConfigurationValue] = [
            "mask": mask.configuration, "by": .array([.integer(queries), .integer(keys)]),
        ]
        if let lengths { fields["lengths"] = .array([.integer(lengths.queryLength), .integer(lengths.keyLength)]) }
        return .object(["shift": .object(fields)])
    }
}

extension BlockLayout {
    /// Reads `{"size": n, "layout": [[0, 1], ...]}`, or one such matrix for each head.
    /// - Throws: ``AttentionError``.
    init(_ value: ConfigurationValue) throws(AttentionError) {
        let fields = try MaskFields("blocks", value, known: ["size", "layout"])
        guard let layout = fields["layout"] else { throw fields.failure("layout", "rows of 0 and 1") }
        self = try BlockCells(layout).layout(blockSize: fields.integer("size", "positions of a block, from 1 up"))
    }

    /// The form that is read, one matrix for each head.
    var configuration: ConfigurationValue {
        let planes = (0..<heads).map { head in
            ConfigurationValue.array(
                (0..<queryBlocks).map { row in
                    var cells = [ConfigurationValue](repeating: 0, count: keyBlocks)
                    for column in keptKeyBlocks(head: head, queryBlock: row) { cells[column] = 1 }
                    return .array(cells)
                })
        }
        return .object(["blocks": .object(["size": .integer(blockSize), "layout": .array(planes)])])
    }
}
