import Kernels
import Synchronization

/// The plans of the latest calls, for callers whose calls come in series of like problems: the layers of a model.
///
/// Planning a short call costs as much as computing it. A plan is used again where operator, problem and context are those
/// that it was made for, so nothing but time depends on this.
package final class PlanMemory: Sendable {
    private struct Entry {
        let owner: ConfiguredOperator
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
                entry.owner.id == owner.id && entry.threads == context.threads && entry.maxBytes == context.maxBytes
                    && entry.isa == context.isa && entry.owner.operator.isConfigured(like: owner.operator)
                    && entry.plan.problem == problem
            }?.plan
        }
    }

    /// Keeps a plan in place of the oldest.
    ///
    /// Not one whose time decides about the next, nor one with functions: these are equal by their names, and a plan would
    /// call the older one.
    func keep(_ plan: AttentionPlan, _ owner: ConfiguredOperator, _ context: ComputeContext) {
        let hasFunctions = !plan.problem.features.isDisjoint(with: [.scoreFunction, .maskFunction])
        if plan.tunedKind != nil || hasFunctions { return }
        let entry = Entry(
            owner: owner, isa: context.isa, threads: context.threads, maxBytes: context.maxBytes, plan: plan)
        entries.withLock { entries in
            if entries.count == Self.capacity { entries.removeLast() }
            entries.insert(entry, at: 0)
        }
    }
}

extension AttentionOperator {
    /// Whether another operator is of the same type with the same options.
    fileprivate func isConfigured(like other: any AttentionOperator) -> Bool {
        (other as? Self)?.configuration == configuration
    }
}
