/// Gives sequences pages for their keys and values: shared where contents are the same, copied at the first divergent
/// write, kept as a cache of prefixes when free, and moved to a swap pool and back.
///
/// It knows which tokens are where and holds no keys. The caller reserves slots for the tokens of a step, carries out
/// the transfers that come back, computes, and commits the tokens; only then may their pages be hit by other sequences.
/// A page is what vLLM calls a block, which is a part of a score matrix in this project; a slot is a token's place in a
/// page.
///
/// Where all attention is through a window, a sequence keeps only the pages whose keys a later token sees. The others are
/// given back as it grows, and stay in the cache of prefixes while they are free. A hit then needs the pages of the last
/// window alone.
///
/// Every mutating call does all it says or throws and changes nothing.
package struct BlockManager: Sendable {
    /// The extents of pages, and the window.
    package let geometry: PageGeometry
    /// Whether full pages are found again by their tokens.
    package let prefixCaching: Bool
    var pool: PagePool
    var swap: PagePool
    var cache: PrefixCache
    var tables: [Int: PageTable] = [:]
    var counters = BlockStatistics()

    /// A manager of `pageCount` free pages of `pageSize` tokens and a swap pool.
    ///
    /// A `hashMask` with few bits makes hashes collide, for tests.
    ///
    /// - Parameter window: the last keys that a token sees, its own among them; `nil` where it sees all.
    /// - Throws: `PagingError.invalidArgument`.
    package init(
        pageCount: Int, pageSize: Int, swapPageCount: Int = 0, window: Int? = nil, prefixCaching: Bool = true,
        hashMask: UInt64 = .max
    ) throws(PagingError) {
        for (name, value, least) in [
            ("pageCount", pageCount, 1), ("pageSize", pageSize, 1), ("swapPageCount", swapPageCount, 0),
            ("window", window ?? 1, 1),
        ] where value < least {
            throw .invalidArgument(name: name, expected: "at least \(least)", actual: "\(value)")
        }
        geometry = PageGeometry(pageSize: pageSize, window: window)
        self.prefixCaching = prefixCaching
        pool = PagePool(count: pageCount)
        swap = PagePool(count: swapPageCount)
        cache = PrefixCache(hashMask: hashMask)
    }

    // MARK: Questions

    /// The tokens of a page.
    package var pageSize: Int { geometry.pageSize }

    /// The number of pages.
    package var pageCount: Int { pool.count }

    /// How many pages can be taken, those with reusable contents included.
    package var freePageCount: Int { pool.freeCount }

    /// The pages of so many tokens.
    package func pageCount(forTokens tokens: Int) -> Int { geometry.pageCount(forTokens: tokens) }

    /// The page of each `pageSize` tokens of a sequence, in order; `PagedKeys.absentPage` for those given back.
    ///
    /// - Throws: `PagingError.unknownSequence` or `.swappedOut`.
    package func pageTable(of sequence: Int) throws(PagingError) -> [Int] { try resident(sequence).pages }

    /// How many tokens of a sequence have their keys computed.
    ///
    /// - Throws: `PagingError.unknownSequence`.
    package func computedCount(of sequence: Int) throws(PagingError) -> Int { try table(sequence).computed }

    /// How many sequences refer to a page.
    package func referenceCount(of page: Int) -> Int { pool.referenceCount(of: page) }

    /// Whether a page's contents can be hit.
    package func isCached(_ page: Int) -> Bool { cache.holds(page) }

    /// The free pages with reusable contents, the next to be taken first.
    package var evictionOrder: [Int] { pool.evictionOrder }

    /// How many of the tokens have their keys in cached pages, as far as the next token sees them: whole pages from the
    /// first on, and never the last token, whose logits must be computed.
    ///
    /// - Complexity: O(tokens).
    package func cachedCount(of tokens: [Int], salt: String = "") -> Int { hits(tokens, salt).count * pageSize }

    /// How many free pages `open` would take: new ones, and free ones that are hit.
    ///
    /// - Complexity: O(tokens).
    package func pagesNeeded(
        opening tokens: [Int], salt: String = "", reusing: Bool = true, reserving count: Int = 0
    ) -> Int {
        cost(opening: reusing ? visiblePages(of: hits(tokens, salt)) : [], reserving: count)
    }

    // MARK: A sequence's life

    /// Opens a sequence on the cached pages of `tokens`, and reserves slots for the `count` tokens after them.
    ///
    /// `reusing: false` takes no cached page, for a caller that needs the logits of every token.
    ///
    /// - Returns: how many tokens need no computing.
    /// - Throws: `PagingError.duplicateSequence`, `.invalidArgument` or `.pageShortage`.
    /// - Complexity: O(tokens).
    package mutating func open(
        _ sequence: Int, tokens: [Int], salt: String = "", reusing: Bool = true, reserving count: Int = 0
    ) throws(PagingError) -> Int {
        guard tables[sequence] == nil else { throw .duplicateSequence(sequence) }
        guard count >= 0 else {
            throw .invalidArgument(name: "reserving", expected: "at least 0", actual: "\(count)")
        }
        let hits = reusing ? hits(tokens, salt) : []
        let pages = visiblePages(of: hits)
        let needed = cost(opening: pages, reserving: count)
        guard needed <= pool.freeCount else { throw .pageShortage(needed: needed, free: pool.freeCount) }
        var table = PageTable()
        table.computed = hits.count * pageSize
        table.salt = salt
        for page in pages where page != PageTable.absent { pool.retain(page) }
        table.pages = pages
        table.tail = hits.last ?? PrefixCache.root
        cache.retain(table.tail)
        table.pages += try takePages(pageCount(forTokens: table.computed + count) - table.pages.count)
        tables[sequence] = table
        if reusing, prefixCaching { counters.queriedTokens += tokens.count }
        counters.hitTokens += table.computed
        return table.computed
    }

    /// How many free pages `reserve` would take: new pages and copies of shared ones.
    ///
    /// - Throws: `PagingError.unknownSequence`, `.duplicateSequence`, `.swappedOut` or `.invalidArgument`.
    package func pagesNeeded(_ reservations: [Reservation]) throws(PagingError) -> Int {
        for reservation in reservations { _ = try resident(reservation.sequence) }
        return try cost(reservations) { table in
            let page = table.pages[table.computed / pageSize]
            return (page, pool.referenceCount(of: page))
        }
    }

    /// Makes the slots of the next tokens writable: of several sequences at once, or of none.
    ///
    /// A page that is partly filled and shared is replaced by a copy; the last to write it keeps the original.
    ///
    /// - Returns: the copies to carry out before the slots are written.
    /// - Throws: as `pagesNeeded`, and `PagingError.pageShortage`.
    package mutating func reserve(_ reservations: [Reservation]) throws(PagingError) -> [PageTransfer] {
        let needed = try pagesNeeded(reservations)
        guard needed <= pool.freeCount else { throw .pageShortage(needed: needed, free: pool.freeCount) }
        var transfers: [PageTransfer] = []
        for reservation in reservations where reservation.count > 0 {
            var table = try table(reservation.sequence)
            tables[reservation.sequence] = nil  // The table is changed in place, not copied.
            let first = table.computed / pageSize
            if table.computed % pageSize != 0, pool.referenceCount(of: table.pages[first]) > 1 {
                let source = table.pages[first]
                let target = try takePage()
                pool.release(source, keepingContents: false)
                table.pages[first] = target
                transfers.append(.copy(source: source, target: target))
                counters.copies += 1
            }
            let wanted = pageCount(forTokens: table.computed + reservation.count)
            table.pages += try takePages(wanted - table.pages.count)
            tables[reservation.sequence] = table
        }
        return transfers
    }

    /// Says that the keys of the next tokens are computed.
    ///
    /// Pages that they fill can be hit from now on, and pages that no later token sees are given back.
    ///
    /// - Throws: `PagingError.unknownSequence`, `.swappedOut` or `.unreservedSlots`.
    package mutating func commit(_ sequence: Int, tokens: [Int]) throws(PagingError) {
        var table = try resident(sequence)
        // A shared page may not be written, whatever room it has.
        let isShared =
            table.computed % pageSize != 0 && pool.referenceCount(of: table.pages[table.computed / pageSize]) > 1
        let reserved = isShared ? table.computed : table.pages.count * pageSize
        guard table.computed + tokens.count <= reserved else {
            throw .unreservedSlots(sequence: sequence, computed: table.computed + tokens.count, reserved: reserved)
        }
        tables[sequence] = nil
        for token in tokens {
            table.partial.append(token)
            table.computed += 1
            if table.partial.count == pageSize { fill(&table) }
        }
        giveBackHidden(&table)
        tables[sequence] = table
    }

    /// Opens a sequence with the computed tokens of another, on the same pages.
    ///
    /// Reserved slots stay with the parent.
    ///
    /// - Throws: `PagingError.unknownSequence`, `.swappedOut` or `.duplicateSequence`.
    package mutating func fork(_ parent: Int, into child: Int) throws(PagingError) {
        var table = try resident(parent)
        guard tables[child] == nil else { throw .duplicateSequence(child) }
        table.pages.removeSubrange(pageCount(forTokens: table.computed)...)
        for page in table.pages where page != PageTable.absent { pool.retain(page) }
        cache.retain(table.tail)
        tables[child] = table
    }

    /// Gives up a sequence, wherever its pages are.
    ///
    /// Cached pages stay until their memory is needed, the last of the sequence going first: a page without those
    /// before it could not be hit.
    ///
    /// - Throws: `PagingError.unknownSequence`.
    package mutating func close(_ sequence: Int) throws(PagingError) {
        let table = try table(sequence)
        tables[sequence] = nil
        release(table)
        cache.release(table.tail)
    }
}
