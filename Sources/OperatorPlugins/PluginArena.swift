import CZooPlugin
import TensorCore

/// C memory that lives as long as this object: what structures of one call point to.
final class PluginArena {
    private var blocks: [UnsafeMutableRawPointer] = []

    deinit { blocks.forEach { $0.deallocate() } }

    /// A copy of plain values.
    func copy<Value: BitwiseCopyable>(_ values: [Value]) -> UnsafePointer<Value> {
        let block = UnsafeMutableRawPointer.allocate(
            byteCount: max(1, values.count) * MemoryLayout<Value>.stride, alignment: 64)
        blocks.append(block)
        let start = block.bindMemory(to: Value.self, capacity: max(1, values.count))
        values.withUnsafeBufferPointer { source in
            if let base = source.baseAddress { start.update(from: base, count: values.count) }
        }
        return UnsafePointer(start)
    }

    /// A copy of one plain value.
    func copy<Value: BitwiseCopyable>(_ value: Value) -> UnsafePointer<Value> { copy([value]) }
}

extension DType {
    /// The bit that the C header gives the type; 0 for types it does not have.
    var pluginBit: UInt32 {
        switch self {
        case .float32: UInt32(ZOO_F32)
        case .float64: UInt32(ZOO_F64)
        case .float16: UInt32(ZOO_F16)
        case .bfloat16: UInt32(ZOO_BF16)
        case .uint8, .bool: UInt32(ZOO_U8)
        case .int64, .int32, .int16, .int8, .uint64, .uint32, .uint16: 0
        }
    }
}

extension Tensor {
    /// The tensor as C reads it; valid while this value is alive.
    var readable: zoo_tensor {
        var result = zoo_tensor()
        result.data = baseAddress
        result.dtype = dtype.pluginBit
        result.rank = UInt32(shape.rank)
        Self.fill(&result.shape, shape.dimensions)
        Self.fill(&result.strides, strides)
        return result
    }

    /// The tensor as C writes it; valid while this value is alive, which must be the only one of its storage.
    var writable: zoo_mutable_tensor {
        var result = zoo_mutable_tensor()
        result.data = freshMutableAddress
        result.dtype = dtype.pluginBit
        result.rank = UInt32(shape.rank)
        Self.fill(&result.shape, shape.dimensions)
        Self.fill(&result.strides, strides)
        return result
    }

    private static func fill<Tuple>(_ tuple: inout Tuple, _ numbers: [Int]) {
        withUnsafeMutableBytes(of: &tuple) { bytes in
            let cells = bytes.bindMemory(to: Int64.self)
            for (index, number) in numbers.prefix(cells.count).enumerated() { cells[index] = Int64(number) }
        }
    }
}
