import Foundation

/// A thread for work that blocks.
enum BlockingThread {
    /// Runs `body` once.
    static func run(_ body: @escaping @Sendable () -> Void) {
        let thread = Thread(block: body)
        thread.stackSize = 8 << 20
        thread.start()
    }
}
