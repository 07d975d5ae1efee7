import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Memory for pages that have been swapped out: anonymous, or a file that is mapped and has no name any more.
final class SwapSpace: @unchecked Sendable {
    /// The first slot.
    let base: UnsafeMutableRawPointer
    private let byteCount: Int

    /// Room for so many bytes.
    /// - Parameter directory: where the file is made; `nil` takes memory.
    /// - Throws: ``EngineError/swapSpace(directory:bytes:reason:)``.
    init(byteCount: Int, directory: String?) throws(EngineError) {
        let length = max(1, byteCount)
        var descriptor: Int32 = -1
        var flags = MAP_PRIVATE | MAP_ANONYMOUS
        if let directory {
            descriptor = try Self.file(in: directory, byteCount: length)
            flags = MAP_SHARED
        }
        defer { if descriptor >= 0 { close(descriptor) } }
        guard let mapped = mmap(nil, length, PROT_READ | PROT_WRITE, flags, descriptor, 0), mapped != MAP_FAILED else {
            throw .swapSpace(directory: directory, bytes: byteCount, reason: String(cString: strerror(errno)))
        }
        base = mapped
        self.byteCount = length
    }

    deinit { munmap(base, byteCount) }

    /// A file without a name: it goes when the process does.
    private static func file(in directory: String, byteCount: Int) throws(EngineError) -> Int32 {
        var template = Array((directory + "/zoo-swap-XXXXXX").utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else {
            throw .swapSpace(directory: directory, bytes: byteCount, reason: String(cString: strerror(errno)))
        }
        unlink(template)
        // Blocks are taken at once: a full disk must be an error here and not a signal later.
        #if os(Linux)
            let status = posix_fallocate(descriptor, 0, off_t(byteCount))
        #else
            let status = ftruncate(descriptor, off_t(byteCount)) == 0 ? 0 : errno
        #endif
        guard status == 0 else {
            close(descriptor)
            throw .swapSpace(directory: directory, bytes: byteCount, reason: String(cString: strerror(status)))
        }
        return descriptor
    }
}
