import AttentionCore

/// Specifications that self-attention layers without one of their own take in turn, again and again.
struct AttentionPattern {
    private let specifications: [AttentionSpecification]
    private var index = 0

    /// The dispatcher's choice for every layer.
    init() { specifications = [AttentionSpecification()] }

    /// Reads one specification, or `{"pattern": [...]}`.
    init(_ value: ConfigurationValue, place: String) throws(ModelError) {
        guard case .object(let fields) = value, fields["pattern"] != nil else {
            specifications = [
                try ModelError.attention(at: place) { () throws(AttentionError) in try AttentionSpecification(value) }
            ]
            return
        }
        var reader = try FieldReader(value, place: place)
        let list = reader.value("pattern")
        try reader.finish()
        guard case .array(let items) = list, !items.isEmpty else {
            throw reader.failure("pattern", "a list of attention specifications", list)
        }
        var specifications: [AttentionSpecification] = []
        for (index, item) in items.enumerated() {
            specifications.append(
                try ModelError.attention(at: "\(place).pattern[\(index)]") { () throws(AttentionError) in
                    try AttentionSpecification(item)
                })
        }
        self.specifications = specifications
    }

    /// The next layer's specification.
    mutating func next() -> AttentionSpecification {
        defer { index = (index + 1) % specifications.count }
        return specifications[index]
    }
}
