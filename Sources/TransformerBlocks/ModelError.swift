public import AttentionCore
public import Kernels
public import Quantization
public import TensorCore
public import Tokenizers

/// What can be wrong with a model: its description, its files, its weights or what it is fed.
public enum ModelError: Error, Sendable, Equatable {
    /// A file is missing or cannot be read.
    case unreadable(file: String, reason: String)
    /// A field that nothing reads.
    case unknownField(place: String, field: String, suggestions: [String], known: [String])
    /// A field has a value that cannot be honoured.
    case invalidField(place: String, field: String, expected: String, actual: String)
    /// Layers that do not fit: all of them.
    case mismatches([LayerMismatch])
    /// Weights that do not fit: all of them.
    case weights(origin: String, [WeightMismatch])
    /// What the model is fed cannot be read by it.
    case invalidInput(operand: String, expected: String, actual: String)
    /// Attention failed in a layer, or a specification is wrong.
    case attention(place: String, AttentionError)
    /// A file of weights is broken.
    case safetensors(file: String, SafetensorsError)
    /// The tokenizer failed.
    case tokenizer(TokenizerError)
    /// A tensor could not be used as asked.
    case tensor(place: String, TensorError)
    /// A quantised weight, or the configuration of such weights, is not what it must be.
    case checkpoint(origin: String, CheckpointFormatError)
    /// The environment asks for something that this machine cannot do.
    case environment(ComputeContextError)
    /// Weights that cannot be quantised as asked: all of them.
    case unquantizable([WeightMismatch])
    /// Quantising a weight failed.
    case quantization(place: String, QuantizationError)
    /// A directory cannot be written.
    case unwritable(path: String, reason: String)
}

/// One place of a model where two things do not fit.
public struct LayerMismatch: Sendable, Hashable, CustomStringConvertible {
    /// Where: for example `layers[4][0]`, the first layer inside the fifth.
    public let path: String
    /// The kind of the layer there, or an empty text for the model as a whole.
    public let layer: String
    /// What is wrong.
    public let subject: String
    /// What it must be.
    public let expected: String
    /// What it is.
    public let actual: String

    /// A mismatch.
    public init(path: String, layer: String, subject: String, expected: String, actual: String) {
        self.path = path
        self.layer = layer
        self.subject = subject
        self.expected = expected
        self.actual = actual
    }

    /// For example `layers[1][1] self-attention: heads is 7; expected a divisor of the width 384`.
    public var description: String {
        "\(path)\(layer.isEmpty ? "" : " \(layer)"): \(subject) is \(actual); expected \(expected)"
    }
}

/// One tensor that is not what a model needs.
public struct WeightMismatch: Sendable, Hashable, CustomStringConvertible {
    /// The tensor's name.
    public let tensor: String
    /// What it must be.
    public let expected: String
    /// What it is.
    public let actual: String

    /// A mismatch.
    public init(tensor: String, expected: String, actual: String) {
        self.tensor = tensor
        self.expected = expected
        self.actual = actual
    }

    /// For example `pooler.weight is [3, 4] F32; expected [4, 4] F32, F16 or BF16`.
    public var description: String { "\(tensor) is \(actual); expected \(expected)" }
}

extension ModelError: CustomStringConvertible {
    /// One paragraph: the place, what is there, what was expected.
    public var description: String {
        switch self {
        case .unreadable(let file, let reason):
            return "\(file): \(reason)"
        case .unknownField(let place, let field, let suggestions, let known):
            let hint =
                suggestions.isEmpty
                ? "; known: \(known.joined(separator: ", "))"
                : "; did you mean \(suggestions.map { "'\($0)'" }.joined(separator: " or "))?"
            return "\(place): no field is called '\(field)'\(hint)"
        case .invalidField(let place, let field, let expected, let actual):
            return "\(place): \(field) is \(actual); expected \(expected)"
        case .mismatches(let list):
            return Self.list("the model does not fit together", list.map(\.description))
        case .weights(let origin, let list):
            return Self.list("\(origin): the weights do not fit the model", list.map(\.description))
        case .invalidInput(let operand, let expected, let actual):
            return "\(operand) is \(actual); expected \(expected)"
        case .attention(let place, let error):
            return "\(place): \(error)"
        case .safetensors(let file, let error):
            return "\(file): \(error)"
        case .tokenizer(let error):
            return error.description
        case .tensor(let place, let error):
            return "\(place): \(error)"
        case .checkpoint(let origin, let error):
            let place = error.place == origin ? origin : "\(origin): \(error.place)"
            return "\(place): \(error.field): expected \(error.expected), got \(error.actual)"
        case .environment(let error):
            return error.description
        case .unquantizable(let list):
            return Self.list("the model cannot be quantised as asked", list.map(\.description))
        case .quantization(let place, let error):
            return "\(place): \(error)"
        case .unwritable(let path, let reason):
            return "\(path) cannot be written: \(reason)"
        }
    }

    private static func list(_ heading: String, _ lines: [String]) -> String {
        "\(heading):\n" + lines.map { "  - \($0)" }.joined(separator: "\n")
    }
}

extension ModelError {
    /// Runs tensor code and says where it failed.
    package static func tensors<Result>(
        _ place: String, _ body: () throws(TensorError) -> Result
    ) throws(ModelError) -> Result {
        try wrapping(body) { .tensor(place: place, $0) }
    }

    /// Opens or writes a file of weights and says which.
    static func weightFile<Result>(
        _ path: String, _ body: () throws(SafetensorsError) -> Result
    ) throws(ModelError) -> Result {
        try wrapping(body) { .safetensors(file: path, $0) }
    }

    /// Reads or writes quantised weights or their configuration and says where.
    static func checkpoint<Result>(
        at origin: String, _ body: () throws(CheckpointFormatError) -> Result
    ) throws(ModelError) -> Result {
        try wrapping(body) { .checkpoint(origin: origin, $0) }
    }

    /// Runs code of the quantisers and says at which product it failed.
    static func quantizing<Result>(
        _ place: String, _ body: () throws(QuantizationError) -> Result
    ) throws(ModelError) -> Result {
        try wrapping(body) { .quantization(place: place, $0) }
    }

    /// Runs attention code and says where it failed.
    package static func attention<Result>(
        at place: String, _ body: () throws(AttentionError) -> Result
    ) throws(ModelError) -> Result {
        try wrapping(body) { .attention(place: place, $0) }
    }

    private static func wrapping<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result, _ wrap: (Failure) -> ModelError
    ) throws(ModelError) -> Result {
        do {
            return try body()
        } catch {
            throw wrap(error)
        }
    }

    /// The given context, or the one that the environment asks for.
    static func context(_ context: ComputeContext?) throws(ModelError) -> ComputeContext {
        if let context { return context }
        do {
            return try ComputeContext.shared()
        } catch {
            throw .environment(error)
        }
    }
}
