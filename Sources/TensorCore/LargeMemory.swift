import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Memory for large tensors: mapped by itself, in large pages where the system has them, and kept for the next tensor.
///
/// The system clears every page that it hands out. Attention calls of one shape follow each other, in a model as in a
/// benchmark, and for a short window clearing the output would take a tenth of the call.
package enum LargeMemory {
    /// From here on: below, the allocator keeps what is freed by itself.
    static let smallest = 1 << 20
    /// What is kept at most.
    private static let keptBytes = 64 << 20
    /// Lengths are rounded up to this, so that tensors of about one size share memory.
    private static let granule = 1 << 20

    private static let observer = Mutex<(@Sendable (Int) -> Void)?>(nil)

    private struct Region: @unchecked Sendable {
        let base: UnsafeMutableRawPointer
        let length: Int
    }

    private static let kept = Mutex<[Region]>([])

    /// From now on tells the bytes of every large tensor that is made, and their negative when it goes: for those who
    /// measure.
    package static func observe(_ observer: @escaping @Sendable (Int) -> Void) {
        Self.observer.withLock { $0 = observer }
    }

    /// Tells the observer, where there is one.
    static func tell(_ bytes: Int) { observer.withLock { $0 }?(bytes) }

    /// At least that many bytes, or `nil` when the system has none.
    ///
    /// - Returns: where they are, how many, and whether they are known to be zero.
    static func take(_ byteCount: Int) -> (base: UnsafeMutableRawPointer, length: Int, isZero: Bool)? {
        let length = (byteCount + granule - 1) / granule * granule
        let found = kept.withLock { kept in
            kept.lastIndex { $0.length == length }.map { kept.remove(at: $0) }
        }
        if let found { return (found.base, length, false) }
        guard let base = map(length) else { return nil }
        return (base, length, true)
    }

    /// Gives memory back; the oldest of what is kept goes to the system when it is too much.
    static func giveBack(_ base: UnsafeMutableRawPointer, length: Int) {
        let surplus = kept.withLock { kept in
            kept.append(Region(base: base, length: length))
            var total = kept.reduce(0) { $0 + $1.length }
            var surplus: [Region] = []
            while total > keptBytes {
                total -= kept[0].length
                surplus.append(kept.removeFirst())
            }
            return surplus
        }
        for region in surplus { munmap(region.base, region.length) }
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
}
