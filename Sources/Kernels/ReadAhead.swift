import CKernels

/// Memory that products read, soon or now.
package struct MemoryRegion: Sendable, Hashable {
    /// The first byte, as a number: it is fetched and not read, so that it may be gone by then.
    package let address: UInt
    /// How many there are.
    package let bytes: Int

    /// A region from an address on.
    package init(_ base: UnsafeRawPointer, bytes: Int) {
        address = UInt(bitPattern: base)
        self.bytes = bytes
    }
}

/// What waiting threads fetch into their caches.
package struct ReadAhead: Sendable, Equatable {
    /// In the order in which they will be read.
    let regions: [MemoryRegion]
    /// Threads that will share each of them.
    let threads: Int

    /// Regions that so many threads will share.
    package init(regions: [MemoryRegion] = [], threads: Int = 1) {
        self.regions = regions
        self.threads = threads
    }
}

/// How far one waiting thread has come with a ``ReadAhead``.
package struct ReadAheadCursor {
    /// Bytes between two looks for work: a tenth of a microsecond.
    private static let step = 1024
    /// The most bytes of a plan that a thread fetches: more would leave the caches before they are read.
    private static let mostBytes = 2 << 20

    private let worker: Int
    private var plan = ReadAhead()
    private var region = 0
    private var offset = 0
    private var left = mostBytes

    /// At the beginning of nothing.
    package init(worker: Int) { self.worker = worker }

    /// Goes on with what it had begun where it is told the same again.
    package mutating func follow(_ newer: ReadAhead) {
        guard newer != plan else { return }
        plan = newer
        (region, offset) = (0, 0)
        left = Self.mostBytes
    }

    /// Fetches a little of the share that the thread will read first; false when there is no more.
    package mutating func fetchSome() -> Bool {
        guard worker < plan.threads, left > 0 else { return false }
        while region < plan.regions.count {
            let bytes = plan.regions[region].bytes
            let start = bytes * worker / plan.threads + offset
            let end = bytes * (worker + 1) / plan.threads
            if start < end {
                zoo_fetch(plan.regions[region].address + UInt(start), Int64(min(Self.step, end - start)))
                offset += Self.step
                left -= Self.step
                return true
            }
            (region, offset) = (region + 1, 0)
        }
        return false
    }
}
