/// What can be wrong with a call to the block manager.
///
/// After an error nothing has changed.
package enum PagingError: Error, Sendable, Hashable {
    /// An argument has a value that cannot be honoured.
    case invalidArgument(name: String, expected: String, actual: String)
    /// No sequence has this number.
    case unknownSequence(Int)
    /// A sequence of this number exists, or is named twice in one call.
    case duplicateSequence(Int)
    /// A sequence's pages are in the swap pool, where the call needs them in memory.
    case swappedOut(Int)
    /// A sequence's pages are in memory, where the call needs them in the swap pool.
    case resident(Int)
    /// Too few pages are free.
    case pageShortage(needed: Int, free: Int)
    /// Too few pages of the swap pool are free.
    case swapShortage(needed: Int, free: Int)
    /// More tokens were computed than slots were reserved for.
    case unreservedSlots(sequence: Int, computed: Int, reserved: Int)
}

extension PagingError: CustomStringConvertible {
    /// One sentence: the place, what is there, what was expected.
    package var description: String {
        switch self {
        case .invalidArgument(let name, let expected, let actual):
            return "\(name) is \(actual); expected \(expected)"
        case .unknownSequence(let sequence):
            return "there is no sequence \(sequence)"
        case .duplicateSequence(let sequence):
            return "sequence \(sequence) exists already or is named twice"
        case .swappedOut(let sequence):
            return "sequence \(sequence) is in the swap pool; expected it in memory"
        case .resident(let sequence):
            return "sequence \(sequence) is in memory; expected it in the swap pool"
        case .pageShortage(let needed, let free):
            return "\(needed) pages are needed and \(free) are free"
        case .swapShortage(let needed, let free):
            return "\(needed) pages of the swap pool are needed and \(free) are free"
        case .unreservedSlots(let sequence, let computed, let reserved):
            return "sequence \(sequence) has slots for \(reserved) tokens; expected at least \(computed)"
        }
    }
}
