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
    package static func take(floats: Int) -> Workspace {
        let found = kept.withLock { kept in
            kept.lastIndex { $0.floats >= floats }.map { kept.remove(at: $0) }
        }
        if let found { return found }
        // A few sizes, so that neighbouring problems share workspaces.
        let size = max(floats, 1).roundedUp(to: 1 << 12)
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
        if !keep { UnsafeMutableRawPointer(workspace.base).deallocate() }
    }
}
