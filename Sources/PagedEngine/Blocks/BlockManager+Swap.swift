/// Moving sequences to the swap pool and back.
extension BlockManager {
    /// How many pages of the swap pool can be taken.
    package var freeSwapPageCount: Int { swap.freeCount }

    /// How many pages of the swap pool `swapOut` would take.
    ///
    /// - Throws: `PagingError.unknownSequence`, `.duplicateSequence` or `.swappedOut`.
    package func swapPagesNeeded(swappingOut sequences: [Int]) throws(PagingError) -> Int {
        var distinct: Set<Int> = []
        for (index, sequence) in sequences.enumerated() {
            let table = try resident(sequence)
            guard !sequences[..<index].contains(sequence) else { throw .duplicateSequence(sequence) }
            distinct.formUnion(table.pages[..<pageCount(forTokens: table.computed)])
        }
        distinct.remove(PageTable.absent)
        return distinct.count
    }

    /// Moves the computed pages of sequences to the swap pool.
    ///
    /// Pages that they share are moved once and stay shared; slots reserved but not computed are given up.
    ///
    /// - Returns: the moves to carry out before any page is written.
    /// - Throws: as `swapPagesNeeded`, and `PagingError.swapShortage`.
    package mutating func swapOut(_ sequences: [Int]) throws(PagingError) -> [PageTransfer] {
        let needed = try swapPagesNeeded(swappingOut: sequences)
        guard needed <= swap.freeCount else { throw .swapShortage(needed: needed, free: swap.freeCount) }
        var moved: [Int: Int] = [:]
        var transfers: [PageTransfer] = []
        for sequence in sequences {
            var table = try resident(sequence)
            var swapPages: [Int] = []
            for page in table.pages[..<pageCount(forTokens: table.computed)] {
                if page == PageTable.absent {
                    swapPages.append(page)
                } else if let swapPage = moved[page] {
                    swap.retain(swapPage)
                    swapPages.append(swapPage)
                } else if let (swapPage, _) = swap.take() {
                    moved[page] = swapPage
                    swapPages.append(swapPage)
                    transfers.append(.swapOut(page: page, swapPage: swapPage))
                }
            }
            release(table)
            table.pages = []
            table.swapPages = swapPages
            tables[sequence] = table
        }
        return transfers
    }

    /// How many free pages `swapIn` would take.
    ///
    /// - Throws: `PagingError.unknownSequence`, `.duplicateSequence`, `.resident` or `.invalidArgument`.
    package func pagesNeeded(
        swappingIn sequences: [Int], reserving reservations: [Reservation] = []
    ) throws(PagingError) -> Int {
        var sharers: [Int: Int] = [:]
        var found: Set<Int> = []
        for (index, sequence) in sequences.enumerated() {
            guard let swapPages = try table(sequence).swapPages else { throw .resident(sequence) }
            guard !sequences[..<index].contains(sequence) else { throw .duplicateSequence(sequence) }
            let cached = try cachedPages(sequence)
            for (place, swapPage) in swapPages.enumerated() where swapPage != PageTable.absent {
                if place < cached.count, let page = cached[place] {
                    found.insert(page)
                } else {
                    sharers[swapPage, default: 0] += 1
                }
            }
        }
        for reservation in reservations where !sequences.contains(reservation.sequence) {
            throw .invalidArgument(
                name: "reserving", expected: "sequences that are swapped in", actual: "\(reservation.sequence)")
        }
        let fresh = try cost(reservations) { table in
            let swapPage = table.swapPages?.last ?? 0
            return (swapPage, sharers[swapPage] ?? 1)
        }
        return sharers.count + found.count { pool.referenceCount(of: $0) == 0 } + fresh
    }

    /// Moves sequences back from the swap pool and reserves slots.
    ///
    /// A page whose contents are still in memory is shared instead of moved.
    ///
    /// - Returns: the moves and copies to carry out, in order, before the slots are written.
    /// - Throws: as `pagesNeeded`, and `PagingError.pageShortage`.
    package mutating func swapIn(
        _ sequences: [Int], reserving reservations: [Reservation] = []
    ) throws(PagingError) -> [PageTransfer] {
        let needed = try pagesNeeded(swappingIn: sequences, reserving: reservations)
        guard needed <= pool.freeCount else { throw .pageShortage(needed: needed, free: pool.freeCount) }
        // All cached pages are held before any page is taken, which might evict one of them.
        var held: [[Int?]] = []
        for sequence in sequences {
            held.append(try cachedPages(sequence))
            for case let page? in held[held.count - 1] { pool.retain(page) }
        }
        var moved: [Int: Int] = [:]
        var transfers: [PageTransfer] = []
        for (sequence, cached) in zip(sequences, held) {
            var table = try table(sequence)
            var missing: [(place: Int, swapPage: Int)] = []
            for (place, swapPage) in (table.swapPages ?? []).enumerated() {
                if swapPage == PageTable.absent {
                    table.pages.append(swapPage)
                } else if place < cached.count, let page = cached[place] {
                    table.pages.append(page)
                } else if let page = moved[swapPage] {
                    pool.retain(page)
                    table.pages.append(page)
                } else {
                    missing.append((table.pages.count, swapPage))
                    table.pages.append(PageTable.absent)
                }
            }
            for ((place, swapPage), page) in zip(missing, try takePages(missing.count)) {
                moved[swapPage] = page
                table.pages[place] = page
                transfers.append(.swapIn(swapPage: swapPage, page: page))
            }
            for swapPage in table.swapPages ?? [] where swapPage != PageTable.absent {
                swap.release(swapPage, keepingContents: false)
            }
            table.swapPages = nil
            for (node, page) in zip(nodes(table), table.pages) where page != PageTable.absent {
                cache.store(page, for: node)
            }
            tables[sequence] = table
        }
        return transfers + (try reserve(reservations))
    }

    /// For each full page of a swapped sequence that is not absent the page in memory that holds the same contents.
    private func cachedPages(_ sequence: Int) throws(PagingError) -> [Int?] {
        let table = try table(sequence)
        return zip(nodes(table), table.swapPages ?? []).map { node, swapPage in
            swapPage == PageTable.absent ? nil : cache.page(of: node)
        }
    }

    /// The nodes of a table's full pages, from the first.
    private func nodes(_ table: PageTable) -> [Int] {
        var nodes: [Int] = []
        var node = table.tail
        while node != PrefixCache.root {
            nodes.append(node)
            node = cache.parent(of: node)
        }
        return nodes.reversed()
    }
}
