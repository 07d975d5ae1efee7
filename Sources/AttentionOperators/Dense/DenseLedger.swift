/// Counts the memory of a dense program without taking it: within ``measure(_:)`` matrices have extents but no numbers,
/// loops over them do nothing, and the highest number of bytes that lived at once is known at the end.
///
/// The program that is measured is the one that runs, so a plan cannot forget a matrix.
final class DenseLedger: @unchecked Sendable {
    /// The ledger of the program that this thread measures, if it measures one.
    @TaskLocal static var current: DenseLedger?

    private var held = 0
    private var found = Memory(peak: 0, kept: 0)

    /// Bytes of a program.
    struct Memory {
        /// The most at once.
        var peak: Int
        /// The workspace that stays when all else is freed.
        var kept: Int
    }

    /// The bytes of what `body` makes.
    static func measure(_ body: () -> Void) -> Memory {
        let ledger = DenseLedger()
        $current.withValue(ledger, operation: body)
        // A run may begin with the largest workspace that the run before it has left.
        return Memory(peak: ledger.found.peak + ledger.found.kept, kept: ledger.found.kept)
    }

    /// Counts memory that is taken.
    func take(_ bytes: Int) {
        held += bytes
        found.peak = max(found.peak, held)
    }

    /// Counts memory that is freed.
    func free(_ bytes: Int) { held -= bytes }

    /// Counts a workspace, which stays with its thread, if this thread measures.
    static func keep(_ bytes: Int) {
        guard let ledger = current else { return }
        ledger.found.kept = max(ledger.found.kept, bytes)
    }

    /// Counts memory that is taken and freed again, if this thread measures.
    static func pass(_ bytes: Int) {
        guard let ledger = current else { return }
        ledger.take(bytes)
        ledger.free(bytes)
    }
}
