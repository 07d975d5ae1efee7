public import Kernels
public import TensorCore

/// Where a model's weights come from.
public protocol WeightSource: Sendable {
    /// Where that is, for messages.
    var origin: String { get }
    /// The names of all tensors there; empty when there is no such list.
    var names: [String] { get }
    /// The name that a parameter has there.
    func name(of parameter: ParameterDescription) -> String
    /// The tensor of a parameter, or `nil` when there is none.
    ///
    /// Its shape is checked by the caller.
    func tensor(for parameter: ParameterDescription) -> Tensor?
    /// Whether a parameter lies there in few bits, so that ``quantized(for:)`` gives it.
    func isQuantized(_ parameter: ParameterDescription) -> Bool
    /// A parameter that lies there in few bits; `nil` when ``tensor(for:)`` has it.
    /// - Throws: ``ModelError`` that names the tensor and what of it is wrong.
    func quantized(for parameter: ParameterDescription) throws(ModelError) -> QuantizedWeight?
}

extension WeightSource {
    /// The parameter's own name.
    public func name(of parameter: ParameterDescription) -> String { parameter.name }

    /// Most sources hold tensors alone.
    public func isQuantized(_ parameter: ParameterDescription) -> Bool { false }

    /// Most sources hold tensors alone.
    public func quantized(for parameter: ParameterDescription) throws(ModelError) -> QuantizedWeight? { nil }
}

/// Weights in a safetensors file, memory-mapped.
public struct SafetensorsWeights: WeightSource {
    /// The path.
    public let origin: String
    private let file: SafetensorsFile
    private let renaming: [String: String]

    /// Opens a file.
    /// - Parameter renaming: from a model's parameter names to the file's; names that are not in it are the same.
    /// - Throws: ``ModelError/safetensors(file:_:)``.
    public init(path: String, renaming: [String: String] = [:]) throws(ModelError) {
        file = try ModelError.weightFile(path) { () throws(SafetensorsError) in try SafetensorsFile(path: path) }
        origin = path
        self.renaming = renaming
    }

    /// Weights in a file that is open.
    public init(_ file: SafetensorsFile, origin: String, renaming: [String: String] = [:]) {
        self.file = file
        self.origin = origin
        self.renaming = renaming
    }

    /// The same file with other names.
    public func renamed(_ renaming: [String: String]) -> SafetensorsWeights {
        SafetensorsWeights(file, origin: origin, renaming: renaming)
    }

    /// The names in the file.
    public var names: [String] { file.names }

    /// The name in the file.
    public func name(of parameter: ParameterDescription) -> String { renaming[parameter.name] ?? parameter.name }

    /// A view of the mapped file.
    public func tensor(for parameter: ParameterDescription) -> Tensor? { file[name(of: parameter)] }
}

/// Weights in memory.
public struct TensorWeights: WeightSource {
    /// Where they came from.
    public let origin: String
    private let tensors: [String: Tensor]

    /// Tensors by parameter name.
    public init(_ tensors: [String: Tensor], origin: String = "memory") {
        self.tensors = tensors
        self.origin = origin
    }

    /// The names of the tensors.
    public var names: [String] { tensors.keys.sorted() }

    /// The tensor of a parameter's name.
    public func tensor(for parameter: ParameterDescription) -> Tensor? { tensors[parameter.name] }
}

/// Weights from a seed: a model without files can run, and runs the same everywhere.
///
/// Tables and matrices are uniform with the standard deviation given, gains are 1, biases 0; what an attention operator
/// owns begins by its own rule. Each tensor's numbers depend on the seed and its name alone.
public struct SeededWeights: WeightSource {
    /// The seed.
    public let seed: UInt64
    /// The standard deviation of tables and matrices; 0.02 is BERT's and GPT-2's.
    public let deviation: Float

    /// Weights of a seed.
    public init(seed: UInt64, deviation: Float = 0.02) {
        self.seed = seed
        self.deviation = deviation
    }

    /// The seed in words.
    public var origin: String { "seed \(seed)" }

    /// There is no list: every name has a tensor.
    public var names: [String] { [] }

    /// A new tensor of the parameter's shape.
    ///
    /// Cost: O(elements).
    public func tensor(for parameter: ParameterDescription) -> Tensor? {
        switch parameter.role {
        case .bias: return Tensor(zeros: parameter.shape)
        case .attention: return nil
        case .gain: return try? Tensor([Float](repeating: 1, count: parameter.shape.count), shape: parameter.shape)
        case .embedding, .matrix:
            // The name picks the stream.
            let hash = parameter.name.stableHash
            // A uniform number from -a to a has the deviation a / √3.
            return .random(uniform: parameter.shape, seed: seed ^ hash, amplitude: deviation * Float(3).squareRoot())
        }
    }
}
