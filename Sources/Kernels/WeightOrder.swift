import Synchronization

/// The order in which products of one row read their weights: what came after a weight the last time comes after it again.
///
/// A model's layers follow each other in every step alike. Between two products a step keeps to one thread; the others use
/// that time to fetch the weights that are next, which is all that such a product waits for.
package final class WeightOrder: Sendable {
    static let shared = WeightOrder()

    private struct State {
        var successors: [UInt: MemoryRegion] = [:]
        var last: UInt?
    }

    private let state = Mutex(State())
    /// Weights that are told apart; models that are gone are forgotten with the rest.
    private static let capacity = 8192
    /// Bytes after which no further weight is foretold, and the most weights: threads seldom wait for longer.
    private static let foresight = 4 << 20
    private static let mostWeights = 8

    /// Knows no order yet.
    package init() {}

    /// Notes that a product begins to read `weight`.
    /// - Returns: what came after it the last time, nearest first.
    package func next(after weight: MemoryRegion) -> [MemoryRegion] {
        state.withLock { state in
            if let last = state.last, state.successors[last] != weight {
                if state.successors.count >= Self.capacity { state.successors = [:] }
                state.successors[last] = weight
            }
            state.last = weight.address
            var found: [MemoryRegion] = []
            var bytes = 0
            var place = weight.address
            while bytes < Self.foresight, found.count < Self.mostWeights, let region = state.successors[place],
                region.address != weight.address
            {
                found.append(region)
                bytes += region.bytes
                place = region.address
            }
            return found
        }
    }
}

extension ComputeContext {
    /// Says that a product of one row is about to read a weight.
    ///
    /// Products of more rows wait for arithmetic: fetching for them was measured to cost more than it gains.
    func willRead(_ weight: MemoryRegion) {
        guard threads > 1 else { return }
        let next = WeightOrder.shared.next(after: weight)
        ThreadPool.shared.fetchWhileWaiting(ReadAhead(regions: next, threads: threads))
    }
}
