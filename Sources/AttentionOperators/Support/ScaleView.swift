import AttentionCore
import Kernels
import TensorCore

/// The scales of INT8 keys and values, `[batch, keyLength, kvHeads]` dense.
struct ScaleView: @unchecked Sendable {
    private let key: UnsafePointer<Float>
    private let value: UnsafePointer<Float>
    private let keyLength: Int
    private let kvHeads: Int

    /// `nil` when keys and values are floating-point.
    init?(_ inputs: AttentionInputs) {
        guard let keyScales = inputs.keyScales, let valueScales = inputs.valueScales else { return nil }
        key = keyScales.baseAddress.assumingMemoryBound(to: Float.self)
        value = valueScales.baseAddress.assumingMemoryBound(to: Float.self)
        keyLength = keyScales.shape[1]
        kvHeads = keyScales.shape[2]
    }

    /// The scales from one key and head on.
    func block(_ batch: Int, _ position: Int, head: Int) -> KeyValueScales {
        let place = (batch * keyLength + position) * kvHeads + head
        return KeyValueScales(key: key + place, value: value + place, stride: kvHeads, headStride: 1)
    }
}
