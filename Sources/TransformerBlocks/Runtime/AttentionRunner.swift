import AttentionCore
import Kernels
import TensorCore

/// Self-attention with its weights: one product for queries, keys and values, the operator on views of it, one product back.
struct AttentionRunner: RunnableLayer {
    let attention: ResolvedAttention
    let parameters: OwnedParameters
    let heads: Int
    let kvHeads: Int
    let headDim: Int
    let fused: Projection
    let output: Projection
    /// Of the normalisation of query and key heads, when there is one.
    let gains: HeadGains?
    let rotary: RotaryEmbedding?
    let place: String
    /// The layer's number among the network's attention layers.
    let ordinal: Int
    var isRowwise: Bool { false }

    func run(_ rows: Tensor, _ run: ForwardRun) throws(ModelError) -> Tensor {
        let projected = try fused(rows, run)
        let count = rows.shape[0]
        if gains != nil || rotary != nil {
            let angles = rotary.flatMap { run.rotary[$0, headDim] }
            try ModelError.tensors(place) { () throws(TensorError) in
                try DenseLayers.prepareHeads(
                    projected, heads: heads, kvHeads: kvHeads, headDim: headDim, gains: gains, angles: angles,
                    context: run.context)
            }
        }
        if let store = run.store {
            let result = try store.attend(call(projected, rows: count, run))
            guard result.shape == [count, heads * headDim], result.dtype == .float32, result.isContiguous else {
                throw .invalidInput(
                    operand: "what the store returns at \(place)",
                    expected: "dense F32 \(Shape([count, heads * headDim]))",
                    actual: "\(result.dtype.rawValue) \(result.shape)")
            }
            return try output(result, run)
        }
        let joined = try ModelError.tensors(place) { () throws(TensorError) in
            try projected.reshaped([1, count, heads + 2 * kvHeads, headDim])
        }
        var outputs: [Tensor] = []
        for (sequence, span) in run.batch.spans.enumerated() {
            let inputs = try inputs(joined, span)
            let result = try ModelError.attention(at: place) { () throws(AttentionError) in
                try attend(inputs, sequence: sequence, run)
            }
            outputs.append(result.output)
        }
        return try output(packed(outputs, rows: count), run)
    }

    /// The new rows of all sequences: views of the product, nothing is copied.
    private func call(_ projected: Tensor, rows: Int, _ run: ForwardRun) throws(ModelError) -> StoredAttentionCall {
        try ModelError.tensors(place) { () throws(TensorError) in
            let joined = try projected.reshaped([rows, heads + 2 * kvHeads, headDim])
            return StoredAttentionCall(
                layer: ordinal, place: place, query: try joined.sliced(1, 0..<heads),
                key: try joined.sliced(1, heads..<heads + kvHeads),
                value: try joined.sliced(1, heads + kvHeads..<heads + 2 * kvHeads), batch: run.batch,
                attention: attention, options: attention.options(), context: run.context)
        }
    }

    private func attend(
        _ inputs: AttentionInputs, sequence: Int, _ run: ForwardRun
    ) throws(AttentionError) -> AttentionOutput {
        let options = attention.options()
        let configured = try attention.choose(
            for: AttentionProblem(inputs, options: options), context: run.context)
        let inputs = try parameters.adding(to: inputs, for: configured, options: options)
        run.observer?(
            AttentionCall(
                place: place, sequence: sequence, inputs: inputs, options: options, configured: configured))
        return try configured.forward(inputs, options: options, context: run.context)
    }

    /// One sequence's operands, `[1, length, heads, headDim]`: views of the product, nothing is copied.
    private func inputs(_ joined: Tensor, _ span: Range<Int>) throws(ModelError) -> AttentionInputs {
        try ModelError.tensors(place) { () throws(TensorError) in
            let sequence = try joined.sliced(1, span)
            return AttentionInputs(
                query: try sequence.sliced(2, 0..<heads), key: try sequence.sliced(2, heads..<heads + kvHeads),
                value: try sequence.sliced(2, heads + kvHeads..<heads + 2 * kvHeads))
        }
    }

    /// The outputs one below the other, `[rows, heads · headDim]`.
    private func packed(_ outputs: [Tensor], rows: Int) throws(ModelError) -> Tensor {
        let width = heads * headDim
        if outputs.count == 1 {
            return try ModelError.tensors(place) { () throws(TensorError) in try outputs[0].reshaped([rows, width]) }
        }
        let result = Tensor(unwritten: [rows, width])
        var target = result.freshMutableAddress
        for output in outputs {
            let dense = output.contiguous()
            let bytes = dense.count * dense.dtype.byteWidth
            withExtendedLifetime(dense) { target.copyMemory(from: dense.baseAddress, byteCount: bytes) }
            target += bytes
        }
        return result
    }
}

extension SelfAttention {
    private func gains(_ builder: NetworkBuilder) throws(ModelError) -> HeadGains? {
        guard let norm = queryKeyNorm else { return nil }
        return HeadGains(
            query: try RMSNorm.gain(builder.vector("queryNorm.weight"), norm.offset),
            key: try RMSNorm.gain(builder.vector("keyNorm.weight"), norm.offset), epsilon: norm.epsilon)
    }

    func build(_ builder: NetworkBuilder) throws(ModelError) -> any RunnableLayer {
        let extents = Extents(self, width: try builder.shape("query.weight")[1])
        let names = ["query", "key", "value"]
        let resolved = try ModelError.attention(at: builder.place) { () throws(AttentionError) in
            try resolve(in: builder.registry)
        }
        if let rotary { builder.ledger.rotaries.append((rotary, extents.headDim)) }
        let ordinal = builder.ledger.attentionLayers.count
        builder.ledger.attentionLayers.append(
            AttentionLayerShape(place: builder.place, extents: extents, attention: attention))
        return AttentionRunner(
            attention: resolved,
            parameters: OwnedParameters(loaded: builder.owned("attention."), seed: builder.place.stableHash),
            heads: extents.heads, kvHeads: extents.kvHeads, headDim: extents.headDim,
            fused: Projection(
                weight: try builder.packed(names.map { "\($0).weight" }),
                bias: try builder.bias(names.map { "\($0).bias" }, bias), place: builder.place),
            output: Projection(
                weight: try builder.packed(["output.weight"]),
                bias: try builder.bias(["output.bias"], outputBias ?? bias),
                place: builder.place),
            gains: try gains(builder), rotary: rotary,
            place: builder.place, ordinal: ordinal)
    }
}
