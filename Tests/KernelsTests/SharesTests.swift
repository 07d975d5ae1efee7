import Foundation
import Kernels
import Synchronization
import Testing

@Suite struct SharesTests {
    @Test(arguments: [1, 2, 3, 7])
    func everyPanelIsTakenOnce(threads: Int) throws {
        let context = try ComputeContext(threads: threads)
        for panels in [0, 1, 2, 3, 7, 64, 67, 1000] {
            for streams in [1, 3, 4] {
                let seen = Mutex([Int](repeating: 0, count: panels))
                let mostAtOnce = Mutex(0)
                context.forShares(of: panels, streams: streams) { side in
                    #expect((1...streams).contains(side.count))
                    mostAtOnce.withLock { $0 = max($0, side.count) }
                    seen.withLock { seen in for place in 0..<side.count { seen[side[place]] += 1 } }
                }
                #expect(seen.withLock { $0.allSatisfy { $0 == 1 } }, "\(panels) panels")
                if panels == 1000 { #expect(mostAtOnce.withLock { $0 } == streams) }
            }
        }
    }

    @Test(arguments: [1, 2, 3, 7])
    func everyTaskRunsOnceAndSharesInOrder(threads: Int) throws {
        let context = try ComputeContext(threads: threads)
        for count in [0, 1, 2, 3, 7, 64, 67] {
            let runs = Mutex<[UInt: [Int]]>([:])
            let busy = Mutex<Set<UInt>>([])
            context.parallelInShares(count, scratchFloats: 16) { index, scratch in
                let memory = UInt(bitPattern: scratch)
                let isAlone = busy.withLock { $0.insert(memory).inserted }
                #expect(isAlone, "two tasks in one thread's memory")
                scratch.update(repeating: Float(index), count: 16)
                runs.withLock { $0[memory, default: []].append(index) }
                #expect((0..<16).allSatisfy { scratch[$0] == Float(index) })
                _ = busy.withLock { $0.remove(memory) }
            }
            let lists = runs.withLock { Array($0.values) }
            #expect(lists.joined().sorted() == Array(0..<count))
            // What a thread does of a share ascends, and it goes through the shares once.
            let shares = max(1, min(count, threads))
            for list in lists {
                let breaks = zip(list, list.dropFirst()).count { $1 < $0 }
                #expect(breaks < max(2, shares), "\(list)")
            }
            if threads == 1 { #expect(lists == (count == 0 ? [] : [Array(0..<count)])) }
        }
    }

    /// A thread that is held up in its first panels: the others do the rest of its share.
    @Test func aSlowThreadDoesNotKeepItsShare() throws {
        let context = try ComputeContext(threads: 2)
        let panels = 64
        // Another test may hold the pool, and the call then has one thread: it is tried again.
        let isShared = (0..<100).contains { _ in
            let state = Mutex((done: 0, held: 0, sawAll: false))
            context.forShares(of: panels, streams: 1) { _ in
                let isFirst = state.withLock { state in
                    if state.held == 0 { state.held = 1 } else { state.done += 1 }
                    return state.held == 1 && state.done == 0
                }
                guard isFirst else { return }
                let limit = Date.now.addingTimeInterval(0.05)
                while Date.now < limit {
                    let isAll = state.withLock { state in
                        state.sawAll = state.sawAll || state.done + state.held == panels
                        return state.sawAll
                    }
                    if isAll { break }
                }
            }
            return state.withLock { $0.sawAll }
        }
        #expect(isShared)
    }
}

@Suite struct WeightOrderTests {
    private func region(_ number: UInt, megabytes: Int = 1) throws -> MemoryRegion {
        MemoryRegion(try #require(UnsafeRawPointer(bitPattern: number << 30)), bytes: megabytes << 20)
    }

    @Test func whatCameNextComesNextAgain() throws {
        let order = WeightOrder()
        let layers = try (1...5).map { try region($0) }
        for layer in layers { #expect(order.next(after: layer) == []) }
        // The end of a step is followed by the beginning of the next; four megabytes are foretold.
        #expect(order.next(after: layers[0]) == Array(layers[1...4]))
        #expect(order.next(after: layers[1]) == [layers[2], layers[3], layers[4], layers[0]])
    }

    @Test func anotherOrderIsLearnt() throws {
        let order = WeightOrder()
        let (a, b, c) = (try region(1), try region(2, megabytes: 8), try region(3))
        for layer in [a, b, a, c, a] { _ = order.next(after: layer) }
        #expect(order.next(after: c) == [a])
        #expect(order.next(after: a) == [c])
        #expect(order.next(after: b) == [a])
    }

    @Test func aWeightAloneIsNotFetchedAgain() throws {
        let order = WeightOrder()
        for _ in 0..<3 { #expect(order.next(after: try region(1)) == []) }
    }
}

@Suite struct ReadAheadTests {
    @Test func everyThreadFetchesItsShare() throws {
        // Addresses of nothing: fetching is not reading.
        let base = try #require(UnsafeRawPointer(bitPattern: 1 << 30))
        let plan = ReadAhead(regions: [MemoryRegion(base, bytes: 10_240), MemoryRegion(base, bytes: 100)], threads: 2)
        func steps(_ cursor: inout ReadAheadCursor) -> Int {
            var count = 0
            while cursor.fetchSome() { count += 1 }
            return count
        }
        for worker in 0..<3 {
            var cursor = ReadAheadCursor(worker: worker)
            let before = steps(&cursor)
            cursor.follow(plan)
            let first = steps(&cursor)
            cursor.follow(plan)
            let again = steps(&cursor)
            cursor.follow(ReadAhead(regions: [MemoryRegion(base, bytes: 1)], threads: 1))
            let other = steps(&cursor)
            // Half of ten kibibytes, and half of a hundred bytes; a third thread has no share, nor a second one of one.
            let expected = [[0, 6, 0, 1], [0, 6, 0, 0], [0, 0, 0, 0]][worker]
            #expect([before, first, again, other] == expected)
        }
    }
}
