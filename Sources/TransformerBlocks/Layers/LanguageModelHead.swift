import AttentionCore

/// Scores every token of the vocabulary: the last layer of a language model.
public struct LanguageModelHead: Block, Hashable {
    /// Whether the token embedding's table is the weight.
    public var tied: Bool
    /// Whether a bias is added.
    public var bias: Bool
    /// Scores become `softcap · tanh(score / softcap)`; `nil` leaves them alone.
    public var softcap: Float?

    /// A head; untied, it has a weight of its own.
    public init(tied: Bool = true, bias: Bool = false, softcap: Float? = nil) {
        self.tied = tied
        self.bias = bias
        self.softcap = softcap
    }
}

extension LanguageModelHead: LayerDefinition {
    static var kind: String { "language-model-head" }
    var node: LayerNode { .languageModelHead(self) }
    var summary: String {
        (tied ? "tied" : "untied") + (bias ? ", bias" : "") + (softcap.map { ", softcap \($0)" } ?? "")
    }

    var configuration: ConfigurationValue {
        var fields: [String: ConfigurationValue] = [:]
        if !tied { fields["tied"] = false }
        if bias { fields["bias"] = true }
        if let softcap { fields["softcap"] = ConfigurationValue(softcap) }
        return .object(fields)
    }

    init(_ value: ConfigurationValue, place: String, attention: inout AttentionPattern) throws(ModelError) {
        var reader = try FieldReader(value, place: place)
        self.init(
            tied: try reader.bool("tied") ?? true, bias: try reader.bool("bias") ?? false,
            softcap: try reader.float("softcap"))
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
        if let softcap, !(softcap.isFinite && softcap > 0) {
            inspector.mismatch("softcap", expected: "a finite number above 0", actual: "\(softcap)")
        }
        if !tied { inspector.parameter("weight", [vocabulary, inspector.stream.width], .matrix) }
        if bias { inspector.parameter("bias", [vocabulary], .bias) }
        inspector.stream.width = vocabulary
        inspector.stream.rows = .scores
    }
}
