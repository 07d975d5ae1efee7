#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A region of memory that tensors view: allocated here, or mapped from a file that it keeps open.
///
/// The bytes are only written through ``Tensor``'s mutating accessors, which hold the sole reference or copy first;
/// that is why sharing it between threads is safe.
package final class Storage: @unchecked Sendable {
    /// Cache lines and the widest vector are 64 bytes: an aligned start lets kernels load without split lines.
    package static let alignment = 64

    package let base: UnsafeMutableRawPointer
    package let byteCount: Int
    /// False for memory mapped from a file.
    package let isWritable: Bool
    private let release: @Sendable (UnsafeMutableRawPointer) -> Void

    /// Allocates bytes.
    ///
    /// - Parameter isZeroed: whether they must be zero; `false` for what is written whole at once.
    package init(byteCount: Int, isZeroed: Bool = true) {
        self.byteCount = byteCount
        self.isWritable = true
        if byteCount >= LargeMemory.smallest, let large = LargeMemory.take(byteCount) {
            if isZeroed, !large.isZero { memset(large.base, 0, byteCount) }
            let length = large.length
            self.base = large.base
            self.release = {
                LargeMemory.giveBack($0, length: length)
                LargeMemory.tell(-byteCount)
            }
            LargeMemory.tell(byteCount)
            return
        }
        let length = byteCount + Storage.alignment
        // calloc leaves untouched pages unmapped, so outputs cost no memory before they are written.
        let raw = (isZeroed ? calloc(1, length) : malloc(length))!
        let address = (UInt(bitPattern: raw) + UInt(Storage.alignment - 1)) & ~UInt(Storage.alignment - 1)
        self.base = UnsafeMutableRawPointer(bitPattern: address)!
        let start = UInt(bitPattern: raw)
        self.release = { _ in free(UnsafeMutableRawPointer(bitPattern: start)) }
    }

    /// Adopts memory that `release` gives back.
    package init(
        adopting base: UnsafeMutableRawPointer, byteCount: Int, isWritable: Bool,
        release: @escaping @Sendable (UnsafeMutableRawPointer) -> Void
    ) {
        self.base = base
        self.byteCount = byteCount
        self.isWritable = isWritable
        self.release = release
    }

    deinit { release(base) }
}
