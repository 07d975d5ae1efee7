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

    /// From here on memory comes from the system by itself, in large pages where it has them: a fresh 4 KiB page costs
    /// a fault of half a microsecond, which short attention calls would feel.
    private static let largeBytes = 4 << 20

    /// Allocates zeroed bytes.
    package init(byteCount: Int) {
        self.byteCount = byteCount
        self.isWritable = true
        let length = byteCount + Storage.alignment
        if byteCount >= Self.largeBytes, let mapped = Self.map(length) {
            self.base = mapped
            self.release = { munmap($0, length) }
            return
        }
        // calloc leaves untouched pages unmapped, so outputs cost no memory before they are written.
        let raw = calloc(1, length)!
        let address = (UInt(bitPattern: raw) + UInt(Storage.alignment - 1)) & ~UInt(Storage.alignment - 1)
        self.base = UnsafeMutableRawPointer(bitPattern: address)!
        let start = UInt(bitPattern: raw)
        self.release = { _ in free(UnsafeMutableRawPointer(bitPattern: start)) }
    }

    private static func map(_ length: Int) -> UnsafeMutableRawPointer? {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        guard let mapped = mmap(nil, length, PROT_READ | PROT_WRITE, flags, -1, 0), mapped != MAP_FAILED else {
            return nil
        }
        #if os(Linux)
            // Advice only: without large pages the memory is the same.
            _ = madvise(mapped, length, MADV_HUGEPAGE)
        #endif
        return mapped
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
