import AttentionCore
import Foundation
import TensorCore

/// Writes operands as `zoo run` reads them.
enum OperandFile {
    /// The tensors of a call, under the names of the contract.
    static func write(
        _ inputs: AttentionInputs, to path: String, adding extra: [(name: String, tensor: Tensor)] = []
    ) throws {
        var tensors: [(name: String, tensor: Tensor)] = [
            ("query", inputs.query), ("key", inputs.key), ("value", inputs.value),
        ]
        if let bias = inputs.bias { tensors.append(("bias", bias)) }
        if let mask = inputs.mask { tensors.append(("mask", mask)) }
        // Both integer types of the contract are used.
        if let lengths = inputs.queryLengths {
            tensors.append(("query_lengths", try Tensor(lengths.map(Int32.init), shape: [lengths.count])))
        }
        if let lengths = inputs.keyLengths {
            tensors.append(("key_lengths", try Tensor(lengths.map(Int64.init), shape: [lengths.count])))
        }
        if let slopes = inputs.alibiSlopes {
            tensors.append(("alibi_slopes", try Tensor(slopes, shape: [slopes.count])))
        }
        if let sinks = inputs.sinks { tensors.append(("sinks", try Tensor(sinks, shape: [sinks.count]))) }
        for (name, tensor) in inputs.parameters.sorted(by: { $0.key < $1.key }) {
            tensors.append(("parameter.\(name)", tensor))
        }
        try SafetensorsFile.write(tensors + extra, to: path)
    }

    /// Random operands.
    static func random(
        length: Int = 33, heads: Int = 4, kvHeads: Int = 2, headDim: Int = 16, dtype: DType = .float32
    ) -> AttentionInputs {
        AttentionInputs(
            query: .random(uniform: [1, length, heads, headDim], seed: 7, dtype: dtype),
            key: .random(uniform: [1, length, kvHeads, headDim], seed: 8, dtype: dtype),
            value: .random(uniform: [1, length, kvHeads, headDim], seed: 9, dtype: dtype))
    }
}
