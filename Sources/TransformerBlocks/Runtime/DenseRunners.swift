import Kernels
import TensorCore

/// A product with its bias.
struct Projection: Sendable {
    /// One below the other.
    let weight: [ProductWeight]
    let bias: Tensor?
    let place: String

    func callAsFunction(_ rows: Tensor, _ run: ForwardRun) throws(ModelError) -> Tensor {
        run.productInputs?(rows, place)
        return try ModelError.tensors(place) { () throws(TensorError) in
            try DenseLayers.linear(rows, weight, bias: bias, context: run.context)
        }
    }
}

extension Projection: RunnableLayer {
    func run(_ rows: Tensor, _ run: ForwardRun) throws(ModelError) -> Tensor { try self(rows, run) }
}

extension Linear {
    func build(_ builder: NetworkBuilder) throws(ModelError) -> any RunnableLayer {
        Projection(
            weight: try builder.packed(["weight"]), bias: try builder.bias(["bias"], bias), place: builder.place)
    }
}

extension LanguageModelHead {
    func build(_ builder: NetworkBuilder) throws(ModelError) -> any RunnableLayer {
        let projection = Projection(
            weight: try tied ? builder.packed(builder.tensor(builder.tokenTable)) : builder.packed(["weight"]),
            bias: try builder.bias(["bias"], bias), place: builder.place)
        guard let softcap else { return projection }
        return CappedRunner(projection: projection, softcap: softcap)
    }

    private struct CappedRunner: RunnableLayer {
        let projection: Projection
        let softcap: Float

        func run(_ rows: Tensor, _ run: ForwardRun) throws(ModelError) -> Tensor {
            let scores = try projection(rows, run)
            try ModelError.tensors(projection.place) { () throws(TensorError) in
                try DenseLayers.capInPlace(scores, softcap, context: run.context)
            }
            return scores
        }
    }
}

extension RMSNorm {
    func build(_ builder: NetworkBuilder) throws(ModelError) -> any RunnableLayer {
        Runner(gain: try Self.gain(try builder.vector("weight"), offset), epsilon: epsilon, place: builder.place)
    }

    /// The weight plus the offset.
    static func gain(_ weight: Tensor, _ offset: Float) throws(ModelError) -> Tensor {
        guard offset != 0 else { return weight }
        let numbers = weight.floats().map { $0 + offset }
        return try ModelError.tensors("rms-norm") { () throws(TensorError) in
            try Tensor(numbers, shape: weight.shape)
        }
    }

    private struct Runner: RunnableLayer {
        let gain: Tensor
        let epsilon: Float
        let place: String

        func run(_ rows: Tensor, _ run: ForwardRun) throws(ModelError) -> Tensor {
            try ModelError.tensors(place) { () throws(TensorError) in
                try DenseLayers.rmsNorm(rows, gain: gain, epsilon: epsilon, context: run.context)
            }
        }
    }
}

extension LayerNorm {
    func build(_ builder: NetworkBuilder) throws(ModelError) -> any RunnableLayer {
        Runner(
            gain: try builder.vector("weight"), bias: try builder.bias(["bias"], bias), epsilon: epsilon,
            place: builder.place)
    }

    private struct Runner: RunnableLayer {
        let gain: Tensor
        let bias: Tensor?
        let epsilon: Float
        let place: String

        func run(_ rows: Tensor, _ run: ForwardRun) throws(ModelError) -> Tensor {
            try ModelError.tensors(place) { () throws(TensorError) in
                try DenseLayers.layerNorm(rows, gain: gain, bias: bias, epsilon: epsilon, context: run.context)
            }
        }
    }
}

extension FeedForward {
    func build(_ builder: NetworkBuilder) throws(ModelError) -> any RunnableLayer {
        Runner(
            up: Projection(
                weight: try builder.packed(["up.weight"]), bias: try builder.bias(["up.bias"], bias),
                place: builder.place),
            down: Projection(
                weight: try builder.packed(["down.weight"]), bias: try builder.bias(["down.bias"], bias),
                place: builder.place),
            activation: activation)
    }

    private struct Runner: RunnableLayer {
        let up: Projection
        let down: Projection
        let activation: Activation

        func run(_ rows: Tensor, _ run: ForwardRun) throws(ModelError) -> Tensor {
            let hidden = try up(rows, run)
            let active = try ModelError.tensors(up.place) { () throws(TensorError) in
                try DenseLayers.activation(hidden, activation, context: run.context)
            }
            return try down(active, run)
        }
    }
}

extension GatedFeedForward {
    func build(_ builder: NetworkBuilder) throws(ModelError) -> any RunnableLayer {
        Runner(
            // One product for both: the row is read once.
            fused: Projection(
                weight: try builder.packed(["gate.weight", "up.weight"]),
                bias: try builder.bias(["gate.bias", "up.bias"], bias), place: builder.place),
            down: Projection(
                weight: try builder.packed(["down.weight"]), bias: try builder.bias(["down.bias"], bias),
                place: builder.place),
            activation: activation)
    }

    private struct Runner: RunnableLayer {
        let fused: Projection
        let down: Projection
        let activation: Activation

        func run(_ rows: Tensor, _ run: ForwardRun) throws(ModelError) -> Tensor {
            let hidden = try fused(rows, run)
            let gated = try ModelError.tensors(fused.place) { () throws(TensorError) in
                try DenseLayers.gated(hidden, activation, context: run.context)
            }
            return try down(gated, run)
        }
    }
}

extension Residual {
    func build(_ builder: NetworkBuilder) throws(ModelError) -> any RunnableLayer {
        Runner(layers: try builder.build(layers), place: builder.place)
    }

    private struct Runner: RunnableLayer {
        let layers: [any RunnableLayer]
        let place: String
        var isRowwise: Bool { layers.allSatisfy(\.isRowwise) }

        func run(_ rows: Tensor, _ run: ForwardRun) throws(ModelError) -> Tensor {
            var inner = rows
            for layer in layers { inner = try layer.run(inner, run) }
            let change = inner
            return try ModelError.tensors(place) { () throws(TensorError) in
                try DenseLayers.add(rows, change, context: run.context)
            }
        }
    }
}
