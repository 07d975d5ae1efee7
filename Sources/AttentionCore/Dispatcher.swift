public import Kernels

/// Chooses an operator for a problem.
public enum Dispatcher {
    /// The time an operator was measured to take for a problem, in seconds; `nil` when nobody measured it.
    public typealias MeasuredCost = (_ id: String, _ problem: AttentionProblem) -> Double?

    private struct Eligible {
        let candidate: ConfiguredOperator
        let plan: AttentionPlan
        let seconds: Double?
        let isPlain: Bool

        /// Softmax attention over the problem's mask before other mathematics, measured before unmeasured, then by time,
        /// priority and working memory.
        func precedes(_ other: Eligible) -> Bool {
            if isPlain != other.isPlain { return isPlain }
            if let mine = seconds, let theirs = other.seconds, mine != theirs { return mine < theirs }
            if (seconds == nil) != (other.seconds == nil) { return seconds != nil }
            if candidate.entry.priority != other.candidate.entry.priority {
                return candidate.entry.priority > other.candidate.entry.priority
            }
            return plan.workspaceBytes < other.plan.workspaceBytes
        }
    }

    /// Every operator's standing.
    ///
    /// Cost: one plan for each operator.
    ///
    /// Operators that can run the problem come in order of choice: measured ones by time, then the others by priority,
    /// then by working memory, then as registered. Operators whose result would be another, because they approximate or
    /// attend by a pattern of their own, follow and are never chosen; then come those that cannot run it, by priority.
    /// - Parameter measuredCost: measurements that outrank the declared priority; none by default.
    public static func explain(
        _ problem: AttentionProblem, registry: OperatorRegistry, context: ComputeContext,
        measuredCost: MeasuredCost = { _, _ in nil }
    ) -> DispatchExplanation {
        let (eligible, refused) = sort(problem, registry, context, measuredCost)
        let able = eligible.enumerated().map { index, item in
            DispatchCandidate(
                id: item.candidate.id, reasons: [], priority: item.candidate.entry.priority,
                measuredSeconds: item.seconds, plan: DispatchPlan(item.plan), isChosen: index == 0 && item.isPlain,
                note: item.isPlain ? nil : Self.note(item.candidate))
        }
        let unable = refused.map { entry, reasons in
            DispatchCandidate(
                id: entry.id, reasons: reasons, priority: entry.priority, measuredSeconds: nil, plan: nil,
                isChosen: false, note: nil)
        }
        return DispatchExplanation(
            problem: problem.description, chosen: able.first { $0.isChosen }?.id, candidates: able + unable)
    }

    /// What an operator computes instead of the problem.
    private static func note(_ candidate: ConfiguredOperator) -> String {
        switch candidate.capabilities.exactness {
        case .exact: "attends by a pattern of its own; taken only when it is named"
        case .approximate: "computes something else, which only approximates; taken only when it is named"
        case .quantised: "rounds operands to a few bits; taken only when it is named"
        }
    }

    /// The operator `auto` takes: the first of ``explain(_:registry:context:measuredCost:)``.
    /// - Throws: ``AttentionError/unsupported(name:problem:reasons:)`` when no operator can run the problem.
    public static func choose(
        _ problem: AttentionProblem, registry: OperatorRegistry, context: ComputeContext,
        measuredCost: MeasuredCost = { _, _ in nil }
    ) throws(AttentionError) -> ConfiguredOperator {
        let (eligible, refused) = sort(problem, registry, context, measuredCost)
        if let first = eligible.first, first.isPlain { return first.candidate }
        let others = eligible.map { item in
            (
                entry: item.candidate.entry,
                reasons: [UnsupportedReason(.configuration, Self.note(item.candidate), remedy: "name it to use it")]
            )
        }
        throw .unsupported(
            name: AttentionSpecification.automatic, problem: problem.description, reasons: merge(others + refused))
    }

    private static func sort(
        _ problem: AttentionProblem, _ registry: OperatorRegistry, _ context: ComputeContext,
        _ measuredCost: MeasuredCost
    ) -> (eligible: [Eligible], refused: [(entry: CatalogueEntry, reasons: [UnsupportedReason])]) {
        var eligible: [Eligible] = []
        var refused: [(entry: CatalogueEntry, reasons: [UnsupportedReason])] = []
        for entry in registry.entries {
            do throws(AttentionError) {
                let candidate = try registry[entry.id]
                let reasons = candidate.unsupportedReasons(for: problem)
                guard reasons.isEmpty else {
                    refused.append((entry, reasons))
                    continue
                }
                eligible.append(
                    Eligible(
                        candidate: candidate, plan: candidate.plan(problem, context: context),
                        seconds: measuredCost(entry.id, problem), isPlain: candidate.isPlain(for: problem)))
            } catch {
                // An operator without a default configuration never runs unless it is named.
                refused.append(
                    (entry, [.init(.configuration, error.description, remedy: "name it with its options")]))
            }
        }
        // Ties keep the order of registration: the standard library's sort is not promised to be stable.
        let order = eligible.enumerated().sorted { left, right in
            if left.element.precedes(right.element) { return true }
            return !right.element.precedes(left.element) && left.offset < right.offset
        }
        let others = refused.enumerated().sorted { left, right in
            (right.element.entry.priority, left.offset) < (left.element.entry.priority, right.offset)
        }
        return (order.map(\.element), others.map(\.element))
    }

    /// Every reason once, with the operators that gave it.
    private static func merge(
        _ refused: [(entry: CatalogueEntry, reasons: [UnsupportedReason])]
    ) -> [UnsupportedReason] {
        var order: [UnsupportedReason] = []
        var owners: [UnsupportedReason: [String]] = [:]
        for (entry, reasons) in refused {
            for reason in reasons {
                if owners[reason] == nil { order.append(reason) }
                owners[reason, default: []].append(entry.id)
            }
        }
        return order.map { reason in
            let names = owners[reason, default: []].joined(separator: ", ")
            return UnsupportedReason(reason.aspect, "\(reason.explanation) (\(names))", remedy: reason.remedy)
        }
    }
}
