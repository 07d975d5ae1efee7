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

extension TiledAttention {
    /// Keys of a block in Float, multiplied by their scales, one row behind the other.
    ///
    /// Packing then reads them as it reads others: with many query rows the products cost far more.
    func widen(
        _ operand: OperandView, scales: UnsafePointer<Float>, stride: Int, _ rows: RowBlock, keys: Range<Int>,
        width: Int,
        into target: UnsafeMutablePointer<Float>
    ) {
        for (place, key) in keys.enumerated() {
            let row = target + place * width
            context.kernels.toFloat(
                row, from: operand.row(rows.batch, key, head: rows.kvHead), code: operand.code, count: width)
            let scale = scales[place * stride]
            for d in 0..<width { row[d] *= scale }
        }
    }
}
