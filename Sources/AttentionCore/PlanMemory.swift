import Kernels
import Synchronization

/// The plans of the latest calls, for callers whose calls come in series of like problems: the layers of a model.
///
/// Planning a short call costs as much as computing it. A plan is used again where operator, problem and context are those
/// that it was made for, so nothing but time depends on this.
package final class PlanMemory: Sendable {
    private struct Entry {
        let id: String
        let configuration: [String: ConfigurationValue]
        let isa: String
        let threads: Int
        let maxBytes: Int?
        let plan: AttentionPlan
    }

    /// Newest first.
    ///
    /// A model has layers of a few kinds: with and without a window.
    private let entries = Mutex<[Entry]>([])
    private static let capacity = 4

    /// Remembers nothing yet.
    package init() {}

    /// The plan of an operator for a problem, if it was made lately.
    func plan(_ owner: ConfiguredOperator, _ problem: AttentionProblem, _ context: ComputeContext) -> AttentionPlan? {
        entries.withLock { entries in
            entries.first { entry in
                entry.id == owner.id && entry.threads == context.threads && entry.maxBytes == context.maxBytes
                    && entry.isa == context.isa && entry.configuration == owner.configuration
                    && entry.plan.problem == problem
            }?.plan
        }
    }

    /// Keeps a plan in place of the oldest; not one whose time decides about the next.
    func keep(_ plan: AttentionPlan, _ owner: ConfiguredOperator, _ context: ComputeContext) {
        guard plan.tunedKind == nil else { return }
        let entry = Entry(
            id: owner.id, configuration: owner.configuration, isa: context.isa, threads: context.threads,
            maxBytes: context.maxBytes, plan: plan)
        entries.withLock { entries in
            if entries.count == Self.capacity { entries.removeLast() }
            entries.insert(entry, at: 0)
        }
    }
}
