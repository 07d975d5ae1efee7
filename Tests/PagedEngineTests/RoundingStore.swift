import AttentionCore
import Kernels
import Synchronization
import TensorCore
import TransformerBlocks

/// The plainest INT8 cache: every sequence's keys and values as they came, rounded by `quantizingKeys` at each pass.
///
/// Sequences are told apart by their number in the batch.
final class RoundingStore: KeyValueStore {
    private struct Slot: Hashable {
        let layer: Int
        let sequence: Int
    }

    /// How the rounded rows are attended to.
    enum Attention {
        /// By `paged`, without pages.
        case paged
        /// By the operator's reference in Double, on keys and values times their scales.
        case reference
    }

    private let rows = Mutex<[Slot: (key: [Float], value: [Float])]>([:])
    private let attention: Attention

    init(_ attention: Attention) { self.attention = attention }

    func attend(_ call: StoredAttentionCall) throws(ModelError) -> Tensor {
        var result: [Float] = []
        for (sequence, span) in call.batch.spans.enumerated() {
            let inputs = try ModelError.tensors(call.place) { () throws(TensorError) in
                let (key, value) = (try call.key.sliced(0, span).floats(), try call.value.sliced(0, span).floats())
                let slot = Slot(layer: call.layer, sequence: sequence)
                let held = rows.withLock { rows in
                    rows[slot, default: ([], [])].key += key
                    rows[slot, default: ([], [])].value += value
                    return rows[slot, default: ([], [])]
                }
                let (heads, width) = (call.key.shape[1], call.key.shape[2])
                let shape = Shape([1, held.key.count / (heads * width), heads, width])
                return AttentionInputs(
                    query: try call.query.sliced(0, span).contiguous()
                        .reshaped([1, span.count, call.query.shape[1], width]),
                    key: try Tensor(held.key, shape: shape), value: try Tensor(held.value, shape: shape))
            }
            let rounded = inputs.quantizingKeys
            let output = try ModelError.attention(at: call.place) { () throws(AttentionError) in
                let paged = try EngineSupport.registry["paged"]
                switch attention {
                case .paged: return try paged.forward(rounded, options: call.options, context: call.context)
                case .reference: return try paged.reference(rounded, options: call.options, precision: .double)
                }
            }
            result += output.output.floats()
        }
        let numbers = result
        return try ModelError.tensors(call.place) { () throws(TensorError) in
            try Tensor(numbers, shape: [call.query.shape[0], call.query.shape[1] * call.query.shape[2]])
        }
    }
}
