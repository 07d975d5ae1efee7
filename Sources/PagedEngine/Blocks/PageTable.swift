import AttentionCore

/// Where the keys and values of one sequence are.
struct PageTable: Sendable {
    /// The entry of a page that was given back because no later token sees its keys.
    static let absent = PagedKeys.absentPage

    /// The pages of the sequence's tokens in their order, ``absent`` ones first; empty while it is swapped out.
    var pages: [Int] = []
    /// The pages of the swap pool that hold the computed tokens, ``absent`` ones first; nil while they are in memory.
    var swapPages: [Int]?
    /// How many tokens have their keys computed.
    var computed = 0
    /// The computed tokens of the page that is not full: what its hash will need.
    var partial: [Int] = []
    /// The last full page's node in the prefix cache.
    var tail = PrefixCache.root
    /// Kept apart from sequences of other salts.
    var salt = ""
}

/// Slots that a step will write.
package struct Reservation: Sendable, Hashable {
    /// The sequence.
    package let sequence: Int
    /// How many tokens after the computed ones.
    package let count: Int

    /// Slots for the next `count` tokens.
    package init(sequence: Int, count: Int) {
        self.sequence = sequence
        self.count = count
    }
}

/// How well memory is used.
package struct BlockStatistics: Sendable, Hashable {
    /// Pages in memory.
    package var pageCount = 0
    /// Pages that can be taken; `reusablePages` of them hold contents that may be hit again.
    package var freePages = 0
    /// Free pages whose contents may be hit again.
    package var reusablePages = 0
    /// Pages of all tables, each as often as it is referred to.
    package var logicalPages = 0
    /// Pages of all tables, each once.
    package var physicalPages = 0
    /// Slots of used pages that hold no computed token.
    package var wastedSlots = 0
    /// Pages of all tables that come after another one, each as often as it is referred to.
    package var followingPages = 0
    /// Those of them that lie right behind the page before them: memory is fastest in order.
    package var adjacentPages = 0
    /// Pages of the swap pool.
    package var swapPageCount = 0
    /// Pages of the swap pool that can be taken.
    package var freeSwapPages = 0
    /// Pages of tokens that the prefix cache remembers, those included whose successors only are in memory.
    package var rememberedPages = 0
    /// Tokens that were looked up in the prefix cache.
    package var queriedTokens = 0
    /// Tokens that were found there.
    package var hitTokens = 0
    /// Pages whose cached contents were given up for others.
    package var evictions = 0
    /// Pages copied at the first divergent write.
    package var copies = 0

    /// How many sequences use a page on average; 1 without sharing.
    package var sharing: Double { physicalPages == 0 ? 1 : Double(logicalPages) / Double(physicalPages) }
}
