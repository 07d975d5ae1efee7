import AttentionCore
import PagedEngine
import TensorCore

/// What a check of the model found.
struct Violation: Error, CustomStringConvertible {
    let description: String
}

/// Throws where a property does not hold.
func require(_ holds: Bool, _ message: @autoclosure () -> String) throws {
    if !holds { throw Violation(description: message()) }
}

/// A naive model beside a block manager: every sequence as a plain array, every slot of memory with the value it would
/// hold.
///
/// The value of a token is a hash of the salt and of all tokens up to it, as its keys depend on all of them: a page
/// that is shared where only its own tokens agree is found out.
struct PageModel {
    struct Sequence {
        var id: Int
        var salt: String
        var tokens: [Int] = []
        var values: [UInt64] = []
        var isSwapped = false
    }

    var manager: BlockManager
    var sequences: [Sequence] = []
    var random: CounterRandom
    private var memory: [[UInt64]]
    private var swapMemory: [[UInt64]]
    /// Which value a cached page ends with, and the other way round.
    private var cachedValue: [Int: UInt64] = [:]
    private var cachedPage: [UInt64: Int] = [:]
    private var nextSequence = 0
    private let alphabet: Int
    private let window: Int?
    /// The order of eviction when it was last looked at.
    private var order: [Int] = []
    private var size: Int { manager.pageSize }
    private static let absent = PagedKeys.absentPage

    init(
        pages: Int, size: Int, swap: Int, window: Int? = nil, caching: Bool = true, hashMask: UInt64 = .max,
        alphabet: Int, seed: UInt64
    ) throws {
        manager = try BlockManager(
            pageCount: pages, pageSize: size, swapPageCount: swap, window: window, prefixCaching: caching,
            hashMask: hashMask)
        self.window = window
        memory = Array(repeating: Array(repeating: 0, count: size), count: pages)
        swapMemory = Array(repeating: Array(repeating: 0, count: size), count: swap)
        random = CounterRandom(seed: seed)
        self.alphabet = alphabet
    }

    // MARK: Operations

