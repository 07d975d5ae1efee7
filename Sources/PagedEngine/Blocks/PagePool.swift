/// The pages of a pool: how many sequences refer to each, and which free page is taken next.
///
/// A free page is blank, or keeps contents that a prefix cache may hit again. Blank pages are taken first, then the
/// page that has been free the longest. The list of the latter is linked through arrays, so that a hit leaves it in
/// O(1).
struct PagePool: Sendable {
    /// The number of pages.
    let count: Int
    private var references: [Int]
    /// Free pages without contents; the last is taken next.
    private var blank: [Int]
    /// For each page its neighbours in the list of free pages with contents; the entry `count` is both ends of the
    /// ring.
    private var older: [Int]
    private var newer: [Int]
    private(set) var reusableCount = 0

    init(count: Int) {
        self.count = count
        references = [Int](repeating: 0, count: count)
        blank = Array((0..<count).reversed())
        older = Array(0...count)
        newer = Array(0...count)
    }

    /// How many pages can be taken.
    var freeCount: Int { blank.count + reusableCount }

    /// How many sequences refer to a page.
    func referenceCount(of page: Int) -> Int { references[page] }

    /// The free pages with contents in the order in which they are taken: O(their number).
    var evictionOrder: [Int] {
        var order: [Int] = []
        var page = newer[count]
        while page != count {
            order.append(page)
            page = newer[page]
        }
        return order
    }

    /// Takes a free page for one reference; nil where none is free.
    ///
    /// `evicted` says that contents are lost.
    mutating func take() -> (page: Int, evicted: Bool)? {
        if let page = blank.popLast() {
            references[page] = 1
            return (page, false)
        }
        guard reusableCount > 0 else { return nil }
        let page = newer[count]
        unlink(page)
        references[page] = 1
        return (page, true)
    }

    /// Adds a reference to a page in use, or to a free page with contents.
    mutating func retain(_ page: Int) {
        if references[page] == 0 { unlink(page) }
        references[page] += 1
    }

    /// Drops a reference; the last makes the page free, and the newest of those `keepingContents`.
    mutating func release(_ page: Int, keepingContents: Bool) {
        references[page] -= 1
        guard references[page] == 0 else { return }
        guard keepingContents else { return blank.append(page) }
        let newest = older[count]
        newer[newest] = page
        older[page] = newest
        newer[page] = count
        older[count] = page
        reusableCount += 1
    }

    private mutating func unlink(_ page: Int) {
        newer[older[page]] = newer[page]
        older[newer[page]] = older[page]
        reusableCount -= 1
    }
}
