import AttentionCore
import Kernels
import TensorCore

/// One layer as the inspector saw it.
struct LayerFacts: Equatable {
    let path: [Int]
    let kind: String
    let summary: String
    var output: ModelInspector.Stream
    var parameters: [ParameterDescription] = []
    var children: [LayerFacts] = []

    /// Elements of the layer's own and inner parameters.
    var parameterCount: Int {
        (parameters.map(\.shape.count) + children.map(\.parameterCount)).saturatingSum
    }

    /// Whether two layers print alike.
    static func == (left: LayerFacts, right: LayerFacts) -> Bool {
        left.kind == right.kind && left.summary == right.summary && left.output == right.output
            && left.parameters.map(\.shape) == right.parameters.map(\.shape) && left.children == right.children
    }
}

/// Walks a model once: shapes, parameters, and everything that does not fit.
struct ModelInspector {
    /// What flows between layers.
    struct Stream: Hashable {
        /// What a row is.
        enum Rows: Hashable {
            case ids, tokens, sequences, scores
        }

        var width: Int
        var rows = Rows.ids
        var vocabulary: Int?
        var maximumLength: Int?
    }

    /// The largest extent that is looked at: products of three of them stay far from overflow.
    static let maximumExtent = 1 << 20
    /// The largest product of heads and head extent.
    static let maximumProjection = 1 << 24
    /// The sequence length for asking operators when no position table says one.
    static let probeLength = 128

    let modelWidth: Int
    let registry: OperatorRegistry?
    let context: ComputeContext?
    var stream: Stream
    var residualDepth = 0
    private(set) var mismatches: [LayerMismatch] = []
    private(set) var facts: [LayerFacts] = []
    private var open: [LayerFacts] = []

    /// Walks a model.
    /// - Parameter registry: where operators are found; `nil` leaves operators that are named unchecked.
    init(_ model: ModelDescription, registry: OperatorRegistry?, context: ComputeContext?) {
        modelWidth = model.width
        self.registry = registry
        self.context = context
        stream = Stream(width: model.width)
        if !(1...Self.maximumExtent).contains(model.width) {
            mismatches.append(
                LayerMismatch(
                    path: "model", layer: "", subject: "width", expected: "a number from 1 to \(Self.maximumExtent)",
                    actual: "\(model.width)"))
        }
        if model.layers.isEmpty {
            mismatches.append(
                LayerMismatch(
                    path: "model", layer: "", subject: "layers", expected: "a token-embedding first", actual: "empty"))
        }
        inspect(model.layers)
    }

    /// Every parameter in the order of the layers.
    var parameters: [ParameterDescription] {
        func collect(_ facts: LayerFacts) -> [ParameterDescription] {
            facts.parameters + facts.children.flatMap(collect)
        }
        return facts.flatMap(collect)
    }

    mutating func inspect(_ layers: [LayerNode]) {
        let path = open.last?.path ?? []
        for (index, layer) in layers.enumerated() {
            let definition = layer.definition
            open.append(
                LayerFacts(path: path + [index], kind: layer.kind, summary: definition.summary, output: stream))
            definition.inspect(&self)
            var seen = open.removeLast()
            seen.output = stream
            if open.isEmpty { facts.append(seen) } else { open[open.count - 1].children.append(seen) }
        }
    }

    mutating func mismatch(_ subject: String, expected: String, actual: String) {
        let place = "layers" + (open.last?.path ?? []).map { "[\($0)]" }.joined()
        mismatches.append(
            LayerMismatch(
                path: place, layer: open.last?.kind ?? "", subject: subject, expected: expected, actual: actual))
    }

    mutating func parameter(_ name: String, _ extents: [Int], _ role: ParameterDescription.Role) {
        guard !open.isEmpty else { return }
        let path = open[open.count - 1].path.map(String.init).joined(separator: ".")
        // Extents that are wrong have been reported; a shape cannot hold them.
        guard extents.allSatisfy({ (1...Self.maximumProjection).contains($0) }) else { return }
        open[open.count - 1].parameters.append(
            ParameterDescription(name: "layers.\(path).\(name)", shape: Shape(extents), role: role))
    }

    mutating func requirePositive(_ subject: String, _ value: Int) {
        guard !(1...Self.maximumExtent).contains(value) else { return }
        mismatch(subject, expected: "a number from 1 to \(Self.maximumExtent)", actual: "\(value)")
    }

    /// Something must have made rows of token numbers before this layer.
    mutating func requireRows() {
        switch stream.rows {
        case .tokens, .sequences: return
        case .ids:
            mismatch("its place", expected: "after a token-embedding", actual: "first")
            stream.rows = .tokens
        case .scores: mismatch("its place", expected: "before the language-model-head", actual: "after it")
        }
    }

    /// There must be a row for each token.
    mutating func requireTokens() {
        requireRows()
        if stream.rows == .sequences {
            mismatch("its input", expected: "a row for each token", actual: "a row for each sequence")
        }
    }

    mutating func requireOutsideResidual() {
        if residualDepth > 0 { mismatch("its place", expected: "outside of a residual", actual: "inside of one") }
    }

    /// Asks the operator about the longest sequence that the model takes.
    mutating func checkOperator(_ layer: SelfAttention, _ extents: SelfAttention.Extents) {
        guard registry != nil || layer.configured != nil else { return }
        let name = layer.attention.name
        let length = max(1, stream.maximumLength ?? Self.probeLength)
        do throws(AttentionError) {
            let resolved = try layer.resolve(in: registry ?? OperatorRegistry())
            let problem = AttentionProblem(
                queryLength: length, heads: extents.heads, kvHeads: extents.kvHeads, headDim: extents.headDim,
                options: resolved.options())
            try problem.validate()
            let chosen = try resolved.choose(for: problem, context: try AttentionError.context(context))
            for parameter in chosen.parameters(for: problem) {
                self.parameter("attention.\(parameter.name)", parameter.shape.dimensions, .attention)
            }
        } catch .unknownOperator(_, let suggestions, let known) {
            let hint =
                suggestions.isEmpty
                ? "one of \(known.joined(separator: ", "))"
                : "a known operator; did you mean \(suggestions.map { "'\($0)'" }.joined(separator: " or "))?"
            mismatch("attention", expected: hint, actual: "'\(name)'")
        } catch .unsupported(_, let problem, let reasons) {
            mismatch(
                "attention", expected: "an operator that runs \(problem)",
                actual: "'\(name)', which cannot: " + reasons.map(\.description).joined(separator: ", "))
        } catch {
            mismatch("attention", expected: "options that '\(name)' takes", actual: "refused: \(error)")
        }
    }
}

extension [Int] {
    /// The sum, or the largest number when it is beyond.
    var saturatingSum: Int {
        reduce(0) { sum, next in
            let (result, overflow) = sum.addingReportingOverflow(next)
            return overflow ? .max : result
        }
    }
}