    mutating func step() throws {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<25: try open()
        case 25..<60: try write(commits: true)
        case 60..<65: try write(commits: false)
        case 65..<75: try fork()
        case 75..<90: try close()
        case 90..<95: try swapOut()
        default: try swapIn()
        }
        try checkOrder()
    }

    mutating func open() throws {
        let salt = Int.random(in: 0..<8, using: &random) == 0 ? "other" : ""
        var tokens = randomTokens(Int.random(in: 1...6 * size, using: &random))
        // Half of the prompts continue what exists.
        if Bool.random(using: &random), let other = sequences.randomElement(using: &random) {
            tokens = Array(other.tokens.prefix(Int.random(in: 0...40, using: &random))) + tokens
        }
        let values = Self.values(tokens, salt)
        var expected = 0
        if manager.prefixCaching {
            expected =
                Array(stride(from: size, to: tokens.count, by: size)).last { end in
                    let first = min(hidden(end), end / size - 1)
                    return (first..<end / size).allSatisfy { cachedPage[values[$0 * size + size - 1]] != nil }
                } ?? 0
        }
        try require(manager.cachedCount(of: tokens, salt: salt) == expected, "cached count of \(tokens)")
        let count = Int.random(in: 0...tokens.count - expected, using: &random)
        let free = manager.freePageCount
        let hit = (0..<expected / size).map { index in
            index < hidden(expected) ? Self.absent : cachedPage[values[index * size + size - 1]] ?? -2
        }
        let needed =
            hit.filter { $0 != Self.absent && manager.referenceCount(of: $0) == 0 }.count
            + pages(expected + count) - hit.count
        try require(
            manager.pagesNeeded(opening: tokens, salt: salt, reserving: count) == needed, "pages needed to open")
        do {
            let computed = try manager.open(nextSequence, tokens: tokens, salt: salt, reserving: count)
            try require(computed == expected && needed <= free, "open of \(needed) pages with \(free) free")
        } catch let error as PagingError {
            try require(error == .pageShortage(needed: needed, free: free) && needed > free, "\(error)")
            return
        }
        try require(manager.freePageCount == free - needed, "open took \(free - manager.freePageCount), not \(needed)")
        var sequence = Sequence(id: nextSequence, salt: salt)
        nextSequence += 1
        sequence.tokens = Array(tokens[..<expected])
        sequence.values = Array(values[..<expected])
        sequences.append(sequence)
        let table = try manager.pageTable(of: sequence.id)
        try require(Array(table.prefix(hit.count)) == hit, "open hit \(table), not \(hit)")
        try require(Array(table.dropFirst(hit.count)) == table.dropFirst(hit.count).sorted(), "open: \(table)")
        for page in table.dropFirst(hit.count) { taken(page) }
        try write(tokens: Array(tokens[expected..<expected + count]), to: sequences.count - 1)
    }

    /// Reserves slots of one or several sequences, and fills them or not.
    mutating func write(commits: Bool) throws {
        let chosen = sequences.indices.filter { !sequences[$0].isSwapped }.shuffled(using: &random)
            .prefix(Int.random(in: 1...3, using: &random))
        let reservations = chosen.map {
            Reservation(sequence: sequences[$0].id, count: Int.random(in: 0...2 * size, using: &random))
        }
        let before = try chosen.map { try manager.pageTable(of: sequences[$0].id) }
        let free = manager.freePageCount
        let needed = try manager.pagesNeeded(reservations)
        let transfers: [PageTransfer]
        do {
            transfers = try manager.reserve(reservations)
            try require(needed <= free && manager.freePageCount == free - needed, "reserve took another number")
        } catch let error as PagingError {
            try require(error == .pageShortage(needed: needed, free: free) && needed > free, "\(error)")
            for (place, table) in zip(chosen, before) {
                try require(try manager.pageTable(of: sequences[place].id) == table, "a failed call changed a table")
            }
            return
        }
        for (place, table) in zip(chosen, before) {
            let pages = try manager.pageTable(of: sequences[place].id)
            let added = Array(pages.dropFirst(table.count))
            try require(added == added.sorted(), "reserve: \(added)")
            for page in pages where !table.contains(page) { taken(page) }
        }
        try carryOut(transfers)
        guard commits else { return }
        for (place, reservation) in zip(chosen, reservations) {
            try write(tokens: randomTokens(reservation.count), to: place)
        }
    }

    mutating func fork() throws {
        guard sequences.count < 12, let parent = sequences.randomElement(using: &random), !parent.isSwapped else {
            return
        }
        let free = manager.freePageCount
        try manager.fork(parent.id, into: nextSequence)
        try require(manager.freePageCount == free, "fork took pages")
        var child = parent
        child.id = nextSequence
        nextSequence += 1
        sequences.append(child)
    }

    mutating func close() throws {
        guard let place = sequences.indices.randomElement(using: &random) else { return }
        let sequence = sequences.remove(at: place)
        guard !sequence.isSwapped else { return try manager.close(sequence.id) }
        let table = try manager.pageTable(of: sequence.id)
        let freed = table.reversed().filter {
            $0 != Self.absent && manager.referenceCount(of: $0) == 1 && manager.isCached($0)
        }
        try manager.close(sequence.id)
        try require(manager.evictionOrder.suffix(freed.count).elementsEqual(freed), "the tail of a chain must go first")
    }

    mutating func swapOut() throws {
        let chosen = sequences.indices.filter { !sequences[$0].isSwapped }.shuffled(using: &random)
            .prefix(Int.random(in: 1...3, using: &random))
        let ids = chosen.map { sequences[$0].id }
        var pages: Set<Int> = []
        for place in chosen {
            pages.formUnion(
                try manager.pageTable(of: sequences[place].id).prefix(self.pages(sequences[place].tokens.count)))
        }
        pages.remove(Self.absent)
        let free = manager.freeSwapPageCount
        do {
            try carryOut(try manager.swapOut(ids))
            try require(manager.freeSwapPageCount == free - pages.count, "swap-out took another number")
        } catch let error as PagingError {
            try require(
                error == .swapShortage(needed: pages.count, free: free) && pages.count > free, "\(error)")
            return
        }
        for place in chosen { sequences[place].isSwapped = true }
    }

    mutating func swapIn() throws {
        let chosen = sequences.indices.filter { sequences[$0].isSwapped }.shuffled(using: &random)
            .prefix(Int.random(in: 1...3, using: &random))
        let ids = chosen.map { sequences[$0].id }
        let reservations = ids.map { Reservation(sequence: $0, count: Int.random(in: 0...size, using: &random)) }
        let free = manager.freePageCount
        let needed = try manager.pagesNeeded(swappingIn: ids, reserving: reservations)
        let transfers: [PageTransfer]
        do {
            transfers = try manager.swapIn(ids, reserving: reservations)
            try require(needed <= free && manager.freePageCount == free - needed, "swap-in took another number")
        } catch let error as PagingError {
            try require(error == .pageShortage(needed: needed, free: free) && needed > free, "\(error)")
            return
        }
        let moved = transfers.map { transfer in
            switch transfer {
            case .copy(_, let target): target
            case .swapIn(_, let page): page
            case .swapOut: -1
            }
        }
        let loaded = transfers.compactMap { if case .swapIn(_, let page) = $0 { page } else { nil } }
        try require(ids.count > 1 || loaded == loaded.sorted(), "swap-in: \(loaded)")
        for page in moved { taken(page) }
        try carryOut(transfers)
        for (place, reservation) in zip(chosen, reservations) {
            sequences[place].isSwapped = false
            let table = try manager.pageTable(of: reservation.sequence)
            let computed = sequences[place].tokens.count
            for page in table.dropFirst(pages(computed)) { taken(page) }
            for index in hidden(computed)..<computed / size {
                remember(table[index], sequences[place].values[index * size + size - 1])
            }
        }
    }

    // MARK: Memory

    private mutating func carryOut(_ transfers: [PageTransfer]) throws {
        for transfer in transfers {
            switch transfer {
            case .copy(let source, let target): memory[target] = memory[source]
            case .swapOut(let page, let swapPage): swapMemory[swapPage] = memory[page]
            case .swapIn(let swapPage, let page): memory[page] = swapMemory[swapPage]
            }
        }
    }

    private mutating func write(tokens: [Int], to place: Int) throws {
        let id = sequences[place].id
        let table = try manager.pageTable(of: id)
        let start = sequences[place].tokens.count
        sequences[place].tokens += tokens
        let values = Self.values(tokens, sequences[place].salt, after: sequences[place].values.last)
        sequences[place].values += values
        for (offset, value) in values.enumerated() {
            let page = table[(start + offset) / size]
            try require(manager.referenceCount(of: page) == 1, "a write to a shared page")
            try require(!manager.isCached(page), "a write to a cached page")
            memory[page][(start + offset) % size] = value
        }
        // Pages that are given back may be ones that were hit in this operation.
        try checkOrder()
        try manager.commit(id, tokens: tokens)
        for index in start / size..<(start + tokens.count) / size {
            remember(table[index], sequences[place].values[index * size + size - 1])
        }
    }

    private mutating func remember(_ page: Int, _ value: UInt64) {
        guard manager.prefixCaching, cachedPage[value] == nil else { return }
        cachedPage[value] = page
        cachedValue[page] = value
    }

    private mutating func taken(_ page: Int) {
        if let value = cachedValue.removeValue(forKey: page) { cachedPage[value] = nil }
    }

    // MARK: Checks

    /// Pages leave the order of eviction from its front or by a hit, and join it at its end.
    private mutating func checkOrder() throws {
        let before = order
        let after = manager.evictionOrder
        order = after
        guard after != before else { return }
        let stayed = after.filter { before.contains($0) }
        // A page that was hit and freed again between two looks would be at the end; nothing does both.
        try require(after.starts(with: stayed), "pages joined before the end: \(before) became \(after)")
        try require(before.filter { stayed.contains($0) } == stayed, "the order changed: \(before) became \(after)")
        let evicted = before.filter {
            !after.contains($0) && manager.referenceCount(of: $0) > 0 && cachedValue[$0] == nil
        }
        let firstKept = before.firstIndex { after.contains($0) } ?? before.count
        try require(
            evicted.allSatisfy { page in before[..<firstKept].contains(page) }, "a newer page went before an older one")
    }

    /// The costly checks: every slot, every count.
    func checkAll() throws {
        var references = [Int](repeating: 0, count: manager.pageCount)
        for sequence in sequences where !sequence.isSwapped {
            let table = try manager.pageTable(of: sequence.id)
            try require(try manager.computedCount(of: sequence.id) == sequence.tokens.count, "computed count")
            let hidden = hidden(sequence.tokens.count)
            try require(table.prefix(hidden).allSatisfy { $0 == Self.absent }, "a hidden page is kept: \(table)")
            let kept = table.dropFirst(hidden)
            try require(!kept.contains(Self.absent), "a page that is seen was given back: \(table)")
            try require(Set(kept).count == kept.count, "a page twice in a table")
            for page in kept { references[page] += 1 }
            for (index, value) in sequence.values.enumerated().dropFirst(hidden * size) {
                try require(
                    memory[table[index / size]][index % size] == value,
                    "sequence \(sequence.id) reads wrong at \(index)")
            }
        }
        for (page, count) in references.enumerated() {
            try require(manager.referenceCount(of: page) == count, "page \(page) has \(count) references")
            try require(manager.isCached(page) == (cachedValue[page] != nil), "page \(page) cached")
        }
        let order = manager.evictionOrder
        let reusable = references.indices.filter { references[$0] == 0 && cachedValue[$0] != nil }
        try require(order.sorted() == reusable, "reusable pages \(order)")
        try require(manager.freePageCount == references.count { $0 == 0 }, "free pages")
        let statistics = manager.statistics
        try require(statistics.physicalPages == references.count { $0 > 0 }, "physical pages")
        try require(statistics.logicalPages == references.reduce(0, +), "logical pages")
    }

    private func pages(_ tokens: Int) -> Int { (tokens + size - 1) / size }

    /// Pages without a key that the token after so many sees.
    private func hidden(_ tokens: Int) -> Int {
        guard let window else { return 0 }
        return (0..<tokens).prefix { $0 + window <= tokens }.count / size
    }

    private mutating func randomTokens(_ count: Int) -> [Int] {
        (0..<count).map { _ in Int.random(in: 0..<alphabet, using: &random) }
    }

    private static func values(_ tokens: [Int], _ salt: String, after last: UInt64? = nil) -> [UInt64] {
        var value = last ?? UInt64(salt.utf8.count) &+ 12345
        return tokens.map { token in
            value = CounterRandom.value(seed: value, index: UInt64(token))
            return value
        }
    }
}
