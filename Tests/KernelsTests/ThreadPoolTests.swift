import Foundation
import Kernels
import Synchronization
import Testing

@Suite struct ThreadPoolTests {
    @Test(arguments: [1, 2, 3, 7])
    func everyIndexRunsOnce(threads: Int) {
        for count in [0, 1, 2, 5, 1000] {
            let seen = Mutex([Int](repeating: 0, count: count))
            ThreadPool.shared.forEach(count, threads: threads) { index, worker in
                seen.withLock { $0[index] += worker < threads ? 1 : 100 }
            }
            #expect(seen.withLock { $0.allSatisfy { $0 == 1 } })
        }
    }

    @Test func workersDoNotOverlap() {
        let busy = Mutex([Bool](repeating: false, count: 3))
        let overlaps = Mutex(0)
        for _ in 0..<200 {
            ThreadPool.shared.forEach(12, threads: 3) { _, worker in
                busy.withLock { if $0[worker] { overlaps.withLock { $0 += 1 } } else { $0[worker] = true } }
                busy.withLock { $0[worker] = false }
            }
        }
        #expect(overlaps.withLock { $0 } == 0)
    }

    @Test func loopsMayNest() {
        let total = Mutex(0)
        ThreadPool.shared.forEach(4, threads: 2) { _, _ in
            ThreadPool.shared.forEach(10, threads: 2) { index, _ in total.withLock { $0 += index } }
        }
        #expect(total.withLock { $0 } == 180)
    }

    @Test func callersMayCompete() async {
        let total = Total()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<500 {
                        ThreadPool.shared.forEach(6, threads: 2) { _, _ in total.count.withLock { $0 += 1 } }
                    }
                }
            }
        }
        #expect(total.count.withLock { $0 } == 8 * 500 * 6)
    }
}

/// A number that tasks share.
private final class Total: Sendable {
    let count = Mutex(0)
}

@Suite struct ComputeContextTests {
    @Test func impossibleRequestsAreRefused() {
        let known = ComputeContext.availableISAs.joined(separator: ", ")
        #expect(throws: ComputeContextError(variable: "isa", expected: "one of \(known)", actual: "avx9")) {
            try ComputeContext(isa: "avx9")
        }
        #expect(throws: ComputeContextError(variable: "threads", expected: "a number from 1 to 256", actual: "0")) {
            try ComputeContext(threads: 0)
        }
    }

    @Test func theFastestTableIsTheDefault() throws {
        guard ProcessInfo.processInfo.environment["ZOO_ISA"] == nil else { return }
        #expect(try ComputeContext().isa == ComputeContext.availableISAs.last)
        #expect(ComputeContext.availableISAs.first == "scalar")
    }

    @Test func factsAreSane() {
        let facts = CPUFacts.current
        #expect(facts.cores >= 1)
        #expect((4 << 10...1 << 20).contains(facts.l1DataBytes))
        #expect(facts.l2Bytes >= facts.l1DataBytes)
        #expect(!facts.model.isEmpty)
    }
}
