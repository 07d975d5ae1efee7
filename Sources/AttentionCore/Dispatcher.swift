public import Kernels

/// One operator's standing before a problem.
public struct DispatchCandidate: Sendable, Hashable, Codable {
    /// The operator.
    public let id: String
    /// Why it cannot run the problem, with the nearest change that would let it; empty when it can.
    public let reasons: [UnsupportedReason]
    /// The catalogue's priority.
    public let priority: Int
    /// Bytes of working memory it would take; `nil` when it cannot run the problem.
    public let workspaceBytes: Int?
    /// Whether `auto` takes it.
    public let isChosen: Bool
}

/// Which operators can run a problem, which one `auto` takes, and why not the others.
public struct DispatchExplanation: Sendable, Hashable, Codable {
    /// The problem in words.
    public let problem: String
    /// The operator `auto` takes; `nil` when none can run the problem.
    public let chosen: String?
    /// Every operator: those that can run the problem first, in order of choice.
    public let candidates: [DispatchCandidate]
}

extension DispatchExplanation: CustomStringConvertible {
    /// A line for each candidate.
    public var description: String {
        let lines = candidates.map { candidate in
            let mark = candidate.isChosen ? "*" : candidate.reasons.isEmpty ? "+" : "-"
            let facts =
                candidate.reasons.isEmpty
                ? "priority \(candidate.priority), workspace \(candidate.workspaceBytes ?? 0) bytes"
                : candidate.reasons.map(\.description).joined(separator: "; ")
            return "\(mark) \(candidate.id): \(facts)"
        }
        return (["problem: \(problem)", "chosen: \(chosen ?? "none")"] + lines).joined(separator: "\n")
    }
}

/// Chooses an operator for a problem.
public enum Dispatcher {
    /// Every operator's standing. Cost: one plan for each operator.
    ///
    /// Operators that can run the problem are ordered by priority, then by working memory.
    public static func explain(
        _ problem: AttentionProblem, registry: OperatorRegistry, context: ComputeContext
    ) -> DispatchExplanation {
        var able: [(entry: CatalogueEntry, workspace: Int)] = []
        var unable: [DispatchCandidate] = []
        for entry in registry.entries {
            do throws(AttentionError) {
                let candidate = try registry[entry.id]
                let reasons = candidate.unsupportedReasons(for: problem)
                if reasons.isEmpty {
                    able.append((entry, candidate.plan(problem, context: context).workspaceBytes))
                } else {
                    unable.append(
                        DispatchCandidate(
                            id: entry.id, reasons: reasons, priority: entry.priority, workspaceBytes: nil,
                            isChosen: false))
                }
            } catch {
                let reason = UnsupportedReason(.configuration, error.description, remedy: "name it with its options")
                unable.append(
                    DispatchCandidate(
                        id: entry.id, reasons: [reason], priority: entry.priority, workspaceBytes: nil, isChosen: false)
                )
            }
        }
        able.sort { ($1.entry.priority, $0.workspace) < ($0.entry.priority, $1.workspace) }
        let chosen = able.enumerated().map { index, item in
            DispatchCandidate(
                id: item.entry.id, reasons: [], priority: item.entry.priority, workspaceBytes: item.workspace,
                isChosen: index == 0)
        }
        return DispatchExplanation(
            problem: problem.description, chosen: chosen.first?.id, candidates: chosen + unable)
    }

    /// The operator `auto` takes.
    /// - Throws: ``AttentionError/unsupported(name:problem:reasons:)`` when no operator can run the problem.
    public static func choose(
        _ problem: AttentionProblem, registry: OperatorRegistry, context: ComputeContext
    ) throws(AttentionError) -> ConfiguredOperator {
        let explanation = explain(problem, registry: registry, context: context)
        guard let chosen = explanation.chosen else {
            throw .unsupported(
                name: AttentionSpecification.automatic, problem: explanation.problem,
                reasons: explanation.candidates.flatMap(\.reasons))
        }
        return try registry[chosen]
    }
}
