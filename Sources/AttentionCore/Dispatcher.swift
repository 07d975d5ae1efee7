public import Kernels

/// Chooses an operator for a problem.
public enum Dispatcher {
    /// The time an operator was measured to take for a problem, in seconds; `nil` when nobody measured it.
    public typealias MeasuredCost = (_ id: String, _ problem: AttentionProblem) -> Double?

    private struct Eligible {
        let candidate: ConfiguredOperator
        let plan: AttentionPlan
        let seconds: Double?

        /// Measured before unmeasured, then by time, priority and working memory.
        func precedes(_ other: Eligible) -> Bool {
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
    /// then by working memory, then as registered. Operators that cannot run it follow by priority.
    /// - Parameter measuredCost: measurements that outrank the declared priority; none by default.
    public static func explain(
        _ problem: AttentionProblem, registry: OperatorRegistry, context: ComputeContext,
        measuredCost: MeasuredCost = { _, _ in nil }
    ) -> DispatchExplanation {
        let (eligible, refused) = sort(problem, registry, context, measuredCost)
        let able = eligible.enumerated().map { index, item in
            DispatchCandidate(
                id: item.candidate.id, reasons: [], priority: item.candidate.entry.priority,
                measuredSeconds: item.seconds, plan: DispatchPlan(item.plan), isChosen: index == 0)
        }
        let unable = refused.map { entry, reasons in
            DispatchCandidate(
                id: entry.id, reasons: reasons, priority: entry.priority, measuredSeconds: nil, plan: nil,
                isChosen: false)
        }
        return DispatchExplanation(
            problem: problem.description, chosen: able.first?.id, candidates: able + unable)
    }

    /// The operator `auto` takes: the first of ``explain(_:registry:context:measuredCost:)``.
    /// - Throws: ``AttentionError/unsupported(name:problem:reasons:)`` when no operator can run the problem.
    public static func choose(
        _ problem: AttentionProblem, registry: OperatorRegistry, context: ComputeContext,
        measuredCost: MeasuredCost = { _, _ in nil }
    ) throws(AttentionError) -> ConfiguredOperator {
        let (eligible, refused) = sort(problem, registry, context, measuredCost)
        if let first = eligible.first { return first.candidate }
        throw .unsupported(
            name: AttentionSpecification.automatic, problem: problem.description, reasons: merge(refused))
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
                        seconds: measuredCost(entry.id, problem)))
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
