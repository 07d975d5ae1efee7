import AttentionCore

/// Lists of layers as configuration values.
///
/// An item is a kind with its fields, `{"feed-forward": {"hidden": 1536}}`; a kind alone, `"layer-norm"`; or a
/// repetition, `{"repeat": 6, "layers": [...]}`, which may have an `attention` of its own for its layers.
enum LayerList {
    /// More layers than any model has: a few bytes must not ask for all the memory there is.
    static let maximumCount = 100_000

    static func read(
        _ value: ConfigurationValue, place: String, attention: inout AttentionPattern
    ) throws(ModelError) -> [LayerNode] {
        guard case .array(let items) = value else {
            throw .invalidField(place: place, field: "the value", expected: "a list of layers", actual: value.jsonText)
        }
        var layers: [LayerNode] = []
        for (index, item) in items.enumerated() {
            layers += try read(item: item, place: "\(place)[\(index)]", attention: &attention)
            try checkCount(layers.count, place)
        }
        return layers
    }

    private static func checkCount(_ count: Int, _ place: String) throws(ModelError) {
        guard count <= maximumCount else {
            throw .invalidField(
                place: place, field: "the number of layers", expected: "at most \(maximumCount)", actual: "\(count)")
        }
    }

    private static func read(
        item: ConfigurationValue, place: String, attention: inout AttentionPattern
    ) throws(ModelError) -> [LayerNode] {
        if case .string(let kind) = item {
            return [try layer(kind, [:], place: place, attention: &attention)]
        }
        guard case .object(let fields) = item else {
            throw .invalidField(
                place: place, field: "the value", expected: "a kind of layer, or an object with one",
                actual: item.jsonText)
        }
        if fields["repeat"] != nil { return try repetition(item, place: place, attention: &attention) }
        guard fields.count == 1, let (kind, value) = fields.first else {
            throw .invalidField(
                place: place, field: "the value", expected: "an object with one kind of layer", actual: item.jsonText)
        }
        return [try layer(kind, value, place: place, attention: &attention)]
    }

    private static func repetition(
        _ item: ConfigurationValue, place: String, attention: inout AttentionPattern
    ) throws(ModelError) -> [LayerNode] {
        var reader = try FieldReader(item, place: place)
        let count = try reader.requiredInteger("repeat")
        let layers = reader.value("layers")
        let own = reader.value("attention")
        try reader.finish()
        guard (0...maximumCount).contains(count) else {
            throw reader.failure("repeat", "a number from 0 to \(maximumCount)", .integer(count))
        }
        guard let layers else { throw reader.failure("layers", "a list of layers", nil) }
        var pattern: AttentionPattern?
        if let own { pattern = try AttentionPattern(own, place: "\(place).attention") }
        var result: [LayerNode] = []
        for _ in 0..<count {
            let part: [LayerNode]
            if var inner = pattern {
                part = try read(layers, place: "\(place).layers", attention: &inner)
                pattern = inner
            } else {
                part = try read(layers, place: "\(place).layers", attention: &attention)
            }
            if part.isEmpty { break }
            result += part
            try checkCount(result.count, place)
        }
        return result
    }

    private static func layer(
        _ kind: String, _ value: ConfigurationValue, place: String, attention: inout AttentionPattern
    ) throws(ModelError) -> LayerNode {
        guard let definition = LayerNode.definitions.first(where: { $0.kind == kind }) else {
            let known = LayerNode.definitions.map { $0.kind } + ["repeat"]
            throw .unknownField(
                place: place, field: kind, suggestions: NearestName.suggestions(for: kind, among: known), known: known)
        }
        return try definition.init(value, place: "\(place) \(kind)", attention: &attention).node
    }

    /// The value of a list, with repetitions folded.
    static func configuration(_ layers: [LayerNode]) -> ConfigurationValue {
        .array(
            Repetition.fold(layers).flatMap { part -> [ConfigurationValue] in
                let items = layers[part.range].map(configuration)
                guard part.count > 1 else { return items }
                return [["repeat": .integer(part.count), "layers": .array(items)]]
            })
    }

    private static func configuration(_ layer: LayerNode) -> ConfigurationValue {
        let value = layer.definition.configuration
        if case .object(let fields) = value, fields.isEmpty { return .string(layer.kind) }
        return .object([layer.kind: value])
    }
}
