/// What the calls of the block manager share.
extension BlockManager {
    /// What the pools hold now, with counts since the beginning; nothing of how tables use them.
    package var poolStatistics: BlockStatistics {
        var result = counters
        result.pageCount = pool.count
        result.freePages = pool.freeCount
        result.reusablePages = pool.reusableCount
        result.physicalPages = pool.count - pool.freeCount
        result.swapPageCount = swap.count
        result.freeSwapPages = swap.freeCount
        result.rememberedPages = cache.nodeCount
        return result
    }

    /// How memory is used now, with counts since the beginning.
    ///
    /// - Complexity: O(pages of all tables).
    package var statistics: BlockStatistics {
        var result = poolStatistics
        var filled: [Int: Int] = [:]
        for table in tables.values {
            for (page, next) in zip(table.pages, table.pages.dropFirst()) where page != PageTable.absent {
                result.followingPages += 1
                if next == page + 1 { result.adjacentPages += 1 }
            }
            for (index, page) in table.pages.enumerated() where page != PageTable.absent {
                result.logicalPages += 1
                let tokens = min(pageSize, max(0, table.computed - index * pageSize))
                filled[page] = max(filled[page] ?? 0, tokens)
            }
        }
        result.wastedSlots = filled.values.reduce(0) { $0 + pageSize - $1 }
        return result
    }

    func table(_ sequence: Int) throws(PagingError) -> PageTable {
        guard let table = tables[sequence] else { throw .unknownSequence(sequence) }
        return table
    }

    func resident(_ sequence: Int) throws(PagingError) -> PageTable {
        let table = try table(sequence)
        guard table.swapPages == nil else { throw .swappedOut(sequence) }
        return table
    }

    /// The pages that reservations take, where `shared` says which page a partly filled table ends with and how many
    /// refer to it.
    func cost(
        _ reservations: [Reservation], shared: (PageTable) -> (page: Int, references: Int)
    ) throws(PagingError) -> Int {
        var needed = 0
        var references: [Int: Int] = [:]
        var seen: Set<Int> = []
        for reservation in reservations {
            guard seen.insert(reservation.sequence).inserted else { throw .duplicateSequence(reservation.sequence) }
            guard reservation.count >= 0 else {
                throw .invalidArgument(name: "count", expected: "at least 0", actual: "\(reservation.count)")
            }
            let table = try table(reservation.sequence)
            let present = table.swapPages?.count ?? table.pages.count
            needed += max(0, pageCount(forTokens: table.computed + reservation.count) - present)
            guard reservation.count > 0, table.computed % pageSize != 0 else { continue }
            let (page, count) = shared(table)
            let left = references[page] ?? count
            if left > 1 { needed += 1 }
            references[page] = left - 1
        }
        return needed
    }

    /// The pages that a sequence takes which opens on cached pages: a free page that is hit cannot be taken for another
    /// use.
    func cost(opening pages: [Int], reserving count: Int) -> Int {
        pageCount(forTokens: pages.count * pageSize + count) - pages.count
            + pages.count { $0 != PageTable.absent && pool.referenceCount(of: $0) == 0 }
    }

    /// The nodes of the longest beginning of `tokens` whose pages are cached, as far as the token after them sees them;
    /// the last always is.
    func hits(_ tokens: [Int], _ salt: String) -> [Int] {
        guard prefixCaching else { return [] }
        var nodes: [Int] = []
        var found = 0
        // Cached pages in a row up to the last node.
        var row = 0
        var start = 0
        while start + pageSize < tokens.count {
            let piece = tokens[start..<start + pageSize]
            guard let node = cache.node(after: nodes.last ?? PrefixCache.root, salt: salt, tokens: piece) else { break }
            nodes.append(node)
            start += pageSize
            row = cache.page(of: node) == nil ? 0 : row + 1
            if row == 0, geometry.window == nil { break }
            if row > 0, row >= nodes.count - geometry.hiddenPages(computed: start) { found = nodes.count }
        }
        return Array(nodes[..<found])
    }

    /// The pages of nodes that the token after them sees, in a table's form.
    func visiblePages(of nodes: [Int]) -> [Int] {
        let hidden = geometry.hiddenPages(computed: nodes.count * pageSize)
        return nodes.enumerated().map { index, node in
            index < hidden ? PageTable.absent : cache.page(of: node) ?? PageTable.absent
        }
    }

    /// Registers the page that has just been filled.
    mutating func fill(_ table: inout PageTable) {
        if prefixCaching {
            let node = cache.retainNode(after: table.tail, salt: table.salt, tokens: table.partial[...])
            cache.release(table.tail)
            table.tail = node
            cache.store(table.pages[table.computed / pageSize - 1], for: node)
        }
        table.partial.removeAll(keepingCapacity: true)
    }

    /// Drops a table's references to the pages that no later token sees, the last first.
    mutating func giveBackHidden(_ table: inout PageTable) {
        var index = geometry.hiddenPages(computed: table.computed) - 1
        while index >= 0, table.pages[index] != PageTable.absent {
            pool.release(table.pages[index], keepingContents: cache.holds(table.pages[index]))
            table.pages[index] = PageTable.absent
            index -= 1
        }
    }

    mutating func takePage() throws(PagingError) -> Int {
        guard let (page, evicted) = pool.take() else { throw .pageShortage(needed: 1, free: 0) }
        if evicted {
            cache.forget(page)
            counters.evictions += 1
        }
        return page
    }

    /// As many pages in ascending order: a sequence reads them in the order in which it gets them, and memory is fastest in
    /// order.
    mutating func takePages(_ count: Int) throws(PagingError) -> [Int] {
        var pages: [Int] = []
        for _ in 0..<max(0, count) { pages.append(try takePage()) }
        return pages.sorted()
    }

    /// Drops a table's references, the last page first.
    mutating func release(_ table: PageTable) {
        for page in table.pages.reversed() where page != PageTable.absent {
            pool.release(page, keepingContents: cache.holds(page))
        }
        for page in table.swapPages ?? [] where page != PageTable.absent { swap.release(page, keepingContents: false) }
    }
}
