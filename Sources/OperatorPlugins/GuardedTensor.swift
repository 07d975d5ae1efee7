import TensorCore

/// A dense tensor for somebody else to write, between two zones of known bytes that tell when more was written.
struct GuardedTensor {
    let tensor: Tensor
    private let storage: Storage
    private let byteCount: Int

    /// Bytes of each zone: a page, so that a whole row beyond the end is seen.
    private static let zone = 4096

    /// Zeros.
    init(_ shape: Shape, dtype: DType) {
        byteCount = shape.count * dtype.byteWidth
        storage = Storage(byteCount: byteCount + 2 * Self.zone)
        for index in 0..<Self.zone {
            storage.base.storeBytes(of: Self.mark(index), toByteOffset: index, as: UInt8.self)
            storage.base.storeBytes(
                of: Self.mark(index), toByteOffset: Self.zone + byteCount + index, as: UInt8.self)
        }
        tensor = Tensor(
            dtype: dtype, shape: shape, strides: shape.rowMajorStrides, offset: Self.zone / dtype.byteWidth,
            storage: storage)
    }

    /// Where something was written outside, for people; `nil` when nothing was.
    var trespass: String? {
        for distance in 0..<Self.zone {
            let before = storage.base.load(fromByteOffset: Self.zone - 1 - distance, as: UInt8.self)
            if before != Self.mark(Self.zone - 1 - distance) { return "byte \(distance + 1) before its start" }
            let behind = storage.base.load(fromByteOffset: Self.zone + byteCount + distance, as: UInt8.self)
            if behind != Self.mark(distance) { return "byte \(distance + 1) behind its end" }
        }
        return nil
    }

    /// Neighbouring bytes differ and none is 0 or 255, which plugins would most likely write.
    private static func mark(_ index: Int) -> UInt8 { UInt8(0x51 + index % 97) }
}
