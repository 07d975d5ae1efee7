import TensorCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A dense tensor for somebody else to write, between two zones of known bytes that tell when more was written.
struct GuardedTensor {
    let tensor: Tensor
    private let storage: Storage
    private let byteCount: Int

    /// Bytes of each zone: a page, so that a whole row beyond the end is seen.
    private static let zone = 4096

    /// Neighbouring bytes differ and none is 0 or 255, which plugins would most likely write.
    private static let marks = (0..<zone).map { UInt8(0x51 + $0 % 97) }

    /// Zeros.
    init(_ shape: Shape, dtype: DType) {
        let bytes = shape.count * dtype.byteWidth
        let storage = Storage(byteCount: bytes + 2 * Self.zone)
        Self.marks.withUnsafeBytes { marks in
            guard let source = marks.baseAddress else { return }
            storage.base.copyMemory(from: source, byteCount: Self.zone)
            (storage.base + Self.zone + bytes).copyMemory(from: source, byteCount: Self.zone)
        }
        byteCount = bytes
        self.storage = storage
        tensor = Tensor(
            dtype: dtype, shape: shape, strides: shape.rowMajorStrides, offset: Self.zone / dtype.byteWidth,
            storage: storage)
    }

    /// Where something was written outside, for people; `nil` when nothing was.
    var trespass: String? {
        let before = UnsafeRawBufferPointer(start: storage.base, count: Self.zone)
        let behind = UnsafeRawBufferPointer(start: storage.base + Self.zone + byteCount, count: Self.zone)
        return Self.marks.withUnsafeBytes { marks in
            if let start = marks.baseAddress, let first = before.baseAddress, let second = behind.baseAddress,
                memcmp(first, start, Self.zone) == 0, memcmp(second, start, Self.zone) == 0
            {
                return nil
            }
            for distance in 0..<Self.zone {
                let place = Self.zone - 1 - distance
                if before[place] != marks[place] { return "byte \(distance + 1) before its start" }
                if behind[distance] != marks[distance] { return "byte \(distance + 1) behind its end" }
            }
            return nil
        }
    }
}
