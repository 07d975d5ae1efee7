import AttentionCore
import PagedEngine
import Testing

@Suite struct BlockManagerTests {
    struct Setting: Sendable, CustomTestStringConvertible {
        var pages: Int
        var size: Int
        var swap: Int
        var window: Int?
        var caching = true
        var hashMask: UInt64 = .max
        var alphabet = 2
        var testDescription: String {
            "\(pages) pages of \(size), \(swap) swapped, window \(window ?? 0), caching \(caching)"
        }
    }

    static let settings = [
        Setting(pages: 24, size: 4, swap: 16), Setting(pages: 60, size: 2, swap: 20, alphabet: 3),
        Setting(pages: 30, size: 1, swap: 8), Setting(pages: 12, size: 3, swap: 0),
        Setting(pages: 40, size: 4, swap: 30, caching: false),
        // Three bits of hash: nearly every lookup meets a collision.
        Setting(pages: 40, size: 2, swap: 12, hashMask: 7, alphabet: 3),
        Setting(pages: 24, size: 4, swap: 16, window: 6), Setting(pages: 20, size: 2, swap: 20, window: 9, alphabet: 3),
        Setting(pages: 24, size: 1, swap: 8, window: 5), Setting(pages: 16, size: 3, swap: 12, window: 1),
        Setting(pages: 24, size: 4, swap: 20, window: 4, caching: false),
        Setting(pages: 30, size: 2, swap: 12, window: 3, hashMask: 7, alphabet: 3),
    ]

    /// Over a million operations without a window and as many with one, each checked against the naive model.
    @Test(arguments: settings) func everySlotReadsBackTheRightToken(setting: Setting) throws {
        var model = try PageModel(
            pages: setting.pages, size: setting.size, swap: setting.swap, window: setting.window,
            caching: setting.caching, hashMask: setting.hashMask,
            alphabet: setting.alphabet, seed: 17)
        for step in 0..<175_000 {
            do {
                try model.step()
                if step % 8 == 0 { try model.checkAll() }
            } catch {
                Issue.record("operation \(step): \(error)")
                return
            }
        }
        for sequence in model.sequences { try model.manager.close(sequence.id) }
        #expect(model.manager.freePageCount == setting.pages)
        #expect(model.manager.freeSwapPageCount == setting.swap)
        #expect(model.manager.statistics.logicalPages == 0)
        // Once every page serves another use, nothing is remembered.
        let foreign = [Int](repeating: -1, count: setting.pages * setting.size)
        _ = try model.manager.open(-1, tokens: foreign, reserving: foreign.count)
        #expect(model.manager.statistics.rememberedPages == 0)
    }

