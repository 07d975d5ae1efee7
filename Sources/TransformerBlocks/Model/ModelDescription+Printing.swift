public import AttentionCore

extension ModelDescription: CustomStringConvertible {
    /// The stack: a line for each layer with its settings, the shape that comes out and its parameters.
    ///
    /// Equal stretches are printed once, under how often they occur.
    public var description: String { Self.description(ModelInspector(self, registry: nil, context: nil), width: width) }

    /// The stack as ``description`` shows it, with the tensors that attention operators own counted.
    public func description(in registry: OperatorRegistry) -> String {
        Self.description(ModelInspector(self, registry: registry, context: nil), width: width)
    }

    private static func description(_ inspector: ModelInspector, width: Int) -> String {
        var lines: [Line] = []
        append(inspector.facts, depth: 0, to: &lines)
        let first = lines.map(\.name.count).max() ?? 0
        let second = lines.map(\.settings.count).max() ?? 0
        let third = lines.map(\.shape.count).max() ?? 0
        let fourth = lines.map(\.parameters.count).max() ?? 0
        let total = inspector.facts.map(\.parameterCount).saturatingSum
        let heading = "Transformer of width \(width), \(grouped(total)) parameters"
        let rows = lines.map { line in
            let text = [
                padded(line.name, first), padded(line.settings, second), padded(line.shape, third),
                String(repeating: " ", count: fourth - line.parameters.count) + line.parameters,
            ].joined(separator: "  ")
            return String(text.reversed().drop { $0 == " " }.reversed())
        }
        return ([heading] + rows).joined(separator: "\n")
    }

    private struct Line {
        let name: String
        var settings = ""
        var shape = ""
        var parameters = ""
    }

    private static func append(_ facts: [LayerFacts], depth: Int, to lines: inout [Line]) {
        let indent = String(repeating: "  ", count: depth)
        for part in Repetition.fold(facts) {
            let once = facts[part.range]
            guard part.count > 1 else {
                once.forEach { append($0, depth: depth, to: &lines) }
                continue
            }
            lines.append(Line(name: "\(indent)\(part.count) times"))
            once.forEach { append($0, depth: depth + 1, to: &lines) }
        }
    }

    private static func append(_ facts: LayerFacts, depth: Int, to lines: inout [Line]) {
        let rows =
            switch facts.output.rows {
            case .ids: "ids"
            case .tokens, .scores: "tokens"
            case .sequences: "sequences"
            }
        let own = facts.parameterCount
        lines.append(
            Line(
                name: String(repeating: "  ", count: depth) + facts.kind, settings: facts.summary,
                shape: "[\(rows), \(facts.output.width)]", parameters: own == 0 ? "" : grouped(own)))
        append(facts.children, depth: depth + 1, to: &lines)
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    /// Thousands set apart.
    private static func grouped(_ number: Int) -> String {
        var result = ""
        for (index, digit) in String(number).reversed().enumerated() {
            if index > 0, index % 3 == 0 { result.append(",") }
            result.append(digit)
        }
        return String(result.reversed())
    }
}
