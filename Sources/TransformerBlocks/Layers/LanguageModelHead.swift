import AttentionCore

/// Scores every token of the vocabulary: the last layer of a language model.
public struct LanguageModelHead: Block, Hashable {
    /// Whether the token embedding's table is the weight.
    public var tied: Bool

    /// A head.
    ///
    /// Untied, it has a weight of its own; neither has a bias.
    public init(tied: Bool = true) { self.tied = tied }
}

extension LanguageModelHead: LayerDefinition {
    static var kind: String { "language-model-head" }
    var node: LayerNode { .languageModelHead(self) }
    var summary: String { tied ? "tied" : "untied" }
    var configuration: ConfigurationValue { tied ? [:] : ["tied": false] }

    init(_ value: ConfigurationValue, place: String, attention: inout AttentionPattern) throws(ModelError) {
        var reader = try FieldReader(value, place: place)
        self.init(tied: try reader.bool("tied") ?? true)
        try reader.finish()
    }

    func inspect(_ inspector: inout ModelInspector) {
        inspector.requireOutsideResidual()
        inspector.requireRows()
        guard let vocabulary = inspector.stream.vocabulary else {
            inspector.mismatch(
                tied ? "the table it is tied to" : "the vocabulary it scores", expected: "a token-embedding before it",
                actual: "missing")
            return
        }
        if inspector.stream.rows == .sequences {
            inspector.mismatch("its input", expected: "a row for each token", actual: "a row for each sequence")
        }
        if tied, inspector.stream.width != inspector.modelWidth {
            inspector.mismatch(
                "the width of its input", expected: "\(inspector.modelWidth), as the token-embedding it is tied to",
                actual: "\(inspector.stream.width)")
        }
        if !tied { inspector.parameter("weight", [vocabulary, inspector.stream.width], .matrix) }
        inspector.stream.width = vocabulary
        inspector.stream.rows = .scores
    }
}