    @Test func writesDivergeByOneCopy() throws {
        var manager = try BlockManager(pageCount: 8, pageSize: 4)
        _ = try manager.open(1, tokens: [1, 2, 3, 4, 5, 6], reserving: 6)
        try manager.commit(1, tokens: [1, 2, 3, 4, 5, 6])
        try manager.fork(1, into: 2)
        try manager.fork(1, into: 3)
        #expect(manager.statistics.sharing == 3)
        let table = try manager.pageTable(of: 1)
        // Two of the three writers copy; the last keeps the page.
        let next = [1, 2, 3].map { Reservation(sequence: $0, count: 1) }
        #expect(try manager.pagesNeeded(next) == 2)
        let copies = try manager.reserve(next)
        let tables = try [1, 2, 3].map { try manager.pageTable(of: $0) }
        #expect(
            copies == [
                .copy(source: table[1], target: tables[0][1]), .copy(source: table[1], target: tables[1][1]),
            ])
        #expect(tables[2] == table)
        #expect(tables.allSatisfy { $0[0] == table[0] })
        // 4 pages hold 4 + 3 × 2 tokens, and the slots just reserved are not computed yet.
        #expect(manager.statistics.wastedSlots == 6)
        #expect(manager.statistics.copies == 2)
    }

    /// Cached pages are given up last page first, and yet the next sequence reads them in order.
    @Test func pagesThatAreTakenTogetherAscend() throws {
        var manager = try BlockManager(pageCount: 8, pageSize: 2)
        let tokens = Array(1...16)
        _ = try manager.open(1, tokens: tokens, reserving: 16)
        #expect(try manager.pageTable(of: 1) == Array(0..<8))
        #expect(manager.statistics.followingPages == 7)
        #expect(manager.statistics.adjacentPages == 7)
        try manager.commit(1, tokens: tokens)
        try manager.close(1)
        #expect(manager.evictionOrder == (0..<8).reversed())
        _ = try manager.open(2, tokens: [20, 21], reserving: 2)
        _ = try manager.open(3, tokens: [30], reserving: 1)
        _ = try manager.reserve([Reservation(sequence: 2, count: 6), Reservation(sequence: 3, count: 8)])
        #expect(try manager.pageTable(of: 2) == [7, 4, 5])
        #expect(try manager.pageTable(of: 3) == [6, 1, 2, 3])
        #expect(manager.statistics.followingPages == 5)
        #expect(manager.statistics.adjacentPages == 3)
    }

    @Test func onlyCommittedFullPagesAreHit() throws {
        var manager = try BlockManager(pageCount: 8, pageSize: 2)
        let prompt = [1, 2, 3, 4, 5]
        #expect(try manager.open(1, tokens: prompt, reserving: 5) == 0)
        #expect(manager.cachedCount(of: prompt) == 0)
        try manager.commit(1, tokens: [1, 2, 3])
        #expect(manager.cachedCount(of: prompt) == 2)
        try manager.commit(1, tokens: [4, 5])
        #expect(manager.cachedCount(of: prompt) == 4)
        // The last token is always computed.
        #expect(manager.cachedCount(of: [1, 2, 3, 4]) == 2)
        #expect(manager.cachedCount(of: prompt, salt: "x") == 0)
        #expect(manager.cachedCount(of: [3, 4, 5]) == 0)
        #expect(try manager.open(2, tokens: prompt) == 4)
        #expect(try manager.open(3, tokens: prompt, reusing: false) == 0)
        #expect(manager.statistics.hitTokens == 4)
    }

    @Test func theOldestChainLosesItsTailFirst() throws {
        var manager = try BlockManager(pageCount: 6, pageSize: 2)
        for (sequence, tokens) in [(1, [1, 1, 2, 2]), (2, [3, 3, 4, 4])] {
            _ = try manager.open(sequence, tokens: tokens, reserving: 4)
            try manager.commit(sequence, tokens: tokens)
        }
        let (first, second) = (try manager.pageTable(of: 1), try manager.pageTable(of: 2))
        try manager.close(1)
        try manager.close(2)
        #expect(manager.evictionOrder == first.reversed() + second.reversed())
        // Two blank pages go first, then the tail of the first chain.
        _ = try manager.open(3, tokens: [9, 9, 9, 9, 9], reserving: 5)
        #expect(manager.cachedCount(of: [1, 1, 2, 2, 0]) == 2)
        #expect(manager.cachedCount(of: [3, 3, 4, 4, 0]) == 4)
        #expect(manager.statistics.evictions == 1)
    }

    @Test func recomputingHitsWhatWasFreed() throws {
        var manager = try BlockManager(pageCount: 4, pageSize: 2)
        _ = try manager.open(1, tokens: [1, 2, 3, 4, 5], reserving: 5)
        try manager.commit(1, tokens: [1, 2, 3, 4, 5])
        try manager.close(1)
        #expect(try manager.open(2, tokens: [1, 2, 3, 4, 5, 6]) == 4)
    }

    @Test func aChildIsFoundAgainAfterItsParentWasEvicted() throws {
        var manager = try BlockManager(pageCount: 4, pageSize: 1)
        // Two sequences compute the same page at once; only the first page is registered.
        _ = try manager.open(1, tokens: [7, 8], reserving: 1)
        _ = try manager.open(2, tokens: [7, 8, 9], reserving: 2)
        try manager.commit(1, tokens: [7])
        try manager.commit(2, tokens: [7, 8])
        try manager.close(1)
        // The registered page of 7 is evicted; 8 stays.
        _ = try manager.open(3, tokens: [5, 5, 5], reserving: 2)
        #expect(manager.cachedCount(of: [7, 8, 9]) == 0)
        try manager.close(3)
        _ = try manager.open(4, tokens: [7, 0], reserving: 1)
        try manager.commit(4, tokens: [7])
        #expect(manager.cachedCount(of: [7, 8, 9]) == 2)
    }

    @Test func pagesBehindTheWindowGoBack() throws {
        let absent = PagedKeys.absentPage
        var manager = try BlockManager(pageCount: 6, pageSize: 2, swapPageCount: 4, window: 4)
        let tokens = Array(1...9)
        _ = try manager.open(1, tokens: tokens, reserving: 4)
        let first = try manager.pageTable(of: 1)
        try manager.commit(1, tokens: Array(tokens[..<4]))
        // Token 5 sees the keys of 2 to 5.
        #expect(try manager.pageTable(of: 1) == first)
        _ = try manager.reserve([.init(sequence: 1, count: 5)])
        let second = try manager.pageTable(of: 1)
        try manager.commit(1, tokens: Array(tokens[4...]))
        // The tenth token sees the keys from the seventh on.
        #expect(try manager.pageTable(of: 1) == [absent, absent, absent] + second[3...])
        #expect(manager.freePageCount == 4)
        // A hit needs pages 2 and 3 of the four: the ninth token sees the keys from the sixth on.
        #expect(manager.cachedCount(of: tokens) == 8)
        #expect(manager.pagesNeeded(opening: tokens) == 1)
        #expect(try manager.open(2, tokens: tokens) == 8)
        #expect(try manager.pageTable(of: 2) == [absent, absent, second[2], second[3]])
        // A fork and a way to the swap pool and back take what is kept.
        try manager.fork(2, into: 3)
        #expect(try manager.swapPagesNeeded(swappingOut: [1, 2, 3]) == 3)
        _ = try manager.swapOut([1, 2, 3])
        #expect(manager.freeSwapPageCount == 1)
        _ = try manager.swapIn([1, 2, 3])
        #expect(try manager.pageTable(of: 2) == [absent, absent, second[2], second[3]])
        for sequence in 1...3 { try manager.close(sequence) }
        #expect(manager.freePageCount == 6 && manager.freeSwapPageCount == 4)
    }

    @Test func aHitIsShorterWherePagesOfTheWindowAreGone() throws {
        var manager = try BlockManager(pageCount: 5, pageSize: 2, window: 5)
        let tokens = Array(1...9)
        _ = try manager.open(1, tokens: tokens, reserving: 9)
        let table = try manager.pageTable(of: 1)
        try manager.commit(1, tokens: tokens)
        try manager.close(1)
        // What went back while the sequence ran is older than what went when it was closed; the last page was not full.
        #expect(manager.evictionOrder == [table[1], table[0], table[3], table[2]])
        // A hit makes the pages that it needs the newest.
        #expect(try manager.open(2, tokens: Array(tokens[..<7])) == 6)
        try manager.close(2)
        #expect(manager.evictionOrder == [table[0], table[3], table[2], table[1]])
        #expect(manager.cachedCount(of: tokens) == 8)
        // The last page goes: what is left is enough for the window of the seventh token, then for none.
        _ = try manager.open(3, tokens: [20, 21, 22, 23, 24, 25], reserving: 6)
        #expect(manager.cachedCount(of: tokens) == 6)
        _ = try manager.open(4, tokens: [30, 31], reserving: 2)
        #expect(manager.cachedCount(of: tokens) == 0)
    }

    @Test func swappingKeepsSharing() throws {
        var manager = try BlockManager(pageCount: 6, pageSize: 2, swapPageCount: 3, prefixCaching: false)
        _ = try manager.open(1, tokens: [1, 2, 3], reserving: 4)
        try manager.commit(1, tokens: [1, 2, 3])
        try manager.fork(1, into: 2)
        let table = try manager.pageTable(of: 1)
        let out = try manager.swapOut([1, 2])
        #expect(out == [.swapOut(page: table[0], swapPage: 0), .swapOut(page: table[1], swapPage: 1)])
        #expect(manager.freePageCount == 6 && manager.freeSwapPageCount == 1)
        #expect(throws: PagingError.swappedOut(1)) { try manager.pageTable(of: 1) }
        let next = [1, 2].map { Reservation(sequence: $0, count: 1) }
        #expect(try manager.pagesNeeded(swappingIn: [1, 2], reserving: next) == 3)
        let back = try manager.swapIn([1, 2], reserving: next)
        #expect(back.count == 3)
        #expect(manager.freePageCount == 3 && manager.freeSwapPageCount == 3)
    }

    @Test func misuseIsRefused() throws {
        #expect(throws: PagingError.self) { try BlockManager(pageCount: 0, pageSize: 1) }
        #expect(throws: PagingError.self) { try BlockManager(pageCount: 1, pageSize: 0) }
        #expect(throws: PagingError.invalidArgument(name: "window", expected: "at least 1", actual: "0")) {
            try BlockManager(pageCount: 1, pageSize: 1, window: 0)
        }
        var manager = try BlockManager(pageCount: 2, pageSize: 2, swapPageCount: 1)
        #expect(throws: PagingError.unknownSequence(1)) { try manager.close(1) }
        #expect(throws: PagingError.unknownSequence(1)) { try manager.fork(1, into: 2) }
        _ = try manager.open(1, tokens: [1, 2, 3], reserving: 3)
        #expect(throws: PagingError.duplicateSequence(1)) { try manager.open(1, tokens: [1]) }
        #expect(throws: PagingError.unreservedSlots(sequence: 1, computed: 5, reserved: 4)) {
            try manager.commit(1, tokens: [1, 2, 3, 4, 5])
        }
        try manager.commit(1, tokens: [1, 2, 3])
        #expect(throws: PagingError.pageShortage(needed: 1, free: 0)) {
            try manager.reserve([.init(sequence: 1, count: 2)])
        }
        #expect(throws: PagingError.swapShortage(needed: 2, free: 1)) { try manager.swapOut([1]) }
        #expect(throws: PagingError.resident(1)) { try manager.swapIn([1]) }
        #expect(throws: PagingError.duplicateSequence(1)) {
            try manager.reserve([.init(sequence: 1, count: 1), .init(sequence: 1, count: 0)])
        }
        try manager.fork(1, into: 2)
        // A shared page may not be written without a reservation, which copies it.
        #expect(throws: PagingError.unreservedSlots(sequence: 2, computed: 4, reserved: 3)) {
            try manager.commit(2, tokens: [4])
        }
    }
}
