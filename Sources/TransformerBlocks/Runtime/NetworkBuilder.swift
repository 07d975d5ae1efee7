import AttentionCore
import Kernels
import TensorCore

/// Hands a layer its weights by their own names.
struct NetworkBuilder {
    let tensors: [String: Tensor]
    /// Where weights in few bits come from.
    let weights: any WeightSource
    /// Every parameter of the model by its name.
    let parameters: [String: ParameterDescription]
    let registry: OperatorRegistry
    let context: ComputeContext
    /// The parameter name of the token embedding's table.
    let tokenTable: String
    /// What the layers report while they are built; shared by the builders of all of them.
    let ledger = BuildLedger()
    var path: [Int] = []

    init(
        tensors: [String: Tensor], weights: any WeightSource, parameters: [ParameterDescription],
        registry: OperatorRegistry, context: ComputeContext, tokenTable: String
    ) {
        self.tensors = tensors
        self.weights = weights
        self.parameters = Dictionary(uniqueKeysWithValues: parameters.map { ($0.name, $0) })
        self.registry = registry
        self.context = context
        self.tokenTable = tokenTable
    }

    /// The place for messages.
    var place: String { "layers" + path.map { "[\($0)]" }.joined() }

    /// Layers ready to run.
    func build(_ layers: [LayerNode]) throws(ModelError) -> [any RunnableLayer] {
        var result: [any RunnableLayer] = []
        for (index, layer) in layers.enumerated() {
            var inner = self
            inner.path.append(index)
            result.append(try layer.definition.build(inner))
        }
        return result
    }

    /// The name in the model of a parameter of this layer.
    private func full(_ name: String) -> String {
        "layers.\(path.map(String.init).joined(separator: ".")).\(name)"
    }

    /// A parameter of this layer as it was stored.
    func stored(_ name: String) throws(ModelError) -> Tensor { try tensor(full(name)) }

    /// The shape of a parameter of this layer.
    func shape(_ name: String) throws(ModelError) -> Shape {
        guard let shape = parameters[full(name)]?.shape else { throw missing(full(name)) }
        return shape
    }

    // The inspector has described every parameter, and the loader has put it here.
    private func missing(_ name: String) -> ModelError {
        .weights(origin: place, [WeightMismatch(tensor: name, expected: "a loaded tensor", actual: "missing")])
    }

    /// A parameter of the model as it was stored.
    func tensor(_ name: String) throws(ModelError) -> Tensor {
        guard let tensor = tensors[name] else { throw missing(name) }
        return tensor
    }

    /// The parameters of this layer whose names begin alike, by what follows, dense F32.
    func owned(_ prefix: String) -> [String: Tensor] {
        let start = full(prefix)
        var result: [String: Tensor] = [:]
        for (name, tensor) in tensors where name.hasPrefix(start) {
            result[String(name.dropFirst(start.count))] = tensor.converted(to: .float32)
        }
        return result
    }

    /// A table or vector of this layer, dense F32.
    func dense(_ name: String) throws(ModelError) -> Tensor { try stored(name).converted(to: .float32) }

    /// A vector of this layer, counted.
    func vector(_ name: String) throws(ModelError) -> Tensor {
        let result = try dense(name)
        ledger.weightBytes += result.count * result.dtype.byteWidth
        return result
    }

    /// A bias, when the layer has them.
    func bias(_ names: [String], _ isPresent: Bool) throws(ModelError) -> Tensor? {
        guard isPresent else { return nil }
        var parts: [Tensor] = []
        for name in names { parts.append(try dense(name)) }
        let result = try stacked(parts)
        ledger.weightBytes += result.count * result.dtype.byteWidth
        return result
    }

    /// Weights one below the other, packed for products: as few as their forms allow.
    func packed(_ names: [String]) throws(ModelError) -> [ProductWeight] {
        var result: [ProductWeight] = []
        var tensors: [Tensor] = []
        var quantized: [QuantizedWeight] = []
        func finish() throws(ModelError) {
            if !tensors.isEmpty {
                if Set(tensors.map(\.dtype)).count > 1 { tensors = tensors.map { $0.converted(to: .float32) } }
                result += try packed(stacked(tensors))
                tensors = []
            }
            if let weight = QuantizedWeight.stacked(quantized) {
                let matrix = ProductWeight.quantized(QuantizedMatrix(weight, context: context))
                ledger.weightBytes += matrix.byteCount
                result.append(matrix)
                quantized = []
            }
        }
        for name in names {
            if let parameter = parameters[full(name)], weights.isQuantized(parameter),
                let weight = try weights.quantized(for: parameter)
            {
                guard [weight.outputs, weight.inputs] == parameter.shape.dimensions else {
                    throw .weights(
                        origin: weights.origin,
                        [
                            WeightMismatch(
                                tensor: weights.name(of: parameter), expected: "\(parameter.shape)",
                                actual: "[\(weight.outputs), \(weight.inputs)]")
                        ])
                }
                if !tensors.isEmpty || quantized.last.map({ !$0.isStackable(with: weight) }) ?? false { try finish() }
                quantized.append(weight)
            } else {
                if !quantized.isEmpty { try finish() }
                tensors.append(try stored(name))
            }
        }
        try finish()
        return result
    }

    /// Parameters of this layer, one below the other.
    private func stacked(_ parts: [Tensor]) throws(ModelError) -> Tensor {
        try ModelError.tensors(place) { () throws(TensorError) in try Tensor.stacked(parts) }
    }

    /// A weight, packed for products.
    func packed(_ weight: Tensor) throws(ModelError) -> [ProductWeight] {
        let result = try ModelError.tensors(place) { () throws(TensorError) in
            try PackedMatrix(weight, context: context)
        }
        ledger.weightBytes += result.byteCount
        return [.float(result)]
    }
}

/// What is known of a network once its layers are built.
final class BuildLedger {
    /// Every self-attention layer so far.
    var attentionLayers: [AttentionLayerShape] = []
    /// The rotations of the layers so far.
    var rotaries: [(rotary: RotaryEmbedding, headDim: Int)] = []
    /// Bytes of the weights so far.
    var weightBytes = 0
}
