import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Scratch memory for one worker, kept for the next call: fresh pages would cost a fault for every 4 KiB.
package struct Workspace: @unchecked Sendable {
    /// The first float, on a cache line.
    package let base: UnsafeMutablePointer<Float>
    private let floats: Int

    /// Above this a workspace is freed after use, so that one large call does not hold memory for ever.
    private static let keptFloats = 1 << 20
    private static let kept = Mutex<[Workspace]>([])

    /// A workspace of at least that many floats, contents undefined.
    ///
    /// The smallest kept one that is large enough; where all are too small, a larger one takes the place of one of them, so
    /// that a call whose steps need more and more holds no more than its largest step does.
    package static func take(floats: Int) -> Workspace {
        let (found, small) = kept.withLock { kept -> (Workspace?, Workspace?) in
            var best: Int?
            for index in kept.indices where kept[index].floats >= floats {
                if kept[index].floats < best.map({ kept[$0].floats }) ?? .max { best = index }
            }
            if let best { return (kept.remove(at: best), nil) }
            return (nil, kept.popLast())
        }
        if let found { return found }
        small?.free()
        let size = size(floats)
        let raw = UnsafeMutableRawPointer.allocate(byteCount: size * 4, alignment: 64)
        return Workspace(base: raw.bindMemory(to: Float.self, capacity: size), floats: size)
    }

    /// Gives a workspace back.
    package static func giveBack(_ workspace: Workspace) {
        let keep =
            workspace.floats <= keptFloats
            && kept.withLock { kept in
                if kept.count >= 8 { return false }
                kept.append(workspace)
                return true
            }
        if !keep { workspace.free() }
    }

    /// Frees every workspace that is kept for later calls.
    package static func freeKept() {
        kept.withLock { kept in
            kept.forEach { $0.free() }
            kept = []
        }
    }

    /// Bytes that a workspace of so many floats takes.
    package static func bytes(floats: Int) -> Int { size(floats) * 4 }

    /// Bytes of such a workspace that stay until the next one is taken, after it has been given back.
    package static func keptBytes(floats: Int) -> Int { size(floats) <= keptFloats ? size(floats) * 4 : 0 }

    /// A few sizes, so that neighbouring problems share workspaces.
    private static func size(_ floats: Int) -> Int { max(floats, 1).roundedUp(to: 1 << 12) }

    private func free() { UnsafeMutableRawPointer(base).deallocate() }
}
