import AttentionCore
import Synchronization
import TensorCore
import TransformerBlocks

/// The plainest store: every sequence's keys and values of every layer, one below the other, copied at each pass.
///
/// Sequences are told apart by their number in the batch. The operator is called for one query at a time: some operators
/// add in another order for other numbers of queries, and tests of layers want the same bits.
final class GrowingStore: KeyValueStore {
    private struct Slot: Hashable {
        let layer: Int
        let sequence: Int
    }

    private struct Rows {
        var key: [Float] = []
        var value: [Float] = []
    }

    private let rows = Mutex<[Slot: Rows]>([:])

    func attend(_ call: StoredAttentionCall) throws(ModelError) -> Tensor {
        var result: [Float] = []
        for (sequence, span) in call.batch.spans.enumerated() {
            let new = try ModelError.tensors(call.place) { () throws(TensorError) in
                (try call.query.sliced(0, span), try call.key.sliced(0, span), try call.value.sliced(0, span))
            }
            let slot = Slot(layer: call.layer, sequence: sequence)
            let held = rows.withLock { rows in
                rows[slot, default: Rows()].key += new.1.floats()
                rows[slot, default: Rows()].value += new.2.floats()
                return rows[slot] ?? Rows()
            }
            let (kvHeads, headDim) = (call.key.shape[1], call.key.shape[2])
            let length = held.key.count / (kvHeads * headDim)
            guard length == call.batch.starts[sequence] + span.count else {
                throw .invalidInput(
                    operand: "the start of sequence \(sequence)", expected: "\(length - span.count)",
                    actual: "\(call.batch.starts[sequence])")
            }
            for row in 0..<span.count {
                let visible = length - span.count + row + 1
                let inputs = try ModelError.tensors(call.place) { () throws(TensorError) in
                    AttentionInputs(
                        query: try new.0.sliced(0, row..<row + 1).reshaped([1, 1, call.query.shape[1], headDim]),
                        key: try Tensor(held.key, shape: [1, length, kvHeads, headDim]).sliced(1, 0..<visible),
                        value: try Tensor(held.value, shape: [1, length, kvHeads, headDim]).sliced(1, 0..<visible))
                }
                let output = try ModelError.attention(at: call.place) { () throws(AttentionError) in
                    try call.attention.forward(inputs, context: call.context)
                }
                result += output.output.floats()
            }
        }
        let numbers = result
        return try ModelError.tensors(call.place) { () throws(TensorError) in
            try Tensor(numbers, shape: [call.query.shape[0], call.query.shape[1] * call.query.shape[2]])
        }
    }
}
